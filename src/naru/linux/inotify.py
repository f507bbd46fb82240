"""inotify(7): to be told when a file grows, instead of asking again and again."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable

from naru.linux.syscalls import check, libc

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_TO = 0x80
IN_Q_OVERFLOW = 0x4000
_REST = 9  # a storm over many files takes a tenth of the loop's time, no more
_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name that follows


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


class Notifier:
    """One inotify instance for many files, each with its callback. The first change after a silence is told at once, those
    of a storm together, every `pause_s` or more. Belongs to the running loop."""

    def __init__(self, pause_s: float = 0.01) -> None:
        self._fd = check(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._pause_s = pause_s
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._fd, self._ready)

    def add(self, path: str, mask: int, callback: Callable[[], None]) -> int:
        """Call back for changes from now on. Raises OSError, ENOSPC where fs.inotify.max_user_watches is reached."""
        watch = check(
            libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask)), "inotify_add_watch", path
        )
        self._callbacks[watch] = callback
        return watch

    def remove(self, watch: int) -> None:
        """The file may be gone already."""
        if self._callbacks.pop(watch, None) is not None:
            libc.inotify_rm_watch(self._fd, watch)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._callbacks.clear()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _ready(self) -> None:
        self._loop.remove_reader(self._fd)
        began = self._loop.time()
        try:
            for watch in self._changed():
                if (callback := self._callbacks.get(watch)) is not None:
                    callback()
        finally:
            took_s = self._loop.time() - began
            self._timer = self._loop.call_later(max(self._pause_s, took_s * _REST), self._resume)

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._fd, self._ready)

    def _changed(self) -> set[int]:
        try:
            data = os.read(self._fd, 1 << 18)
        except BlockingIOError:
            return set()
        found: set[int] = set()
        position = 0
        while position < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            if mask & IN_Q_OVERFLOW:
                return set(self._callbacks)
            found.add(watch)
        return found
