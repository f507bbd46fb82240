"""What COPY and ADD name: finding it beneath a root, and digesting it for the cache.

Every lookup stays beneath the root (`linux.files.Root`): links are followed as if the root were `/`. Trees are walked
by descriptors, following nothing. Digests cover path, kind, mode, owner, link target, file capabilities and content, and no time
(BuildKit's "slow" key does the same).
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from naru.build.glob import has_wildcards, path_glob
from naru.build.ignore import Ignore
from naru.errors import InvalidArgument, NotFound, Unavailable
from naru.linux.files import Root
from naru.snapshots.walk import Found, walk

CAPABILITY = "security.capability"
_PATH = os.O_PATH | os.O_NOFOLLOW
_LINK_LIMIT = 40
_PIECE = 1 << 20
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Source:
    """Something to copy: `path` has no link in it, `written` is how the pattern reached it, both relative to the root;
    `kept` is the part of the path that --parents makes again."""

    path: str
    written: str
    is_dir: bool
    kept: str = ""

    @property
    def name(self) -> str:
        return posixpath.basename(self.written)


def mapped(error: OSError, what: str) -> Unavailable | InvalidArgument:
    """A file system's refusal as ours: Unavailable if the disk is at fault, else InvalidArgument."""
    kind = Unavailable if error.errno in _OURS else InvalidArgument
    return kind(f"{shown(what)}: {error.strerror or error}")


def shown(name: str) -> str:
    """A file name, which may be any bytes, as text that can be stored and shown."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def canonical(root: Root, path: str) -> str:
    """path with every link in it resolved beneath root, relative to it; "" is the root. Raises OSError.

    The answer holds while nobody changes the tree, which is so for contexts and committed layers.
    """
    pending = path.split("/")[::-1]
    done: list[str] = []
    hops = 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del done[-1:]
            continue
        fd = root.open("/".join([*done, part]), _PATH)
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                done.append(part)
                continue
            target = os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)
        hops += 1
        if hops > _LINK_LIMIT:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        pending += target.split("/")[::-1]
    return "/".join(done)


def find(root: Root, written: str, *, parents: bool = False) -> list[Source]:
    """What a source names: one thing for a path, any number for a pattern, in order of name.

    Raises NotFound for a path that names nothing, InvalidArgument for a bad pattern or a broken link.
    """
    before = written.split("/./")[0] if parents and "/./" in written else ""
    skipped = len([part for part in before.split("/") if part not in ("", ".")])
    path = posixpath.normpath("/" + written).lstrip("/")
    out: list[Source] = []
    for reached in _expand(root, path, parents) if has_wildcards(path) else [path]:
        try:
            real = canonical(root, reached)
            is_dir = stat.S_ISDIR(root.stat(real or "/").st_mode)
        except FileNotFoundError as error:
            raise NotFound(f"stat {written}: file does not exist") from error
        except NotADirectoryError as error:
            raise NotFound(f"stat {written}: not a directory") from error
        except OSError as error:
            raise mapped(error, f"stat {written}") from error
        kept = "/".join(reached.split("/")[skipped:]) if parents else ""
        out.append(Source(real, reached, is_dir, kept))
    return out


def _expand(root: Root, pattern: str, deep: bool) -> list[str]:
    """The paths that match, component by component; with `deep`, `**` is any number of directories."""
    reached = [""]
    for part in pattern.split("/"):
        found: list[str] = []
        for base in reached:
            if deep and part == "**":
                found += [base, *(entry for entry in _below(root, base))]
            elif has_wildcards(part) or "\\" in part:
                glob = path_glob(part)
                found += [f"{base}/{name}".lstrip("/") for name in _names(root, base) if glob.matches(name)]
            else:
                path = f"{base}/{part}".lstrip("/")
                if _exists(root, path):
                    found.append(path)
        reached = list(dict.fromkeys(found))
    return reached


def _exists(root: Root, path: str) -> bool:
    try:
        root.stat(path, follow=False)
    except OSError:
        return False
    return True


def _names(root: Root, path: str) -> list[str]:
    try:
        fd = root.open(path or "/", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENOENT, errno.ELOOP):
            return []
        raise mapped(error, f"open {path}") from error
    try:
        return sorted(os.listdir(fd), key=os.fsencode)
    finally:
        os.close(fd)


def _below(root: Root, path: str) -> Iterator[str]:
    fd = root.open(path or "/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for found in walk(fd, path):
            if stat.S_ISDIR(found.stat.st_mode):
                yield found.path
    finally:
        os.close(fd)


def entries(root: Root, source: Source, excludes: Ignore | None) -> Iterator[Found]:
    """Everything below a source directory that is not excluded; paths are relative to it.

    A directory that is excluded while something below it is not comes with it.
    """
    fd = root.open(source.path or "/", os.O_RDONLY | os.O_DIRECTORY)
    pending: list[Found] = []
    try:
        for found in walk(fd):
            if excludes is None:
                yield found
            elif not excludes.excludes(found.path):
                for directory in pending:
                    if found.path.startswith(directory.path + "/"):
                        yield directory
                pending = []
                yield found
            elif excludes.may_reinclude and stat.S_ISDIR(found.stat.st_mode):
                pending = [held for held in pending if found.path.startswith(held.path + "/")]
                pending.append(found)
    finally:
        os.close(fd)


def digests(
    root: Root, source: Source, excludes: Ignore | None, *, keep_owner: bool = False, keep_mode: bool = True
) -> dict[str, str]:
    """Path → digest for the source and all below it. Owner and mode count only if the copy keeps them.

    Blocks as long as reading takes; hashing and reading release the GIL. Raises NotFound, InvalidArgument, Unavailable.
    """
    out: dict[str, str] = {}
    try:
        if not source.is_dir:
            with root.parent(source.path) as (folder, name):
                found = Found(source.path, name, folder, os.stat(name, dir_fd=folder, follow_symlinks=False))
                return {source.written: _digest(found, keep_owner, keep_mode)}
        prefix = source.written + "/" if source.written else ""
        for found in entries(root, source, excludes):
            out[prefix + found.path] = _digest(found, keep_owner, keep_mode)
    except OSError as error:
        raise mapped(error, source.written) from error
    return out


def _digest(found: Found, keep_owner: bool, keep_mode: bool) -> str:
    info = found.stat
    kind = stat.S_IFMT(info.st_mode)
    header = [f"{kind:o}", f"{info.st_mode & 0o7777:o}" if keep_mode and kind != stat.S_IFLNK else ""]
    header.append(f"{info.st_uid}:{info.st_gid}" if keep_owner else "")
    hasher = hashlib.sha256()
    if kind == stat.S_IFLNK:
        header.append(os.readlink(found.name, dir_fd=found.folder))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        header.append(str(info.st_rdev))
    elif kind == stat.S_IFREG:
        fd = found.open()
        try:
            header.append(capability(fd).hex())
            hasher.update("\0".join(header).encode("utf-8", "surrogateescape") + b"\0")
            while piece := os.read(fd, _PIECE):
                hasher.update(piece)
        finally:
            os.close(fd)
        return hasher.hexdigest()
    hasher.update("\0".join(header).encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()


def capability(fd: int) -> bytes:
    """The file capabilities of an open file, b"" if it has none."""
    try:
        return os.getxattr(fd, CAPABILITY)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return b""
        raise
