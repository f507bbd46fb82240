"""Mounts seen from a user namespace: what is on disk keeps its owners, and the container sees them as its own.

A whole stack costs one more mount, however many layers it has: the directory that holds them all is cloned with the
namespace's ids, and the overlay is made of what is in the clone (mount_setattr(2), Documentation/filesystems/idmappings.rst
and overlayfs.rst). Overlayfs works with the rights of whoever mounts it: that must be a user who exists in the clone, or it
could write nothing. Linux 5.19.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from naru.linux import syscalls as sys
from naru.linux.mounts import Mount
from naru.linux.userns import IdMaps


@dataclass(frozen=True, slots=True)
class Shift:
    """The user namespace of a container that is about to start."""

    maps: IdMaps
    fd: int
    path: str  # of the namespace, for the runtime
    root: str  # where its root file system is mounted: a directory that its users may pass through


def apply_shifted(mounts: Sequence[Mount], target: str, shift: Shift, scratch: str) -> None:
    """`apply_all` for a user namespace; `scratch` is a directory, of no use to others meanwhile. Raises OSError."""
    for mount in mounts:
        if mount.kind == "bind":
            show_shifted(mount.source, target, shift)
            if mount.read_only:
                sys.mount("", target, "", sys.MS_BIND | sys.MS_REMOUNT | sys.MS_RDONLY)
        elif mount.cwd:
            show_shifted(mount.cwd, scratch, shift)
            with sys.file_owner(*shift.maps.root):
                replace(mount, cwd=scratch).apply(target)
            os.chdir("/")
            sys.umount(scratch)
        else:
            mount.apply(target)


def show_shifted(source: str, target: str, shift: Shift) -> None:
    """Bind source at target with the owners that it has in the namespace; what is mounted below stays as it is."""
    tree = sys.clone_tree(source)
    try:
        sys.idmap(tree, shift.fd, source)
        sys.move_mount(tree, target)
    finally:
        os.close(tree)
