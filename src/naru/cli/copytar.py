"""The tar archives of `cp`: a path of ours as a stream, and a stream from a container as files of ours.

What comes from a container is not trusted: names are unpacked beneath the destination only, through no link of theirs.
"""

from __future__ import annotations

import errno
import io
import os
import tarfile

from naru.cli.extract import Extraction
from naru.errors import InvalidArgument, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

_PIECE_BYTES = 1 << 17


def entries(root: str, name: str) -> Iterator[tuple[str, str]]:
    """(path, archive name) of root, called name, and all below it, parents first; "" keeps the top itself out of the names."""
    yield root, name or "."
    if not os.path.isdir(root) or os.path.islink(root):
        return
    stack = [(root, name)]
    while stack:
        folder, prefix = stack.pop()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            inside = f"{prefix}/{entry.name}" if prefix else entry.name
            yield entry.path, inside
            if entry.is_dir(follow_symlinks=False):
                stack.append((entry.path, inside))


def stream(
    items: Iterable[tuple[str, str]], *, root_owned: bool = False, prepend: Iterable[tuple[str, bytes]] = ()
) -> Iterator[bytes]:
    """An archive of these paths under these names, in pieces; `prepend` are (name, content) of files that exist only here.

    Raises Unavailable, in the middle, for what cannot be read.
    """
    gathered: list[bytes] = []
    size = 0
    for record in _records(items, root_owned, prepend):
        gathered.append(record)
        size += len(record)
        if size >= _PIECE_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def _records(
    items: Iterable[tuple[str, str]], root_owned: bool, prepend: Iterable[tuple[str, bytes]]
) -> Iterator[bytes]:
    """The archive in the pieces in which it is made: headers, contents, the end."""
    for name, content in prepend:
        header = tarfile.TarInfo(name)
        header.size = len(content)
        yield _encoded(header) + content + _padding(header)
    inodes = tarfile.TarFile(fileobj=io.BytesIO(), mode="w")  # never written to: it knows which files are links of one
    for path, name in items:
        try:
            found = inodes.gettarinfo(path, name)
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {(error.strerror or '').lower()}") from error
        if found is None:
            continue  # a socket: tar has no word for it
        if root_owned:
            found.uid = found.gid = 0
            found.uname = found.gname = ""
        yield _encoded(found)
        if found.isreg():
            yield from _content(found, path)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _encoded(header: tarfile.TarInfo) -> bytes:
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(header: tarfile.TarInfo) -> bytes:
    return b"\0" * (-header.size % tarfile.BLOCKSIZE)


def _content(header: tarfile.TarInfo, path: str) -> Iterator[bytes]:
    """A regular file, piece by piece: as many bytes as its header says, whatever happens to it meanwhile."""
    try:
        with open(path, "rb") as file:
            left = header.size
            while left:
                piece = file.read(min(left, _PIECE_BYTES))
                if not piece:
                    raise Unavailable(f"{path} became shorter while it was read")
                left -= len(piece)
                yield piece
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {(error.strerror or '').lower()}") from error
    yield _padding(header)


def pack(path: str, name: str) -> Iterator[bytes]:
    """An archive of path whose top is called name ("" for the contents of a folder)."""
    return stream(entries(path, name))


class _In(io.RawIOBase):
    """Pieces as a file that tarfile reads from."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self.size_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
            self.size_bytes += len(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def unpack(pieces: Iterable[bytes], folder: str, top: str, name: str, *, keep_owner: bool) -> int:
    """Unpack beneath folder, the archive's top entry `top` renamed to name ("" = its contents only). Returns the archive's size.

    Raises InvalidArgument for an archive whose names lead elsewhere.
    """
    source = _In(pieces)
    top = top.strip("/")
    with (
        tarfile.open(fileobj=io.BufferedReader(source, _PIECE_BYTES), mode="r|") as archive,
        Extraction(folder, keep_owner=keep_owner) as extraction,
    ):
        for header in archive:
            header.name = _renamed(header.name, top, name) or "."
            if header.islnk():
                header.linkname = _renamed(header.linkname, top, name)
            if ".." in header.name.split("/"):
                raise _leads_out(folder, header.name)
            try:
                extraction.add(header, archive)
            except OSError as error:
                if error.errno in (errno.EXDEV, errno.ELOOP):
                    raise _leads_out(folder, header.name) from error
                reason = (error.strerror or "").lower()
                raise Unavailable(f"cannot write {os.path.join(folder, header.name)}: {reason}") from error
        while source.read(_PIECE_BYTES):
            pass  # what follows the archive's end
    return source.size_bytes


def _renamed(path: str, top: str, name: str) -> str:
    """An entry's path with the archive's top called name."""
    path = path.strip("/").removeprefix("./")
    if top and (path == top or path.startswith(f"{top}/")):
        path = path[len(top) :].strip("/")
    elif path == ".":
        path = ""
    return "/".join(part for part in (name, path) if part)


def _leads_out(folder: str, name: str) -> InvalidArgument:
    return InvalidArgument(f"the container's archive has an entry that leads out of {folder}: {name!r}")


def is_archive(start: bytes) -> bool:
    """Do these first bytes begin a tar archive, plain or compressed?"""
    magic = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
    return start[257:262] == b"ustar" or start.startswith(magic)


def read_some(file: IO[bytes], size_bytes: int) -> bytes:
    """As many bytes as there are, up to size."""
    out = b""
    while len(out) < size_bytes and (piece := file.read(size_bytes - len(out))):
        out += piece
    return out
