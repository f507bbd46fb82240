"""What happens in the private mount namespace between a decision to start and the monitor's birth.

`prepare` runs in a thread of its own (linux.mounts): it mounts the root file system, fills new volumes from the image,
finds the user in the container's own files, and returns the runtime spec as JSON. All access to the container's files
goes through `Root`; nothing of theirs is executed or trusted.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from naru.containers import apparmor
from naru.containers.accounts import find_user
from naru.containers.placing import joined_shm, place, shift_volumes
from naru.containers.records import Container, MountPoint
from naru.containers.runtimespec import Launch, build, capabilities
from naru.containers.seccompfilter import default_filter
from naru.containers.users import User
from naru.errors import Internal, InvalidArgument
from naru.linux.files import Root
from naru.linux.idmapped import Shift, apply_shifted
from naru.linux.mounts import Mount, apply_all, check_writable
from naru.linux.nulldevice import hide_hosts
from naru.linux.syscalls import umount
from naru.wire.decode import encode


def prepare(container: Container, launch: Launch, mounts: Sequence[Mount], *, takes_filter: bool = False) -> bytes:
    """config.json; `takes_filter`: the runtime takes a compiled seccomp profile. Raises InvalidArgument for what the image or
    the request got wrong, OSError for the rest."""
    apparmor.ensure(launch.apparmor)
    apply_all(mounts, launch.rootfs)
    _check_writable(mounts, launch.rootfs)
    bundle = os.path.dirname(launch.rootfs)
    container = replace(container, mounts=place(container.mounts, launch.images, bundle, launch.shift))
    if ipc := dict(launch.join).get("ipc"):
        launch = replace(launch, shm=joined_shm(ipc, f"{bundle}/shm"))
    with Root.at(launch.rootfs) as root:
        for mount in container.mounts:
            if mount.copy_up:
                copy_up(root, mount)
        try:
            user = find_user(root, container.config.user, container.host.group_add or [])
        except InvalidArgument as error:
            raise Internal(str(error)) from error
        make_working_dir(root, container.config.working_dir, user)
        mark(root)
    if launch.shift is not None:
        container = replace(container, mounts=shift_volumes(container.mounts, bundle, launch.shift))
        own_files(container, launch.files, launch.shift)
        launch = shift_root(launch, mounts, launch.shift)
    if takes_filter and launch.seccomp is None and not container.host.privileged:
        bounding = frozenset(capabilities(container, launch.capabilities))
        launch = replace(launch, seccomp_filter=default_filter(bounding, launch.machine))
    return encode(build(container, replace(launch, user=user)))


def shift_root(launch: Launch, mounts: Sequence[Mount], shift: Shift) -> Launch:
    """The root file system once more, as the users of a user namespace are to see it: all that we did in it was on disk's
    own terms. It is mounted where they may go, which the bundle is not."""
    umount(launch.rootfs)
    apply_shifted(mounts, shift.root, shift, launch.rootfs)
    _check_writable(mounts, shift.root)
    hide_hosts(launch.rootfs)  # the container gets the devices of this namespace
    return replace(launch, rootfs=shift.root)


def own_files(container: Container, files: Sequence[tuple[str, str]], shift: Shift) -> None:
    """The files of name resolution are the container's root's, unless it has those of another container."""
    if not container.host.network_mode.startswith("container:"):
        for path, _ in files:
            os.chown(path, *shift.maps.root)


def _check_writable(mounts: Sequence[Mount], rootfs: str) -> None:
    try:
        check_writable(mounts, rootfs)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Internal(f"error creating overlay mount to {rootfs}: {reason}") from error


def make_working_dir(root: Root, path: str, user: User) -> None:
    """Docker makes a missing working directory, owned by root."""
    if path in ("", "/"):
        return
    try:
        root.make_dirs(path)
        if not stat.S_ISDIR(root.stat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
    except (NotADirectoryError, FileExistsError) as error:
        raise Internal(f"Cannot mkdir: {path} is not a directory") from error


def mark(root: Root) -> None:
    """The file by which programs tell that they are in a container of Docker's."""
    with suppress(FileExistsError):
        os.close(root.open("/.dockerenv", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755))


def copy_up(root: Root, mount: MountPoint) -> None:
    """Fill an empty volume with what the image has at its destination, owner and mode of the directory included."""
    target = os.open(mount.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.listdir(target):
            return
        try:
            source = root.open(mount.destination, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        try:
            copy_directory(source, target)
        finally:
            os.close(source)
    finally:
        os.close(target)


def copy_directory(source: int, target: int) -> None:
    """Copy the content and attributes of one open directory into another; links and devices stay what they are."""
    links: dict[tuple[int, int], str] = {}
    _copy_level(source, target, "", links, target)
    _copy_attributes(source, target)


def _copy_level(source: int, target: int, prefix: str, links: dict[tuple[int, int], str], top: int) -> None:
    for name in os.listdir(source):
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind, key = stat.S_IFMT(info.st_mode), (info.st_dev, info.st_ino)
        if kind != stat.S_IFDIR and info.st_nlink > 1 and key in links:
            os.link(links[key], name, src_dir_fd=top, dst_dir_fd=target, follow_symlinks=False)
            continue
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=target)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner_source, inner_target = os.open(name, flags, dir_fd=source), os.open(name, flags, dir_fd=target)
            try:
                _copy_level(inner_source, inner_target, f"{prefix}{name}/", links, top)
                _copy_attributes(inner_source, inner_target)
            finally:
                os.close(inner_source)
                os.close(inner_target)
            continue
        links[key] = prefix + name
        _copy_file(source, target, name, info)


def _copy_file(source: int, target: int, name: str, info: os.stat_result) -> None:
    kind = stat.S_IFMT(info.st_mode)
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
    elif kind == stat.S_IFREG:
        reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while os.sendfile(
                writer, reader, None, 1 << 24
            ):  # copy_file_range does not go from one file system to another
                pass
            _copy_attributes(reader, writer)
        finally:
            os.close(reader)
            os.close(writer)
    elif kind != stat.S_IFSOCK:
        os.mknod(name, info.st_mode, info.st_rdev, dir_fd=target)
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_attributes(source: int, target: int) -> None:
    info = os.fstat(source)
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            with suppress(PermissionError):
                os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
