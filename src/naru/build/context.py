"""The build context: what the client sent, unpacked beneath a private directory from which nothing leads out.

Owns that directory from `receive` to the end of its `with`. The archive is unpacked by the confined child of
`snapshots.apply`; afterwards the tree is only ever read beneath its root. .dockerignore applies here as well, once the
Dockerfile has been read. Contexts that are URLs are not supported yet, and said so.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from naru.build import ignore
from naru.build.copy import Copier, Options
from naru.build.parse import FILE_LIMIT_BYTES
from naru.build.sources import Source, canonical, mapped
from naru.errors import InvalidArgument, Unsupported
from naru.images.feed import Pour, through_pipe
from naru.linux.erase import remove_tree
from naru.linux.files import Root
from naru.linux.threads import finish_in_thread
from naru.snapshots.apply import extract_into
from naru.snapshots.walk import walk

_IGNORE_LIMIT_BYTES = 1 << 20
_GIT = re.compile(r"(git://|git@|ssh://|github\.com/)|.*\.git(#.*)?$")
_URL = re.compile(r"https?://")


class Context:
    """A private directory taken as the context's root; made by `receive` and `local`, which own it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def dockerfile(self, name: str) -> bytes:
        """The Dockerfile at this path of the context. Raises InvalidArgument in Docker's words: also for one that is not
        a file (a FIFO cannot hang us), or a link that leads out of the context (to nothing, that is)."""
        with Root.at(self.path) as root:
            try:
                data = root.read(posixpath.normpath("/" + name), FILE_LIMIT_BYTES + 1)
            except OSError as error:
                raise InvalidArgument(f"Cannot locate specified Dockerfile: {name}") from error
        if not data:
            raise InvalidArgument(f"the Dockerfile ({name}) cannot be empty")
        return data

    def apply_ignore(self, dockerfile: str) -> None:
        """Delete from it what `<Dockerfile>.dockerignore`, or else `.dockerignore`, excludes. Blocks. Raises InvalidArgument."""
        with Root.at(self.path) as root:
            rules = _rules(root, dockerfile)
            if rules is None:
                return
            fd = root.open("/", os.O_RDONLY | os.O_DIRECTORY)
            try:
                _delete_excluded(fd, rules)
            finally:
                os.close(fd)


def _ignore_files(dockerfile: str) -> tuple[str, str]:
    return f"{dockerfile}.dockerignore", ".dockerignore"


def _rules(root: Root, dockerfile: str) -> ignore.Ignore | None:
    for name in _ignore_files(dockerfile):
        try:
            data = root.read(posixpath.normpath("/" + name), _IGNORE_LIMIT_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidArgument(f"error reading {name}: {error.strerror}") from error
        return ignore.Ignore(ignore.read(data))
    return None


def _delete_excluded(top: int, rules: ignore.Ignore) -> None:
    """Files as they are met, directories afterwards and only if nothing below had to stay."""
    directories: list[str] = []
    for found in walk(top):
        if not rules.excludes(found.path):
            continue
        if stat.S_ISDIR(found.stat.st_mode):
            directories.append(found.path)
        else:
            os.unlink(found.name, dir_fd=found.folder)
    for path in reversed(directories):
        _remove_if_empty(top, path)


def _remove_if_empty(top: int, path: str) -> None:
    folder, _, name = path.rpartition("/")
    fd = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY, dir_fd=top)
    try:
        inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        try:
            empty = not os.listdir(inside)
        finally:
            os.close(inside)
        if empty:
            os.rmdir(name, dir_fd=fd)
    finally:
        os.close(fd)


@asynccontextmanager
async def receive(body: Pour, scratch: str) -> AsyncIterator[Context]:
    """Unpack a tar, plain or compressed (gzip, bzip2, xz, zstd), as it arrives; the directory is gone afterwards.

    All owners become 0:0. Raises InvalidArgument for what is no archive, Unavailable for a full disk.
    """
    path = tempfile.mkdtemp(prefix="context-", dir=scratch)
    try:
        with Root.at(path) as root:
            await through_pipe(body, lambda archive: extract_into(root.fd, "/", archive, owner=(0, 0)))
        yield Context(path)
    finally:
        await finish_in_thread(remove_tree, path)


@asynccontextmanager
async def local(folder: str, scratch: str, dockerfile: str = "Dockerfile") -> AsyncIterator[Context]:
    """A copy of a local directory without what its .dockerignore excludes; the directory itself is only read."""
    path = tempfile.mkdtemp(prefix="context-", dir=scratch)
    try:
        await finish_in_thread(_copy, folder, path, dockerfile)
        yield Context(path)
    finally:
        await finish_in_thread(remove_tree, path)


def _copy(folder: str, path: str, dockerfile: str) -> None:
    try:
        with Root.at(folder) as source, Root.at(path) as target:
            rules = _rules(source, dockerfile)
            Copier(source, target, Options(excludes=rules)).copy(Source("", "", True), "/", into=True)
            for name in (dockerfile, *_ignore_files(dockerfile)):  # read before the rules apply to them
                with contextlib.suppress(FileNotFoundError):
                    where = posixpath.normpath("/" + name)
                    Copier(source, target, Options()).copy(
                        Source(canonical(source, where), where, False), where, into=False
                    )
    except OSError as error:
        raise mapped(error, f"build context {folder}") from error


def check_remote(url: str) -> None:
    """Refuse a `remote=` context with the reason: Unsupported for a kind that is not built yet, else InvalidArgument."""
    if _GIT.match(url):
        raise Unsupported(f"build contexts from a git repository are not supported yet: {url}")
    if _URL.match(url):
        raise Unsupported(f"build contexts from a URL are not supported yet: {url}")
    raise InvalidArgument(f"remote context {url!r}: neither a URL nor a git repository")
