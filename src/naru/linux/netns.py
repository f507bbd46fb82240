"""Network namespaces without names: made in a thread, held by a descriptor, gone with their last user.

Nothing is mounted and no file is made. The descriptor goes to the runtime as /proc/<our pid>/fd/<n>; once the
container has joined, its processes keep the namespace (and the veth in it) alive, and the kernel takes both away when
they end. Sockets opened inside keep it alive too: whoever opens some must close them. See network_namespaces(7).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from naru.linux import syscalls as sys
from naru.linux.netlink import LOOPBACK, Netlink, set_up
from naru.linux.threads import in_fresh_thread

T = TypeVar("T")


def create() -> int:
    """A descriptor of a new namespace in which `lo` is up. Blocks about 0.5 ms; the caller closes the descriptor, and is
    where it was before."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        sys.unshare(sys.CLONE_NEWNET)
        try:
            with Netlink() as netlink:
                netlink.run(set_up(LOOPBACK))
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            sys.setns(before, sys.CLONE_NEWNET)
    finally:
        os.close(before)


def start_inside(netns_fd: int, work: Callable[[], T]) -> Future[T]:
    """Start work in a fresh thread that has joined the namespace, for callers that must not block."""

    def joined() -> T:
        sys.setns(netns_fd, sys.CLONE_NEWNET)
        return work()

    return in_fresh_thread(joined)


def inside(netns_fd: int, work: Callable[[], T]) -> T:
    """Run work in a fresh thread that has joined the namespace; blocks. What work raises is raised here."""
    return start_inside(netns_fd, work).result()


def open_of(pid: int) -> int:
    """A descriptor of the namespace that process pid lives in. Raises OSError (ProcessLookupError if it has ended)."""
    try:
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ProcessLookupError(3, "no such process", f"/proc/{pid}/ns/net") from error


def read_sysctl(path: str) -> str | None:
    """The value of net/<path> in the calling thread's namespace; None if this kernel has no such setting.

    /proc/sys/net shows the namespace of the thread that looks, so this and `write_sysctl` work inside `inside` as well.
    """
    try:
        fd = os.open(f"/proc/sys/net/{path}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)


def write_sysctl(path: str, value: str) -> bool:
    """Set net/<path>, unless it is so already; False if this kernel has no such setting. Raises OSError."""
    known = read_sysctl(path)
    if known is not None and known != value:
        fd = os.open(f"/proc/sys/net/{path}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    return known is not None
