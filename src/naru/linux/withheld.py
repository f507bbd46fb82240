"""A new file that nobody else can open before it is complete: whoever tries sooner waits.

So a program that is going to read it can be started while it is still being made. It is a write lease, fcntl(2) "Leases": the
kernel holds back another's open() until we release it, but for no longer than /proc/sys/fs/lease-break-time (45 s), and not when
we have died; then what there is can be read.
"""

from __future__ import annotations

import fcntl
import os

_NOBODY = 0


class WithheldFile:
    """Made by `with`, and given free at its end: empty if nothing was written."""

    def __init__(self, path: str) -> None:
        """Raises OSError, also if the path exists."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(self._fd, fcntl.F_SETOWN, _NOBODY)  # no signal tells us that somebody waits
            self.is_withheld = True
        except OSError:  # a file system without leases: overlayfs, for one
            self.is_withheld = False

    def __enter__(self) -> WithheldFile:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)  # which releases the lease

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
