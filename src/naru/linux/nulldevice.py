"""/dev/null, but not the host's: crun gives a process's standard streams to its user, whatever they are, and who owns the
host's /dev/null may take it away from everybody."""

from __future__ import annotations

import os
import stat

from naru.linux import syscalls as sys
from naru.linux.mounts import in_private_namespace

_NULL = os.makedev(1, 3)


def open_private(scratch: str) -> int:
    """A descriptor of a device of nobody else's, named /dev/null for who looks; the caller closes it. `scratch` is any existing
    directory. Blocks about 0.5 ms. Raises OSError."""

    def work() -> int:
        fd = os.open(_make(scratch), os.O_RDWR | os.O_CLOEXEC)
        sys.umount(scratch)  # what has no place has no longer name
        return fd

    return in_private_namespace(work)


def hide_hosts(scratch: str) -> None:
    """In the calling thread's private mount namespace, /dev/null is a device of nobody else's from now on."""
    sys.mount(_make(scratch), "/dev/null", "", sys.MS_BIND)


def _make(scratch: str) -> str:
    sys.mount("tmpfs", scratch, "tmpfs", 0, "mode=0755,size=4k")
    os.mkdir(f"{scratch}/dev")
    path = f"{scratch}/dev/null"
    os.mknod(path, stat.S_IFCHR | 0o666, _NULL)
    os.chmod(path, 0o666)
    return path
