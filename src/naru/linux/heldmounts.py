"""Mounts that end a little later than those who use them.

When the last mount of an overlay goes, the kernel writes the whole file system beneath it to the disk (ovl_sync_fs in
fs/overlayfs/super.c), never mind whose files they are; where containers come and go, it would do so all the time. A
descriptor keeps the mount, and many are closed one after the other: the first of them has something to write.
"""

from __future__ import annotations

import os
import threading

from naru.linux.afterwards import Afterwards

_DELAY_S = 1.0


class HeldMounts:
    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()
        self._later = Afterwards("naru-unmount", self.let_go, _DELAY_S)

    def hold(self, key: str, path: str) -> None:
        """What is mounted there, in the calling thread's mount namespace; nothing is held by that key. Raises OSError."""
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        with self._lock:
            self._held[key] = fd

    def let_go_soon(self, key: str) -> None:
        if key in self._held:
            self._later.add(key)

    def let_go(self, key: str) -> None:
        """It is held no more when this returns, which takes as long as the disk does. Nothing happens if it is not."""
        with self._lock:
            if (fd := self._held.pop(key, None)) is not None:
                os.close(fd)

    def close(self) -> None:
        self._later.close()
        for key in list(self._held):
            self.let_go(key)
