"""A file system that stops answering, as a dead NFS server does: FUSE spoken by hand (fuse(4), <linux/fuse.h>).

Its root is a directory that can be looked at. Whoever touches a file in it waits: for ever, also when killed, for the kernel does
not take a request back that the server has read. Closing ends all waits.
"""

from __future__ import annotations

import os
import struct
import threading
from contextlib import suppress

from naru.linux.syscalls import MNT_DETACH, mount, umount

_HEADER = struct.Struct("=IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
_ANSWER = struct.Struct("=IiQ")
_LOOKUP, _GETATTR, _INIT, _OPENDIR, _STATFS = 1, 3, 26, 27, 17
_FOREVER_S, _FORCE = 1 << 31, 1


class HungFs:
    def __init__(self, path: str) -> None:
        self.path = path
        self.asked = threading.Event()  # somebody waits
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        mount("hung", path, "fuse", 0, f"fd={self._fd},rootmode=40755,user_id=0,group_id=0,allow_other")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # unmounted
            while True:
                data = os.read(self._fd, 1 << 18)
                _, opcode, unique, node, *_ = _HEADER.unpack_from(data)
                if opcode == _INIT:
                    ahead = struct.unpack_from("=III", data, _HEADER.size)[2]
                    self._answer(unique, struct.pack("=IIIIHHIIHHI28x", 7, 31, ahead, 0, 8, 8, 1 << 16, 1, 0, 0, 0))
                elif opcode == _GETATTR and node == 1:
                    attributes = struct.pack(
                        "=QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0
                    )
                    self._answer(unique, struct.pack("=QII", _FOREVER_S, 0, 0) + attributes)
                elif opcode == _STATFS:
                    self._answer(unique, bytes(80))
                else:
                    self.asked.set()

    def _answer(self, unique: int, data: bytes) -> None:
        os.write(self._fd, _ANSWER.pack(_ANSWER.size + len(data), 0, unique) + data)

    def close(self) -> None:
        """Everybody who waits gets an error. Idempotent."""
        if self._fd < 0:
            return
        for flags in (_FORCE, MNT_DETACH):  # the first aborts the connection, even if the mount is busy
            with suppress(OSError):
                umount(self.path, flags)
        self._thread.join(5)
        os.close(self._fd)
        self._fd = -1
