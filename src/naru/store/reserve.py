"""Room kept for the day the disk is full: without it nothing could be removed, since a removal is a write, too.

Owns `<data root>/reserve`, a file of allocated blocks. It is given up to whoever must write to free something, and taken back
when there is room again. Meanwhile nothing new may be made of it.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress

log = logging.getLogger(__name__)
SIZE_BYTES = 8 << 20
_SHARE = 4  # the part of it that is handed on at once, before some container that is filling the disk gets it


class Reserve:
    def __init__(self, path: str, size_bytes: int = SIZE_BYTES) -> None:
        self.path = path
        self._size_bytes = size_bytes
        self.is_whole = self._size() >= size_bytes
        self.take_back()

    def _size(self) -> int:
        try:
            return os.stat(self.path).st_blocks * 512
        except FileNotFoundError:
            return 0

    def give_up(self, heir: str = "") -> bool:
        """True if there was something to give. A share of it becomes room at the end of the heir, a file that does not mind."""
        if self._size() == 0:
            return False
        os.truncate(self.path, 0)
        self.is_whole = False
        log.warning("%s: the disk is full: what was kept for removals is given up", self.path)
        if heir:
            with suppress(OSError):
                fd = os.open(heir, os.O_RDWR | os.O_CLOEXEC)
                try:
                    os.posix_fallocate(fd, os.fstat(fd).st_size, self._size_bytes // _SHARE)
                finally:
                    os.close(fd)
        return True

    def take_back(self) -> bool:
        """True if it is whole, which it becomes as soon as there is room for it twice."""
        if self.is_whole:
            return True
        room = os.statvfs(os.path.dirname(self.path))
        if room.f_bavail * room.f_frsize < 2 * self._size_bytes:
            return False
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._size_bytes)
            finally:
                os.close(fd)
        except OSError as error:
            log.warning("%s: no room can be kept for a full disk: %s", self.path, error.strerror)
            return False
        self.is_whole = True
        return True
