"""A program kept in memory, sealed, so that whoever runs it can never change it, and starts sooner.

crun and runc copy themselves into a sealed memory file and execute that, each time, lest a container overwrite the host's
program through /proc/self/exe (CVE-2019-5736). Given one that is sealed already they skip it: the same protection, one
exec less. memfd_create(2), F_ADD_SEALS of fcntl(2).
"""

from __future__ import annotations

import errno
import fcntl
import os

_MFD_EXEC = 0x10  # since Linux 6.3; before it every memory file was executable
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class SealedProgram:
    """A copy of the program at `path`; `name` can be executed by anyone while this lives."""

    def __init__(self, path: str) -> None:
        """Raises OSError where memory files may not be executed (sysctl vm.memfd_noexec=2)."""
        writable = _memory_file(os.path.basename(path))
        try:
            with open(path, "rb") as program:
                while os.sendfile(writable, program.fileno(), None, 1 << 24):
                    pass
            fcntl.fcntl(writable, fcntl.F_ADD_SEALS, _SEALS)
            # Execution fails with ETXTBSY while somebody has it open for writing.
            self._fd = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(writable)
        self.name = f"/proc/{os.getpid()}/fd/{self._fd}"

    def close(self) -> None:
        os.close(self._fd)


def _memory_file(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, flags)
