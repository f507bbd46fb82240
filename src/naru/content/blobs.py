"""The content store: ingest → verify → commit, and reading by digest.

Owns `<root>/blobs/<algorithm>/<hex>`, `<root>/oci-layout` and `<root>/ingest/`. A blob exists whole and verified or not
at all: bytes go to `ingest/`, are hashed on the way, and are renamed into place when the digest (and size, if stated)
is right. `durable` commits are synced first. It knows nothing of what blobs mean: garbage is what `sweep` is told.
Everything here blocks for as long as the disk does; large copies belong in a thread (hashing releases the GIL).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial

from naru.errors import DataLoss, InvalidArgument, NotFound
from naru.linux.erase import remove_tree
from naru.linux.files import sync_dir, write_all
from naru.linux.threads import in_fresh_thread
from naru.oci.digest import Digest, Hasher

_SYNC_BYTES = (
    32 << 20
)  # a large blob goes to the disk while the rest of it arrives: half the time of a push was its sync


class Ingest:
    """One blob on its way in. `write` as often as needed, then `commit`, or `abort`; leaving a `with` aborts what was
    not committed."""

    def __init__(self, store: ContentStore, algorithm: str) -> None:
        self._store = store
        self._hasher = Hasher(algorithm)
        self._path = os.path.join(store.ingest_dir, secrets.token_hex(16))
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size_bytes = 0
        self._asked_bytes = 0  # so much was there when a sync was last begun
        self._syncing: Future[None] | None = None

    def __enter__(self) -> Ingest:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def write(self, data: bytes | memoryview) -> None:
        self._hasher.update(data)
        self.size_bytes += len(data)
        write_all(self._fd, data)
        if self.size_bytes - self._asked_bytes >= _SYNC_BYTES:
            self._sync_soon()

    def _sync_soon(self) -> None:
        """In a thread of its own, one at a time. An error is told once for all who have the file open, so it is kept."""
        if self._syncing is None or (self._syncing.done() and self._syncing.exception() is None):
            self._asked_bytes = self.size_bytes
            self._syncing = in_fresh_thread(partial(_sync_and_close, os.dup(self._fd)))

    def digest(self) -> Digest:
        """Of what has been written so far."""
        return self._hasher.digest()

    def commit(self, expected: Digest | None = None, size_bytes: int | None = None, *, durable: bool = True) -> Digest:
        """The blob is in the store when this returns. Raises DataLoss, and keeps nothing, if it is not what was expected."""
        digest = self.digest()
        try:
            if size_bytes is not None and size_bytes != self.size_bytes:
                raise DataLoss(f"blob {expected or digest}: got {self.size_bytes} bytes, expected {size_bytes}")
            if expected is not None and expected != digest:
                raise DataLoss(f"blob {expected}: the bytes have digest {digest}")
            final = self._store.path(digest)
            if durable:
                if self._syncing is not None:
                    self._syncing.result()
                os.fsync(self._fd)
            os.fchmod(self._fd, 0o644)
            os.rename(self._path, final)
            if durable:
                sync_dir(os.path.dirname(final))
        except BaseException:
            self.abort()
            raise
        os.close(self._fd)
        self._fd = -1
        return digest

    def abort(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            os.unlink(self._path)


def _sync_and_close(fd: int) -> None:
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


class ContentStore:
    def __init__(self, root: str) -> None:
        self.root = root
        self.ingest_dir = os.path.join(root, "ingest")
        for folder in ("blobs/sha256", "blobs/sha384", "blobs/sha512", "ingest"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        for left_over in os.listdir(self.ingest_dir):  # of a process that died; nobody can commit them any more
            remove_tree(os.path.join(self.ingest_dir, left_over))
        layout = os.path.join(root, "oci-layout")
        if not os.path.exists(layout):
            with open(layout, "w") as file:
                file.write('{"imageLayoutVersion":"1.0.0"}')

    def path(self, digest: Digest) -> str:
        return os.path.join(self.root, "blobs", digest.algorithm, digest.hex)

    def ingest(self, algorithm: str = "sha256") -> Ingest:
        return Ingest(self, algorithm)

    def put(self, data: bytes, expected: Digest | None = None, *, durable: bool = True) -> Digest:
        """Store small data whole. Raises DataLoss if its digest is not the expected one."""
        digest = expected or Digest.of(data)
        if self.has(digest):
            return digest
        with self.ingest(digest.algorithm) as ingest:
            ingest.write(data)
            return ingest.commit(expected, durable=durable)

    def has(self, digest: Digest) -> bool:
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Raises NotFound."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError as error:
            raise NotFound(f"content digest {digest}: not found") from error

    def open(self, digest: Digest) -> int:
        """A read-only descriptor; stays readable if the blob is deleted meanwhile. Raises NotFound."""
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"content digest {digest}: not found") from error

    def read(self, digest: Digest, limit_bytes: int) -> bytes:
        """The whole blob, verified. Raises NotFound; InvalidArgument if larger than the limit; DataLoss if damaged."""
        with os.fdopen(self.open(digest), "rb") as file:
            data = file.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise InvalidArgument(f"content digest {digest}: larger than {limit_bytes} bytes")
        if Digest.of(data, digest.algorithm) != digest:
            raise DataLoss(f"content digest {digest}: the stored bytes are damaged")
        return data

    def delete(self, digest: Digest) -> bool:
        """True if it was there."""
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    def walk(self) -> Iterator[Digest]:
        """Every blob of the store, in no order."""
        for algorithm in ("sha256", "sha384", "sha512"):
            for name in os.listdir(os.path.join(self.root, "blobs", algorithm)):
                yield Digest(f"{algorithm}:{name}")
