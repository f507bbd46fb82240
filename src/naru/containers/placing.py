"""The sources of a container's mounts, brought to where the runtime may take them: within the private mount namespace of a launch.

A directory beneath a volume or an image is resolved once, by the kernel, which never follows a link out of it, and bound
aside in the bundle: what the container's neighbours do to the volume meanwhile cannot make the runtime mount anything
else. An image is mounted aside whole. A shared bind is taken from the host's namespace as it is, a member of its peer
group, for what this namespace has is only a slave of it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from naru.containers.records import MountPoint
from naru.errors import Internal, InvalidArgument, NotFound
from naru.linux import syscalls as sys
from naru.linux.files import open_beneath
from naru.linux.idmapped import Shift, apply_shifted, show_shifted
from naru.linux.mountinfo import mount_of
from naru.linux.mounts import Mount, apply_all

SHARED = ("shared", "rshared")
_HOST = "/proc/self/ns/mnt"  # that of the daemon's first thread; the thread of a launch has left it
SLAVE = ("slave", "rslave")


def check(mount: MountPoint) -> MountPoint:
    """A bind whose flags do not contradict each other and whose source can propagate as asked. Raises Internal, as Docker does."""
    if mount.writable and mount.read_only_non_recursive:
        raise Internal("mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive")
    if mount.writable and mount.read_only_force_recursive:
        raise Internal("mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive")
    if mount.read_only_non_recursive and mount.read_only_force_recursive:
        raise Internal("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive")
    if mount.propagation not in (*SHARED, *SLAVE):
        return mount
    below = mount_of(mount.source)
    if below.shared or (below.slave and mount.propagation in SLAVE):
        return mount
    if mount.slave_by_default:
        return replace(mount, propagation="rprivate")
    wanted = "a shared" if mount.propagation in SHARED else "a shared or slave"
    raise Internal(f"path {mount.source} is mounted on {below.point} but it is not {wanted} mount")


def near(mount: MountPoint, data_root: str, *, asked: bool) -> MountPoint:
    """A bind that shows our own data, or lies in it, must pass unmounts on, or it holds every container's mounts for ever.

    `asked`: the client said which propagation it wants. Raises InvalidArgument for one that does not do.
    """
    source = mount.source
    if not source.startswith(data_root) and not data_root.startswith(source):
        return mount
    if not asked:
        return replace(mount, propagation="rslave", slave_by_default=True)
    if mount.propagation not in ("rslave", "rshared"):
        raise InvalidArgument(
            'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the '
            f'daemon root, daemon root: "{data_root}", bind mount source: "{source}", propagation: "{mount.propagation}"'
        )
    return mount


def place(
    mounts: Sequence[MountPoint], images: Mapping[str, Sequence[Mount]], bundle: str, shift: Shift | None = None
) -> tuple[MountPoint, ...]:
    """The mounts with sources that the runtime can bind. `images` are the layers of image mounts by destination.

    Runs in the private namespace. Raises InvalidArgument, NotFound (a subpath), OSError.
    """
    out = []
    for number, mount in enumerate(mounts):
        if mount.destination in images and mount.kind == "image":
            whole = _aside(f"{bundle}/image-{number}")
            if shift is None:
                apply_all(images[mount.destination], whole)
            else:
                apply_shifted(images[mount.destination], whole, shift, f"{bundle}/rootfs")
            mount = replace(mount, source=whole)
        if mount.subpath:
            mount = replace(mount, source=_beneath(mount.source, mount.subpath, f"{bundle}/mount-{number}"))
        elif mount.kind == "bind" and mount.propagation in SHARED:
            mount = replace(mount, source=_from_namespace(_HOST, mount.source, f"{bundle}/mount-{number}"))
        out.append(mount)
    return tuple(out)


def shift_volumes(mounts: Sequence[MountPoint], bundle: str, shift: Shift) -> tuple[MountPoint, ...]:
    """Volumes as a user namespace's own: who made a file in one is who owns it in the next container too. Binds are the
    host's, and stay what they are."""
    out = []
    for number, mount in enumerate(mounts):
        if mount.kind == "volume":
            aside = _aside(f"{bundle}/volume-{number}", directory=os.path.isdir(mount.source))
            show_shifted(mount.source, aside, shift)
            mount = replace(mount, source=aside)
        out.append(mount)
    return tuple(out)


def _aside(path: str, *, directory: bool = True) -> str:
    """A mount point of ours: a directory, or for what is none a file."""
    if directory:
        os.mkdir(path, 0o700)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return path


def open_part(base: str, subpath: str) -> int:
    """A descriptor (O_PATH) of a part of a volume. Raises InvalidArgument (a link leads out of it), NotFound."""
    try:
        return open_beneath(base, subpath)
    except OSError as error:
        where = os.path.join(base, subpath)
        if error.errno == errno.EXDEV:
            raise InvalidArgument(
                f"path concatenation escapes the base directory, base: {base}, subpath: {subpath}"
            ) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            reason = os.strerror(error.errno).lower()
            raise NotFound(f"cannot access path {where}: lstat {where}: {reason}") from error
        raise


def _beneath(base: str, subpath: str, aside: str) -> str:
    fd = open_part(base, subpath)
    try:
        source = f"/proc/thread-self/fd/{fd}"
        _aside(aside, directory=os.path.isdir(source))
        sys.mount(source, aside, "", sys.MS_BIND | sys.MS_REC)
    finally:
        os.close(fd)
    return aside


def joined_shm(ipc: str, aside: str) -> str:
    """The /dev/shm of the container that has this IPC namespace (`/proc/<pid>/ns/ipc`): what it is for its processes."""
    return _from_namespace(f"{os.path.dirname(ipc)}/mnt", "/dev/shm", aside)


def _from_namespace(namespace: str, source: str, aside: str) -> str:
    """Bind what source is in another mount namespace; its mounts stay in the peer groups that they are in."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    own = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/mnt", flags)
    try:
        there = os.open(namespace, flags)
        try:
            sys.setns(there, sys.CLONE_NEWNS)  # and with it the root directory: no link leads out of the namespace
        finally:
            os.close(there)
        try:
            directory = os.path.isdir(source)
            tree = sys.clone_tree(source)
        finally:
            sys.setns(own, sys.CLONE_NEWNS)
    finally:
        os.close(own)
    try:
        sys.move_mount(tree, _aside(aside, directory=directory))
    finally:
        os.close(tree)
    return aside
