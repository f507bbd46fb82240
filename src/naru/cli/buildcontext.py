"""The build context as a tar archive: a folder without what .dockerignore names, or what comes on stdin.

A Dockerfile that is not in the context (elsewhere, or on stdin) travels in it under a name of its own.
"""

from __future__ import annotations

import io
import os
import sys

from naru.cli import copytar, dockerignore
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DOCKERFILE = "Dockerfile"
_REMOTE = ("http://", "https://", "git://", "git@", "github.com/")
_IGNORE_LIMIT_BYTES = 1 << 20


class Context:
    """`body` is sent to POST /build, with `dockerfile` as the name to look for in it; or `remote` is, and body is empty."""

    def __init__(self, body: Iterable[bytes] | bytes, dockerfile: str, remote: str = "") -> None:
        self.body, self.dockerfile, self.remote = body, dockerfile, remote


def prepare(path: str, dockerfile: str) -> Context:
    """Raises InvalidArgument if there is no such folder or Dockerfile; the rest is read when the body is."""
    if path == "-":
        return _from_stdin(dockerfile)
    if path.startswith(_REMOTE):
        if dockerfile == "-":
            raise InvalidArgument("Dockerfile from STDIN is not supported with a remote context")
        return Context(b"", dockerfile or DOCKERFILE, path)
    if not os.path.isdir(path):
        raise InvalidArgument(f'unable to prepare context: path "{path}" not found')
    root = os.path.realpath(path)
    extra: list[tuple[str, bytes]] = []
    if dockerfile == "-":
        name, ignore_name = _foreign_name(), ""
        extra.append((name, sys.stdin.buffer.read()))
    else:
        name, ignore_name = _locate(root, path, dockerfile, extra)
    ignore = dockerignore.Ignore(_patterns(root, ignore_name), always=(name, ".dockerignore"))
    return Context(copytar.stream(_walk(root, ignore), root_owned=True, prepend=extra), name)


def _foreign_name() -> str:
    return f".dockerfile.{os.urandom(10).hex()}"


def _locate(root: str, path: str, dockerfile: str, extra: list[tuple[str, bytes]]) -> tuple[str, str]:
    """(the Dockerfile's name in the archive, the path of an ignore file of its own); adds to extra what lies outside."""
    found = dockerfile or os.path.join(path, DOCKERFILE)
    if not dockerfile and not os.path.lexists(found) and os.path.lexists(os.path.join(path, "dockerfile")):
        found = os.path.join(path, "dockerfile")
    absolute = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(found))), os.path.basename(found))
    if not os.path.isfile(absolute):
        raise InvalidArgument(
            f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat {absolute}: no such file or directory"
        )
    if absolute.startswith(f"{root}/"):
        return absolute[len(root) + 1 :], f"{absolute}.dockerignore"
    name = _foreign_name()
    try:
        with open(absolute, "rb") as file:
            extra.append((name, file.read()))
    except OSError as error:
        raise InvalidArgument(f"unable to open Dockerfile: {(error.strerror or '').lower()}") from error
    return name, f"{absolute}.dockerignore"


def _patterns(root: str, own: str) -> list[dockerignore.Pattern]:
    for path in (own, f"{root}/.dockerignore"):
        if path and os.path.isfile(path):
            try:
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    return dockerignore.read(file.read(_IGNORE_LIMIT_BYTES))
            except OSError as error:
                raise InvalidArgument(f"error reading {path}: {(error.strerror or '').lower()}") from error
            except ValueError as error:
                raise InvalidArgument(f"error checking context: {error}") from error
    return []


def _walk(root: str, ignore: dockerignore.Ignore) -> Iterator[tuple[str, str]]:
    """(path, name in the archive) of all that is sent, by name, folders before what is in them."""
    stack = [(root, "")]
    while stack:
        folder, prefix = stack.pop()
        try:
            found = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise InvalidArgument(
                f"error checking context: can't stat '{folder}': {(error.strerror or '').lower()}"
            ) from error
        folders = []
        for entry in found:
            name = f"{prefix}{entry.name}"
            ignored, is_dir = ignore.ignores(name), entry.is_dir(follow_symlinks=False)
            if is_dir and not (ignored and ignore.may_skip(name)):
                folders.append((entry.path, f"{name}/"))
            if not ignored:
                yield entry.path, name
        stack += reversed(folders)


def _from_stdin(dockerfile: str) -> Context:
    """A tar archive, or else a Dockerfile, whichever its first bytes say."""
    if dockerfile == "-":
        raise InvalidArgument("invalid argument: can't use stdin for both build context and dockerfile")
    start = copytar.read_some(sys.stdin.buffer, 512)
    if copytar.is_archive(start):
        return Context(_rest(start), dockerfile or DOCKERFILE)
    if dockerfile:
        raise InvalidArgument("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
    content = start + sys.stdin.buffer.read()
    return Context(copytar.stream((), prepend=[(DOCKERFILE, content)]), DOCKERFILE)


def _rest(start: bytes) -> Iterator[bytes]:
    yield start
    while piece := sys.stdin.buffer.read(io.DEFAULT_BUFFER_SIZE * 16):
        yield piece
