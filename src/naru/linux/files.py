"""Files: durable writes, and access beneath a root that nothing inside the root can bend.

Paths that come from an image, a container or a client are only ever opened through `Root`, which lets the kernel
resolve them (openat2, RESOLVE_IN_ROOT): links are followed as if the root were `/`, and cannot leave it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import secrets
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

from naru.linux import syscalls as sys

_PATH = os.O_PATH | os.O_CLOEXEC
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS, _FS_TOPDIR_FL = 0x80086601, 0x40086602, 0x00020000  # <linux/fs.h>, ioctl_iflags(2)


def write_atomic(path: str, data: bytes, *, mode: int = 0o644, durable: bool = False) -> None:
    """Replace path by data, whole or not at all; `durable` survives a power cut (file, then folder, synced)."""
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        sync_dir(os.path.dirname(path))


def write_all(fd: int, data: bytes | memoryview) -> None:
    """To a descriptor that blocks. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def contains(path: str, word: bytes) -> bool:
    """True if the file has the word in it; it has to be larger than nothing. Raises OSError."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(word) >= 0


def read_if_there(path: str) -> str:
    """The text of a file of the host's; "" for one that does not exist. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b"")).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)


def rewrite(path: str, data: bytes) -> None:
    """Give a file that exists other content, in place: who has it mounted has to see it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def sync_dir(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def keep_apart(path: str) -> None:
    """Say to ext4 that the directories in this one have nothing to do with each other (`chattr +T`): each gets its inodes from
    a block group of its own. Without a journal it looks, for each new inode, at all that were deleted in the group in the
    last minutes: a fifth of all there is to do for many short containers. File systems that know no such hint go without."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = array("l", [0])
        fcntl.ioctl(fd, _FS_IOC_GETFLAGS, flags)
        if not flags[0] & _FS_TOPDIR_FL:
            flags[0] |= _FS_TOPDIR_FL
            fcntl.ioctl(fd, _FS_IOC_SETFLAGS, flags)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM):
            raise
    finally:
        os.close(fd)


def open_beneath(base: str, subpath: str) -> int:
    """A descriptor (O_PATH) of what lies at subpath beneath base. A link that leads out is EXDEV, not followed. Raises OSError."""
    root = os.open(base, _PATH | os.O_DIRECTORY)
    try:
        how = sys.RESOLVE_BENEATH | sys.RESOLVE_NO_MAGICLINKS
        return sys.openat2(root, os.path.normpath(subpath), _PATH, 0, how)
    finally:
        os.close(root)


class Root:
    """A directory taken as `/`. Closes its descriptor on `close` or at the end of `with`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def at(cls, path: str) -> Root:
        return cls(os.open(path, _PATH | os.O_DIRECTORY))

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open(self, path: str, flags: int = os.O_RDONLY, mode: int = 0) -> int:
        """A descriptor of path; every link in it is followed inside the root. Raises OSError."""
        return sys.openat2(self.fd, path, flags, mode, sys.RESOLVE_IN_ROOT | sys.RESOLVE_NO_MAGICLINKS)

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """(descriptor of the directory that holds path, last component): for *at() calls that must not follow it."""
        folder, name = os.path.split(path.rstrip("/"))
        if name in ("", ".", ".."):
            raise OSError(22, "not a name", path)
        fd = self.open(folder or "/", _PATH | os.O_DIRECTORY)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result:
        fd = self.open(path, _PATH | (0 if follow else os.O_NOFOLLOW))
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def read(self, path: str, limit_bytes: int) -> bytes:
        """The content of a regular file, at most limit_bytes; OSError for anything that is not one (a FIFO cannot hang us)."""
        fd = self.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(22, "not a regular file", path)
            with os.fdopen(os.dup(fd), "rb") as file:
                return file.read(limit_bytes)
        finally:
            os.close(fd)

    def make_dirs(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Create every missing directory of path, each with this mode and owner; existing ones are left alone."""
        done = ""
        for part in path.strip("/").split("/"):
            done = f"{done}/{part}"
            if part in ("", "."):
                continue
            try:
                os.close(self.open(done, _PATH | os.O_DIRECTORY))
            except FileNotFoundError:
                with self.parent(done) as (fd, name):
                    os.mkdir(name, mode, dir_fd=fd)
                    os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
                    os.chmod(f"/proc/self/fd/{fd}/{name}", mode)
