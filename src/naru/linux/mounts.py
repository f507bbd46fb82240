"""Mounts as values, and the one place where they are made.

A `Mount` is what snapshots hand to containers: "the lingua franca between storage and execution" is a list of them.
Nothing is ever mounted in the host's mount namespace. A list of mounts is applied in a *private* mount namespace that
belongs to one thread, and lives on only in the children that the thread starts (a container's monitor) or in a file
descriptor that it opened. So there is nothing to unmount and nothing to leak: when the last user ends, however it
ends, the kernel takes the mounts away.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from naru.linux import syscalls as sys
from naru.linux.files import Root, open_beneath
from naru.linux.threads import in_fresh_thread, outlast_fresh_thread

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount(2). For overlay, `options` are its lowerdir/upperdir/workdir; relative paths in them start at `cwd`
    (so that a stack of 128 layers fits in the page that the kernel gives to the options)."""

    kind: str  # overlay, bind, tmpfs, erofs
    source: str
    options: tuple[str, ...] = ()
    read_only: bool = False
    cwd: str = ""

    def apply(self, target: str) -> None:
        """Mount at target, in the calling thread's mount namespace; changes the calling thread's working directory."""
        flags = sys.MS_RDONLY if self.read_only else 0
        if self.cwd:
            os.chdir(self.cwd)
        if self.kind == "bind":
            sys.mount(self.source, target, "", sys.MS_BIND | sys.MS_REC)
            if self.read_only:
                sys.mount("", target, "", sys.MS_BIND | sys.MS_REMOUNT | flags)
        else:
            sys.mount(self.source, target, self.kind, flags, ",".join(self.options))


def enter_private_namespace() -> None:
    """Give the calling thread, alone, a mount namespace that receives from the host but gives nothing back."""
    sys.unshare(sys.CLONE_FS | sys.CLONE_NEWNS)
    sys.mount("", "/", "", sys.MS_REC | sys.MS_SLAVE)


class Without:
    """A mount namespace that shows the host as it was, without one mount: for programs that need nothing mounted."""

    def __init__(self, path: str) -> None:
        def work() -> int:
            sys.umount(path)
            return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

        self._fd = in_private_namespace(work)

    async def run(self, work: Callable[[], T]) -> T:
        """What work returns, called in a thread that is in the namespace. Not cancellable once begun."""
        return await _run_in(self._fd, work)

    def close(self) -> None:
        os.close(self._fd)


async def run_in_namespace_of(pid: int, work: Callable[[], T]) -> T:
    """The same in the mount namespace of a process. Raises OSError if it has ended."""
    fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return await _run_in(fd, work)
    finally:
        os.close(fd)


async def _run_in(fd: int, work: Callable[[], T]) -> T:
    mine = os.dup(fd)  # the thread may outlive a caller that is cancelled

    def inside() -> T:
        try:
            sys.unshare(sys.CLONE_FS)
            sys.setns(mine, sys.CLONE_NEWNS)
        finally:
            os.close(mine)
        return work()

    return await asyncio.shield(asyncio.wrap_future(in_fresh_thread(inside)))


def _private(work: Callable[[], T]) -> Callable[[], T]:
    def body() -> T:
        enter_private_namespace()
        return work()

    return body


def in_private_namespace(work: Callable[[], T]) -> T:
    """Run work in a fresh thread with a private mount namespace; blocks. What work raises is raised here."""
    return outlast_fresh_thread(_private(work))


async def run_in_private_namespace(work: Callable[[], T]) -> T:
    """The same without blocking the event loop. Not cancellable once begun: what work started must be undone by the caller."""
    return await asyncio.shield(asyncio.wrap_future(in_fresh_thread(_private(work))))


def apply_all(mounts: Sequence[Mount], target: str) -> None:
    for mount in mounts:
        mount.apply(target)


def check_writable(mounts: Sequence[Mount], target: str) -> None:
    """The kernel mounts an overlay read-only, and says nothing, if it finds no room for its work directory. Raises OSError."""
    if os.statvfs(target).f_flag & os.ST_RDONLY:
        for mount in mounts:
            if mount.kind == "overlay" and not mount.read_only:
                full = os.statvfs(mount.cwd or target).f_bavail == 0
                raise OSError(errno.ENOSPC if full else errno.EROFS, "mount overlay for writing", target)


def open_detached(mounts: Sequence[Mount], scratch: str, binds: Sequence[tuple[str, str, str]] = ()) -> int:
    """A directory descriptor of the mounted tree; `scratch` is any existing directory. Blocks about 0.5 ms.

    `binds` are host directories, what of them to show ("" for all), and where: a path that is resolved within the tree
    and must exist there. What is shown is looked up beneath its directory, and no link leads out of it. The tree
    is reachable through the descriptor only (`linux.files` walks beneath it) and gone when it is closed.
    """

    def work() -> int:
        apply_all(mounts, scratch)
        with Root.at(scratch) as root:
            for base, subpath, destination in binds:
                with ExitStack() as opened:
                    target = root.open(destination, os.O_PATH)
                    opened.callback(os.close, target)
                    source = base
                    if subpath:
                        part = open_beneath(base, subpath)
                        opened.callback(os.close, part)
                        source = f"/proc/thread-self/fd/{part}"
                    sys.mount(source, f"/proc/thread-self/fd/{target}", "", sys.MS_BIND | sys.MS_REC)
        return sys.clone_tree(scratch)

    return in_private_namespace(work)
