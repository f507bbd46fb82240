"""The system calls that Python's os module lacks, through ctypes: those of mounts, namespaces, openat2, syncfs, prctl, setfsuid.

Each raises OSError(errno, "call: reason", path). ctypes releases the GIL around the call.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

libc = ctypes.CDLL(None, use_errno=True)

# <sched.h>
CLONE_NEWNS = 0x00020000
CLONE_FS = 0x00000200
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

# <sys/mount.h>
MS_RDONLY = 0x1
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 0x2

# <linux/openat2.h>
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
_SYS_OPENAT2 = 437  # the same number on every architecture

# <linux/mount.h>
OPEN_TREE_CLONE = 1
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_IDMAP = 0x00100000
_AT_EMPTY_PATH = 0x1000

_CAPABILITY_VERSION_3 = 0x20080522  # <linux/capability.h>

PR_SET_CHILD_SUBREAPER = 36


def check(result: int, call: str, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", path)
    return result


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    check(
        libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode() or None),
        f"mount {kind or 'bind'}", target,
    )  # fmt: skip


def umount(target: str, flags: int = MNT_DETACH) -> None:
    check(libc.umount2(os.fsencode(target), flags), "umount2", target)


def unshare(flags: int) -> None:
    check(libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    check(libc.setns(fd, kind), "setns")


def syncfs(fd: int) -> None:
    check(libc.syncfs(fd), "syncfs")


def prctl(option: int, argument: int = 0) -> None:
    check(libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0), f"prctl {option}")


def openat2(dir_fd: int, path: str, flags: int, mode: int = 0, resolve: int = RESOLVE_IN_ROOT) -> int:
    """open(2) of `path` whose resolution, links included, cannot leave the directory dir_fd (see RESOLVE_*)."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(64):  # EAGAIN: a rename raced with the walk; the kernel asks us to try again
        result = libc.syscall(_SYS_OPENAT2, dir_fd, os.fsencode(path), how, len(how))
        if result >= 0 or ctypes.get_errno() != 11:
            break
    return check(result, "openat2", path)


def clone_tree(path: str, *, recursive: bool = True) -> int:
    """A descriptor of a detached copy of the mounts at path and below; they are gone when it is closed (open_tree(2))."""
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return check(libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags), "open_tree", path)


def move_mount(tree: int, target: str) -> None:
    """Attach a detached tree (`clone_tree`) at target (move_mount(2)).

    A target in another mount namespace than the tree's is fine: the mounts stay in the peer groups that they are in.
    """
    result = libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    check(result, "move_mount", target)


def idmap(tree: int, user_namespace: int, path: str) -> None:
    """Show the mount at the root of a detached tree, of what is at `path`, with the owners that they are in a user
    namespace (mount_setattr(2), MOUNT_ATTR_IDMAP). EINVAL: its file system cannot do that."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    result = libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
    check(result, "mount_setattr (idmap)", path)


@contextmanager
def file_owner(uid: int, gid: int) -> Iterator[None]:
    """Within, what the calling thread, which is root, makes belongs to others; its capabilities stay (setfsuid(2))."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    kept = ctypes.create_string_buffer(24)
    check(libc.capget(header, kept), "capget")
    try:
        libc.setfsgid(gid)
        libc.setfsuid(uid)
        check(libc.capset(header, kept), "capset")  # the kernel takes those of files away with user 0
        yield
    finally:
        libc.setfsuid(0)
        libc.setfsgid(0)
        check(libc.capset(header, kept), "capset")
