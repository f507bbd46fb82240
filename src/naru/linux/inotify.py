"""inotify(7): to be told when a file grows, instead of asking again and again."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress

from naru.linux.process import wait_readable
from naru.linux.syscalls import check, libc

IN_MODIFY = 0x2
IN_CLOSE_WRITE = 0x8
IN_MOVED_TO = 0x80
_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name that follows


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


class Arrivals:
    """Names of the files that are moved into one directory, or written there. `fd` is readable when there are some.

    One for as long as possible: the kernel takes some 10 ms to close one.
    """

    def __init__(self, folder: str) -> None:
        self.fd = check(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        try:
            mask = ctypes.c_uint32(IN_MOVED_TO | IN_CLOSE_WRITE)
            check(libc.inotify_add_watch(self.fd, os.fsencode(folder), mask), "inotify_add_watch", folder)
        except BaseException:
            os.close(self.fd)
            raise

    def names(self) -> list[str]:
        """Those since the last call; none if there are none. Many at once may be lost (`max_queued_events`)."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            *_, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            found.append(data[at : at + length].rstrip(b"\0").decode("utf-8", "surrogateescape"))
            at += length
        return found

    def close(self) -> None:
        os.close(self.fd)
