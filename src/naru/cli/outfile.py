"""Bytes that go past Python's buffers: to stdout, or to the file that --output names, which is whole or not there."""

from __future__ import annotations

import os

from naru.errors import InvalidArgument, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def write_all(fd: int, data: bytes) -> None:
    """Write data to a descriptor, past Python's buffers. Raises BrokenPipeError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write(pieces: Iterable[bytes], path: str) -> None:
    """Write all to path (under a temporary name until it is whole) or, if path is "", to stdout. Raises InvalidArgument, Unavailable."""
    if not path:
        for piece in pieces:
            write_all(1, piece)
        return
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as device:  # a pipe or a device is written as it is
            for piece in pieces:
                device.write(piece)
        return
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(fd, "wb") as file:
                for piece in pieces:
                    file.write(piece)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise Unavailable(f"failed to write {path}: {(error.strerror or '').lower()}") from error


def check(path: str, what: str) -> None:
    """Raises InvalidArgument if the archive would land on a terminal, or in a folder that is not there."""
    if not path and os.isatty(1):
        raise InvalidArgument(f"cowardly refusing to {what} to a terminal. Use the -o flag or redirect")
    folder = os.path.dirname(path) or "."
    if path and not os.path.isdir(folder):
        raise InvalidArgument(f'invalid output path: directory "{folder}" does not exist')


def read(path: str) -> Iterator[bytes]:
    """A file (or stdin, for "" and "-") in pieces. Raises InvalidArgument before the first if it cannot be opened."""
    if path in ("", "-"):
        return _pieces(os.dup(0))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidArgument(f"open {path}: {(error.strerror or '').lower()}") from error
    if os.path.isdir(f"/proc/self/fd/{fd}"):
        os.close(fd)
        raise InvalidArgument(f"read {path}: is a directory")
    return _pieces(fd)


def _pieces(fd: int) -> Iterator[bytes]:
    try:
        while piece := os.read(fd, 1 << 18):
            yield piece
    finally:
        os.close(fd)
