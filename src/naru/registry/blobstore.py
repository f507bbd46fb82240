"""Where the bytes of blobs lie: objects under keys that are never used twice. What they are, and whose, is in the database.

A Spool is an object on its way in: it is written piece by piece, by one process at a time, and may be paused in one and resumed in
another. An object is there, whole and safe from a power cut, when `finish` has returned; until then nobody can read it.

Everything here blocks: it is called in threads. `Folder` is the store of one machine; `s3` has the other.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol, TypeAlias

from naru.errors import DataLoss, InvalidArgument
from naru.linux.files import sync_dir, write_all
from naru.linux.threads import in_fresh_thread

_SYNC_BYTES = (
    32 << 20
)  # a large one goes to the disk while the rest of it arrives: half the time of a push was its sync


@dataclass(frozen=True, slots=True)
class File:
    """Bytes that this machine can send itself."""

    path: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Bytes that the client can fetch there, without saying who it is."""

    url: str


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes that this machine has to fetch to send them. `open` blocks: so many bytes (one at least; None: all) from there on. It, and
    reading, may raise DataLoss and Unavailable."""

    open: Callable[[int, int | None], BinaryIO]


Place: TypeAlias = File | Redirect | Stream


class Spool(Protocol):
    size_bytes: int

    def write(self, data: bytes | memoryview) -> None: ...

    def pause(self) -> str:
        """All that was written can be gone on from, with the state that is returned."""

    def finish(self) -> None: ...

    def close(self) -> None:
        """Let go of it; what was paused can be resumed."""


class BlobStore(Protocol):
    def begin(self, key: str) -> Spool: ...

    def resume(self, key: str, state: str, size_bytes: int) -> Spool:
        """Raises DataLoss if less than that is there."""

    def where(self, key: str, *, direct: bool = True) -> Place:
        """`direct`: whether the client may be sent elsewhere."""

    def open(self, key: str) -> BinaryIO:
        """To read all of it. Raises DataLoss if there is no such object."""

    def delete(self, key: str) -> None:
        """Nothing of it, finished or not, is left; it need not be there."""

    def walk(self) -> Iterator[tuple[str, float]]:
        """The key and the time of every object, finished or not; one that is not may come twice."""


def new_key() -> str:
    return secrets.token_hex(16)


def open_store(place: str) -> BlobStore:
    """A path, or `s3://BUCKET/PREFIX`. Raises InvalidArgument."""
    if "://" not in place:
        return Folder(place)
    if place.startswith("s3://"):
        from naru.registry.s3 import open_bucket  # noqa: PLC0415 - boto3 is for those who have a bucket

        return open_bucket(place)
    raise InvalidArgument(f"blob store {place.partition(':')[0]}: is none of a path and s3://BUCKET/PREFIX")


class Folder:
    """`<root>/<first two>/<key>`: one file per object, written where it stays."""

    def __init__(self, root: str) -> None:
        self._root = root
        folders = [os.path.join(root, f"{first:02x}") for first in range(256)]
        missing = [folder for folder in folders if not os.path.isdir(folder)]
        for folder in missing:
            os.makedirs(folder, exist_ok=True)
        if missing:
            sync_dir(root)
            sync_dir(os.path.dirname(os.path.abspath(root)))

    def path(self, key: str) -> str:
        return os.path.join(self._root, key[:2], key)

    def begin(self, key: str) -> FileSpool:
        return FileSpool(self.path(key), os.O_CREAT | os.O_EXCL, 0)

    def resume(self, key: str, state: str, size_bytes: int) -> FileSpool:
        try:
            return FileSpool(self.path(key), 0, size_bytes)
        except FileNotFoundError as error:
            raise DataLoss(f"upload {key}: its bytes are gone") from error

    def where(self, key: str, *, direct: bool = True) -> File:
        return File(self.path(key))

    def open(self, key: str) -> BinaryIO:
        try:
            return open(self.path(key), "rb")
        except FileNotFoundError as error:
            raise DataLoss(f"object {key}: its bytes are gone") from error

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.path(key))

    def walk(self) -> Iterator[tuple[str, float]]:
        for first in range(256):
            with os.scandir(os.path.join(self._root, f"{first:02x}")) as entries:
                for entry in entries:
                    try:
                        yield entry.name, entry.stat().st_mtime
                    except FileNotFoundError:
                        continue  # deleted meanwhile


class FileSpool:
    def __init__(self, path: str, flags: int, size_bytes: int) -> None:
        """Raises FileNotFoundError; DataLoss if the file has less than that. More was never acknowledged, and goes."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        if os.fstat(self._fd).st_size < size_bytes:
            os.close(self._fd)
            raise DataLoss(f"upload {os.path.basename(path)}: not all of its bytes are there")
        os.ftruncate(self._fd, size_bytes)
        os.lseek(self._fd, size_bytes, os.SEEK_SET)
        self.size_bytes = size_bytes
        self._asked_bytes = size_bytes  # so much was there when a sync was last begun
        self._syncing: Future[None] | None = None

    def write(self, data: bytes | memoryview) -> None:
        try:
            write_all(self._fd, data)
        except OSError:  # the disk is full: what went on it before that was never told of
            os.ftruncate(self._fd, self.size_bytes)
            os.lseek(self._fd, self.size_bytes, os.SEEK_SET)
            raise
        self.size_bytes += len(data)
        if self.size_bytes - self._asked_bytes >= _SYNC_BYTES:
            self._sync_soon()

    def _sync_soon(self) -> None:
        """In a thread of its own, one at a time. An error is told once for all who have the file open, so it is kept."""
        if self._syncing is None or (self._syncing.done() and self._syncing.exception() is None):
            self._asked_bytes = self.size_bytes
            self._syncing = in_fresh_thread(partial(_sync_and_close, os.dup(self._fd)))

    def pause(self) -> str:
        return ""

    def finish(self) -> None:
        try:
            if self._syncing is not None:
                self._syncing.result()
            os.fsync(self._fd)
            os.fchmod(self._fd, 0o644)
            sync_dir(os.path.dirname(self._path))
        finally:
            self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _sync_and_close(fd: int) -> None:
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)
