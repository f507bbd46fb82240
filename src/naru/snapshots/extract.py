"""Entries of a tar into the directory that is `/` for this process. Runs in the unpacking child only (`unpack_child`).

The boundary is the kernel's: the process has chrooted into an empty (or a container's) directory, owns no descriptor
that leads out of it, and its address space and file sizes are limited. What is checked here beyond that keeps a hostile
archive from wrecking its own tree: no `..`, no name through a file, and never a write to a file that existed before.

Layers (OCI image-spec layer.md "Whiteouts"): `.wh.name` becomes overlayfs's whiteout (character device 0:0), unless the
same layer has `name` itself; then, and for `.wh..wh..opq`, the directory is marked opaque. Attributes that overlayfs
reads (trusted.*) are never taken from an archive.
"""

from __future__ import annotations

import os
import stat

from naru.errors import InvalidArgument
from naru.linux.erase import remove_tree
from naru.snapshots.tarformat import BLOCKDEV, CHAR, DIR, FIFO, FILE, HARDLINK, SYMLINK, Entry, safe_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from naru.snapshots.tarstream import TarReader

WHITEOUT = ".wh."
OPAQUE_MARK = ".wh..wh..opq"
OPAQUE_XATTR = "trusted.overlay.opaque"
_CAPABILITY = "security.capability"
_UNIT = 4096
_LARGE = range(1 << 20, 1 << 30)  # bytes; of more than that nobody takes an archive's word


def kept_xattr(name: str) -> bool:
    """True for the extended attributes that travel in layers; those that steer overlayfs never do."""
    return name == _CAPABILITY or (name.startswith("user.") and not name.startswith("user.overlay."))


def is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


class Extractor:
    """Give it each entry with `add`, then call `finish`. The working directory is the target, the umask 0."""

    def __init__(
        self,
        *,
        layer: bool,
        keep_kind: bool = False,
        owner: tuple[int, int] | None = None,
        splice: Callable[[int, int], int] | None = None,
    ) -> None:
        self._layer = layer  # whiteouts mean something; missing directories are the layer below's
        self._keep_kind = keep_kind  # Docker's noOverwriteDirNonDir
        self._owner = owner
        # (descriptor, n): what comes next of the archive, up to n bytes of it, straight to a file
        self._splice = splice
        self._folders: set[str] = set()  # known to be directories, under these very names
        self._times: dict[str, int] = {}  # of directories, set when nothing is written to them any more
        self.implied: dict[str, None] = {"": None} if layer else {}  # directories that had no entry of their own
        self.disk_bytes = 0
        self._makers: dict[str, Callable[[str, Entry, TarReader], None]] = {
            FILE: self._file, HARDLINK: self._hardlink, SYMLINK: self._symlink, CHAR: self._node, BLOCKDEV: self._node,
            FIFO: self._node, DIR: self._dir,
        }  # fmt: skip

    def add(self, entry: Entry, body: TarReader) -> None:
        """Make entry, in the place of what had its name. Raises InvalidArgument, OSError."""
        path = safe_path(entry.name)
        if not path:
            self._top(entry)
            return
        folder, _, name = path.rpartition("/")
        if folder and folder not in self._folders:
            self._make_folders(folder)
        if self._layer and name.startswith(WHITEOUT):
            self._whiteout(folder, name)
            return
        make = self._makers[entry.kind]
        try:
            make(path, entry, body)
        except FileExistsError:
            hidden = self._make_room(path, entry)
            make(path, entry, body)
            if hidden and entry.kind == DIR:
                os.setxattr(path, OPAQUE_XATTR, b"y", follow_symlinks=False)

    def finish(self) -> None:
        """Set what had to wait until the last entry: the times of directories."""
        for path in self.implied:
            self._times.setdefault(path or ".", 0)
        for path, mtime_s in self._times.items():
            try:
                os.utime(path, (mtime_s, mtime_s), follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry took the place of a directory above it

    def _top(self, entry: Entry) -> None:
        if entry.kind != DIR:
            raise InvalidArgument(f"invalid tar entry {entry.name!r}: the root can only be a directory")
        if self._layer:
            self._settle_dir(".", entry)
            self.implied.pop("", None)

    def _make_folders(self, folder: str) -> None:
        path = ""
        for part in folder.split("/"):
            path = f"{path}/{part}" if path else part
            if path in self._folders:
                continue
            try:
                os.mkdir(path, 0o755)
            except FileExistsError:
                if self._layer and is_whiteout(os.lstat(path)):
                    os.unlink(path)
                    os.mkdir(path, 0o755)
                    os.setxattr(path, OPAQUE_XATTR, b"y", follow_symlinks=False)
                elif not os.path.isdir(path):
                    raise InvalidArgument(f"invalid tar entry below {path[:200]!r}, which is not a directory") from None
                self._folders.add(path)
                continue
            os.chown(path, 0, 0, follow_symlinks=False)  # a setgid parent would give its group
            if self._layer:
                self.implied[path] = None
            self._folders.add(path)

    def _make_room(self, path: str, entry: Entry) -> bool:
        """Remove what is at path; True if that was a whiteout."""
        found = os.lstat(path)
        folder = stat.S_ISDIR(found.st_mode)
        if self._keep_kind and folder != (entry.kind == DIR):
            old, new = ("directory", "non-directory") if folder else ("non-directory", "directory")
            raise InvalidArgument(
                f'cannot overwrite {old} "{path}" with {new} "{os.getcwd()}"'
            )  # sic: Docker names the place
        if folder:
            remove_tree(path)
            self._times.pop(path, None)
            self.implied.pop(path, None)
        else:
            os.unlink(path)
        if folder or path in self._folders:
            self._folders.clear()  # names below it, or through it, may mean something else now
        return self._layer and is_whiteout(found)

    def _whiteout(self, folder: str, name: str) -> None:
        if name == OPAQUE_MARK:
            os.setxattr(folder or ".", OPAQUE_XATTR, b"y")
            return
        if name.startswith(WHITEOUT + WHITEOUT):
            return  # .wh..wh.plnk and the like: book-keeping of AUFS, which Docker skips too
        hidden = name.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            raise InvalidArgument(f"invalid whiteout {name!r}")
        path = f"{folder}/{hidden}" if folder else hidden
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            os.mknod(path, stat.S_IFCHR, 0)
            os.utime(path, (0, 0), follow_symlinks=False)
            return
        if stat.S_ISDIR(found.st_mode):  # a whiteout hides what is below this layer, not what is in it
            os.setxattr(path, OPAQUE_XATTR, b"y", follow_symlinks=False)

    def _owner_of(self, entry: Entry) -> tuple[int, int]:
        return self._owner or (entry.uid, entry.gid)

    def _set_xattrs(self, target: str | int, entry: Entry) -> None:
        for name, value in entry.xattrs.items():
            if kept_xattr(name):
                os.setxattr(target, name, value)

    def _file(self, path: str, entry: Entry, body: TarReader) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

        def write(piece: memoryview) -> None:
            while piece:
                piece = piece[os.write(fd, piece) :]

        move = (lambda most: splice(fd, most)) if (splice := self._splice) else None

        try:
            if entry.size in _LARGE:  # the room in one piece: half the time of a write is finding it
                os.posix_fallocate(fd, 0, entry.size)
            if entry.size:
                try:
                    body.copy(write, move)
                except BaseException:
                    os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))
                    raise
            os.fchown(fd, *self._owner_of(entry))
            os.fchmod(fd, entry.mode)  # after chown and write, which clear setuid; capabilities after both
            self._set_xattrs(fd, entry)
            os.utime(fd, (entry.mtime_s, entry.mtime_s))
        finally:
            os.close(fd)
        self.disk_bytes += -(-entry.size // _UNIT) * _UNIT

    def _dir(self, path: str, entry: Entry, body: TarReader) -> None:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise
        self._settle_dir(path, entry)
        self._folders.add(path)
        self.implied.pop(path, None)
        self.disk_bytes += _UNIT

    def _settle_dir(self, path: str, entry: Entry) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(fd, *self._owner_of(entry))
            os.fchmod(fd, entry.mode)
            self._set_xattrs(fd, entry)
        finally:
            os.close(fd)
        self._times[path] = entry.mtime_s

    def _symlink(self, path: str, entry: Entry, body: TarReader) -> None:
        if not entry.link:
            raise InvalidArgument(f"invalid tar entry {entry.name[:200]!r}: a link to nothing")
        os.symlink(entry.link, path)
        os.chown(path, *self._owner_of(entry), follow_symlinks=False)
        os.utime(path, (entry.mtime_s, entry.mtime_s), follow_symlinks=False)

    def _hardlink(self, path: str, entry: Entry, body: TarReader) -> None:
        target = safe_path(entry.link)
        if not target or target == path:
            raise InvalidArgument(f"invalid tar entry {entry.name[:200]!r}: a hard link to {entry.link[:200]!r}")
        os.link(target, path, follow_symlinks=False)

    def _node(self, path: str, entry: Entry, body: TarReader) -> None:
        kind = {CHAR: stat.S_IFCHR, BLOCKDEV: stat.S_IFBLK, FIFO: stat.S_IFIFO}[entry.kind]
        os.mknod(path, kind | entry.mode, os.makedev(entry.major, entry.minor))
        os.chown(path, *self._owner_of(entry), follow_symlinks=False)
        os.utime(path, (entry.mtime_s, entry.mtime_s), follow_symlinks=False)
