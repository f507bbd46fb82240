"""inotify(7): to be told when a file grows, instead of asking again and again."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from naru.linux.process import wait_readable
from naru.linux.syscalls import check, libc

IN_MODIFY = 0x2
IN_CREATE = 0x100


class Watch:
    """Changes of one path. Made before the first read, it misses none."""

    def __init__(self, path: str, mask: int = IN_MODIFY) -> None:
        self._fd = check(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        try:
            check(libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask)), "inotify_add_watch", path)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    async def wait_change(self) -> None:
        """Return when something has happened since the last return."""
        await wait_readable(self._fd)
        with suppress(BlockingIOError):
            os.read(self._fd, 65536)
