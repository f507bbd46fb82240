"""Putting sources into a root file system: COPY's rules for destinations, owners, modes and times.

Everything is done beneath two roots with *at() calls: what an image holds can send a copy nowhere but elsewhere in that
image. Links in the destination's path are followed there; a file that is in the way is replaced, not written through,
except for the destination itself where it is a link, as Docker has it. Archives are not unpacked here (`steps.py`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from naru.build.chmod import Change
from naru.build.ignore import Ignore
from naru.build.sources import CAPABILITY, Source, capability, entries, mapped, shown
from naru.errors import InvalidArgument
from naru.linux.files import Root, write_all
from naru.snapshots.walk import Found

_DIR = os.O_RDONLY | os.O_DIRECTORY
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """`owner` None keeps the sources' owners; `made` owns directories that had to be made on the way."""

    owner: tuple[int, int] | None = (0, 0)
    chmod: Change | None = None
    excludes: Ignore | None = None

    @property
    def made(self) -> tuple[int, int]:
        return self.owner or (0, 0)


@dataclass(slots=True)
class Copier:
    """Copies from one root into another; remembers hard links across its calls."""

    source: Root
    target: Root
    options: Options
    _links: dict[tuple[int, int], str] = field(default_factory=dict)

    def copy(self, what: Source, destination: str, *, into: bool) -> None:
        """Copy one source to `destination` (absolute). `into`: it names a directory, and a file keeps its name in it.

        A directory's content goes into the destination, not the directory itself. Raises InvalidArgument, Unavailable.
        """
        try:
            if what.kept:
                destination = posixpath.join(destination, what.kept)
                if not what.is_dir:
                    self._file(what, destination)
                else:
                    self._tree(what, destination)
            elif what.is_dir:
                self._tree(what, destination)
            elif into or self._is_dir(destination):
                self._file(what, posixpath.join(destination, what.name))
            else:
                self._file(what, destination)
        except OSError as error:
            raise mapped(error, f"copying {what.written} to {destination}") from error

    def _is_dir(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(self.target.stat(path).st_mode)
        except FileNotFoundError:
            return False

    def _file(self, what: Source, path: str) -> None:
        self.target.make_dirs(posixpath.dirname(path), 0o755, *self.options.made)
        with self.source.parent(what.path) as (folder, name):
            found = Found(what.path, name, folder, os.stat(name, dir_fd=folder, follow_symlinks=False))
            with self.target.parent(path) as (parent, last):
                if stat.S_ISREG(found.stat.st_mode) and _is_link(parent, last):
                    self._through_link(found, path)
                else:
                    self._entry(found, parent, last, path)

    def _tree(self, what: Source, path: str) -> None:
        top = self.source.stat(what.path or "/")
        made: list[tuple[str, os.stat_result]] = []  # directories, whose times are set last
        if not self._exists(path):
            self.target.make_dirs(posixpath.dirname(path), 0o755, *self.options.made)
            with self.target.parent(path) as (parent, name):
                os.mkdir(name, 0o700, dir_fd=parent)
            made.append((path, top))
        elif not self._is_dir(path):
            raise InvalidArgument(f"cannot copy to non-directory: {shown(path)}")
        where, fd = "", self.target.open(path, _DIR)
        try:
            if made:
                self._attributes(fd, top)
            for found in entries(self.source, what, self.options.excludes):
                folder, _, name = found.path.rpartition("/")
                if folder != where:
                    os.close(fd)
                    fd = -1
                    where, fd = folder, self.target.open(posixpath.join(path, folder), _DIR)
                here = posixpath.join(path, found.path)
                if stat.S_ISDIR(found.stat.st_mode):
                    self._directory(found, fd, name, here)
                    made.append((here, found.stat))
                else:
                    self._entry(found, fd, name, here)
        finally:
            if fd >= 0:
                os.close(fd)
        for directory, info in reversed(made):
            with _opened(self.target, directory) as opened:
                os.utime(opened, ns=(info.st_mtime_ns, info.st_mtime_ns))

    def _exists(self, path: str) -> bool:
        try:
            self.target.stat(path)
        except FileNotFoundError:
            return False
        return True

    def _directory(self, found: Found, parent: int, name: str, path: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError as error:
            if not self._is_dir(path):
                raise InvalidArgument(f"cannot copy to non-directory: {shown(path)}") from error
        with _opened(self.target, path) as fd:
            self._attributes(fd, found.stat)

    def _attributes(self, fd: int, info: os.stat_result) -> None:
        """Owner, then mode: chown takes setuid bits and capabilities away."""
        os.fchown(fd, *(self.options.owner or (info.st_uid, info.st_gid)))
        os.fchmod(fd, self._mode(info))

    def _mode(self, info: os.stat_result) -> int:
        mode = stat.S_IMODE(info.st_mode)
        return self.options.chmod(mode, stat.S_ISDIR(info.st_mode)) if self.options.chmod else mode

    def _entry(self, found: Found, parent: int, name: str, path: str) -> None:
        """One thing that is no directory, in place of whatever file is there."""
        info = found.stat
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFSOCK:
            return
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass  # the usual case: nothing was there
        except IsADirectoryError as error:
            raise InvalidArgument(
                f"cannot overwrite directory {shown(path)} with non-directory {shown(found.path)}"
            ) from error
        if info.st_nlink > 1 and self._linked(info, parent, name, path):
            return
        if kind == stat.S_IFREG:
            fd = os.open(
                name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent
            )
            try:
                self._content(found, fd)
            finally:
                os.close(fd)
            return
        owner = self.options.owner or (info.st_uid, info.st_gid)
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(found.name, dir_fd=found.folder), name, dir_fd=parent)
            os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
        else:
            os.mknod(name, kind | 0o600, info.st_rdev, dir_fd=parent)
            os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
            os.chmod(f"/proc/self/fd/{parent}/{name}", self._mode(info))
        os.utime(name, ns=(info.st_mtime_ns, info.st_mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _linked(self, info: os.stat_result, parent: int, name: str, path: str) -> bool:
        """Make it a hard link of the copy of its first name; False if this is the first."""
        first = self._links.setdefault((info.st_dev, info.st_ino), path)
        if first == path:
            return False
        with self.target.parent(first) as (folder, last):
            os.link(last, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
        return True

    def _through_link(self, found: Found, path: str) -> None:
        """Write to where a link at the destination points, made if it is not there; only ever a regular file (it is looked
        at before it is opened: opening a device of the image's would be opening the host's)."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(self.target.stat(path).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
        fd = self.target.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
        try:
            os.ftruncate(fd, 0)
            self._content(found, fd)
        finally:
            os.close(fd)

    def _content(self, found: Found, fd: int) -> None:
        source = found.open()
        try:
            info = os.fstat(source)
            if not stat.S_ISREG(info.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", found.path)
            _copy_bytes(source, fd)
            self._attributes(fd, info)
            if capabilities := capability(source):
                os.setxattr(fd, CAPABILITY, capabilities)
            os.utime(fd, ns=(info.st_mtime_ns, info.st_mtime_ns))
        finally:
            os.close(source)


def _is_link(parent: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def _opened(root: Root, path: str) -> Iterator[int]:
    fd = root.open(path, _DIR)
    try:
        yield fd
    finally:
        os.close(fd)


def _copy_bytes(source: int, target: int) -> None:
    """By reference where the file system can (reflink), else within the kernel, else by hand."""
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF):
            raise
    os.lseek(source, 0, os.SEEK_SET)
    os.lseek(target, 0, os.SEEK_SET)
    while piece := os.read(source, _PIECE):
        write_all(target, piece)
