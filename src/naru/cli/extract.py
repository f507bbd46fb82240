"""Writing what a container's archive holds into a folder of the user's, and nowhere else.

tarfile only reads here; what is written is reached through descriptors. The kernel resolves every parent beneath the
folder (openat2, RESOLVE_BENEATH), so a name or a link that leads out of it is an error, whatever was unpacked before, and
the last component of a name is never followed.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile

from naru.linux import syscalls
from naru.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS

_PIECE_BYTES = 1 << 18
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Extraction:
    """Use it in a `with`; give it each entry in the archive's order. Raises OSError; EXDEV means that a name leads out."""

    def __init__(self, folder: str, *, keep_owner: bool) -> None:
        self._root = os.open(folder, _DIRECTORY)
        self._keep_owner = keep_owner
        self._directories: list[tuple[str, tarfile.TarInfo]] = []  # settled when nothing is written to them any more

    def __enter__(self) -> Extraction:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            for path, header in reversed(self._directories):
                self._settle_directory(path, header)
        finally:
            os.close(self._root)

    def _open(self, path: str) -> int:
        return syscalls.openat2(self._root, path or ".", _DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)

    def _parent(self, path: str) -> tuple[int, str]:
        """(descriptor of the directory, last component); missing directories are made."""
        folder, _, name = path.rpartition("/")
        try:
            return self._open(folder), name
        except FileNotFoundError:
            above, last = self._parent(folder)
            try:
                os.mkdir(last, 0o755, dir_fd=above)
            finally:
                os.close(above)
            return self._open(folder), name

    def add(self, header: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        if header.name in ("", "."):
            self._directories.append((".", header))
            return
        parent, name = self._parent(header.name)
        try:
            if header.isdir():
                self._make_directory(parent, name)
            else:
                self._make_room(parent, name)
                self._make(parent, name, header, archive)
                self._settle(parent, name, header)
        finally:
            os.close(parent)
        if header.isdir():
            self._directories.append((header.name, header))

    def _make_directory(self, parent: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise

    @staticmethod
    def _make_room(parent: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return

    def _make(self, parent: int, name: str, header: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        if header.issym():
            os.symlink(header.linkname, name, dir_fd=parent)
        elif header.islnk():
            source, last = self._parent(header.linkname.strip("/"))
            try:
                os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(source)
        elif header.isfile():
            self._write(parent, name, header, archive)
        elif header.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
        else:
            raise OSError(errno.EPERM, "not a file, directory or link", header.name)

    @staticmethod
    def _write(parent: int, name: str, header: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        content = archive.extractfile(header)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        try:
            while content is not None and (piece := content.read(_PIECE_BYTES)):
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
        finally:
            os.close(fd)

    def _settle(self, parent: int, name: str, header: tarfile.TarInfo) -> None:
        if header.islnk():
            return
        if self._keep_owner:
            os.chown(name, header.uid, header.gid, dir_fd=parent, follow_symlinks=False)
        if not header.issym():
            os.chmod(f"/proc/self/fd/{parent}/{name}", header.mode & 0o7777)
        os.utime(name, (header.mtime, header.mtime), dir_fd=parent, follow_symlinks=False)

    def _settle_directory(self, path: str, header: tarfile.TarInfo) -> None:
        fd = self._open(path)
        try:
            if self._keep_owner:
                os.fchown(fd, header.uid, header.gid)
            os.fchmod(fd, header.mode & 0o7777)
            os.utime(fd, (header.mtime, header.mtime))
        finally:
            os.close(fd)
