"""Repositories over one content store: every rule about what is stored, linked, replaced and removed. Blocking, no HTTP.

Owns `<root>/{content/,registry.db,lock}`; one process at a time. A blob is readable only through a repository that links
it, a manifest only through one that has it; bytes nobody refers to any more are deleted with the last reference.

Order of a write: bytes synced and renamed into the store, then the row. A crash between the two leaves bytes without a
row, which the next start sweeps. Bytes being committed are *pinned*, so that a deletion of the same digest by somebody
else in that moment leaves them alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from naru.content.blobs import ContentStore, Ingest
from naru.errors import Conflict, DataLoss, InvalidArgument
from naru.oci.digest import Digest
from naru.oci.image import (
    DOCKER_FOREIGN_GZIP,
    INDEXES,
    MANIFEST_LIMIT_BYTES,
    MANIFESTS,
    OCI_INDEX,
    Descriptor,
    Index,
    Json,
    Manifest,
)
from naru.registry.errors import Refusal
from naru.registry.records import ManifestRecord, Records

_COPY_BYTES = 1 << 20
_NOT_DISTRIBUTED = ("application/vnd.oci.image.layer.nondistributable.v1.tar", DOCKER_FOREIGN_GZIP)


class Storage:
    """Raises Conflict if another process has the root."""

    def __init__(self, root: str) -> None:
        os.makedirs(root, mode=0o710, exist_ok=True)
        self._lock_fd = _take_lock(root)
        try:
            self.records = Records(os.path.join(root, "registry.db"))
            try:
                self.content = ContentStore(os.path.join(root, "content"))
                self._pins: dict[Digest, int] = {}
                self._sweep()
            except BaseException:
                self.records.close()
                raise
        except BaseException:
            os.close(self._lock_fd)
            raise

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.records.close()
        os.close(self._lock_fd)

    def _sweep(self) -> None:
        for digest in list(self.content.walk()):
            if not self.records.is_referenced(digest):
                self.content.delete(digest)

    # blobs

    def blob_path(self, repository: str, digest: Digest) -> str:
        """Where the bytes of a blob of this repository lie. Raises Refusal BLOB_UNKNOWN."""
        if not self.records.is_linked(repository, digest):
            raise Refusal("BLOB_UNKNOWN", detail={"digest": digest})
        return self.content.path(digest)

    def commit(self, repository: str, ingest: Ingest, hashed_as: str, digest: Digest) -> None:
        """The bytes of an ingest that hashes with `hashed_as` are a blob of the repository when this returns.

        Raises Refusal DIGEST_INVALID; the ingest is used up either way.
        """
        with self._pinned(digest):
            try:
                if digest.algorithm == hashed_as:
                    ingest.commit(digest)
                else:
                    self._commit_as(ingest, digest)
            except DataLoss as error:
                raise Refusal("DIGEST_INVALID", str(error)) from error
            self.records.link(repository, digest)

    def _commit_as(self, ingest: Ingest, digest: Digest) -> None:
        """Commit under an algorithm that was not known when the upload began: the bytes are read once more."""
        first = ingest.commit()
        with self._pinned(first), self.content.ingest(digest.algorithm) as again:
            with open(self.content.open(first), "rb") as file:
                while piece := file.read(_COPY_BYTES):
                    again.write(piece)
            again.commit(digest)

    def mount(self, repository: str, digest: Digest, source: str) -> bool:
        """True if the blob of source is now one of repository too."""
        with self.records.lock():
            if not self.records.is_linked(source, digest):
                return False
            self.records.link(repository, digest)
            return True

    def delete_blob(self, repository: str, digest: Digest) -> None:
        """Raises Refusal BLOB_UNKNOWN."""
        if not self.records.unlink(repository, digest):
            raise Refusal("BLOB_UNKNOWN", detail={"digest": digest})
        self._drop(digest)

    @contextmanager
    def _pinned(self, digest: Digest) -> Iterator[None]:
        with self.records.lock():
            self._pins[digest] = self._pins.get(digest, 0) + 1
        try:
            yield
        finally:
            with self.records.lock():
                self._pins[digest] -= 1
                if not self._pins[digest]:
                    del self._pins[digest]
            self._drop(digest)

    def _drop(self, digest: Digest) -> None:
        with self.records.lock():
            if digest not in self._pins and not self.records.is_referenced(digest):
                self.content.delete(digest)

    # manifests

    def put_manifest(
        self, repository: str, reference: Digest | str, media_type: str, raw: bytes, more_tags: Sequence[str] = ()
    ) -> ManifestRecord:
        """The manifest, exactly these bytes, is in the repository under its digest and all tags when this returns.

        Raises Refusal MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID.
        """
        digest = Digest.of(raw, reference.algorithm if isinstance(reference, Digest) else "sha256")
        if isinstance(reference, Digest) and reference != digest:
            raise Refusal("DIGEST_INVALID", f"the manifest has digest {digest}, not {reference}")
        record = self._read_manifest(repository, digest, media_type, raw)
        tags = more_tags if isinstance(reference, Digest) else (reference, *more_tags)
        with self._pinned(digest):
            self.content.put(raw, digest)
            self.records.put_manifest(repository, record, tags)
        return record

    def _read_manifest(self, repository: str, digest: Digest, media_type: str, raw: bytes) -> ManifestRecord:
        parsed: Manifest | Index
        needed: tuple[Descriptor, ...] = ()
        try:
            if media_type in MANIFESTS:
                parsed = Manifest.parse(raw, media_type)
                needed = (parsed.config, *(layer for layer in parsed.layers if not _is_foreign(layer)))
                artifact_type = parsed.artifact_type or parsed.config.media_type
            elif media_type in INDEXES:
                # Children may be missing: an index of many platforms is often copied for one of them only.
                parsed = Index.parse(raw, media_type)
                artifact_type = parsed.artifact_type
            else:
                raise Refusal("MANIFEST_INVALID", f"unsupported manifest media type {media_type[:200]!r}", status=415)
        except InvalidArgument as error:
            raise Refusal("MANIFEST_INVALID", str(error)) from error
        missing = [one.digest for one in needed if not self.records.is_linked(repository, one.digest)]
        if missing:
            raise Refusal("MANIFEST_BLOB_UNKNOWN", detail=[{"digest": one} for one in missing[:20]])
        subject = parsed.subject.digest if parsed.subject else None
        return ManifestRecord(digest, media_type, len(raw), subject, artifact_type, parsed.annotations)

    def manifest(self, repository: str, reference: Digest | str) -> ManifestRecord:
        """Raises Refusal NAME_UNKNOWN, MANIFEST_UNKNOWN."""
        record = self.records.manifest(repository, reference)
        if record is None:
            self.check_repository(repository)
            raise Refusal("MANIFEST_UNKNOWN", detail={"reference": reference})
        return record

    def read_manifest(self, record: ManifestRecord) -> bytes:
        """Its bytes, verified. Raises DataLoss if they are damaged."""
        return self.content.read(record.digest, MANIFEST_LIMIT_BYTES)

    def delete_manifest(self, repository: str, reference: Digest | str) -> None:
        """A digest takes its tags along; a tag goes alone. Raises Refusal MANIFEST_UNKNOWN."""
        if isinstance(reference, Digest):
            if not self.records.delete_manifest(repository, reference):
                raise Refusal("MANIFEST_UNKNOWN", detail={"reference": reference})
            self._drop(reference)
        elif not self.records.delete_tag(repository, reference):
            raise Refusal("MANIFEST_UNKNOWN", detail={"reference": reference})

    # lists

    def check_repository(self, repository: str) -> None:
        """Raises Refusal NAME_UNKNOWN."""
        if not self.records.has_repository(repository):
            raise Refusal("NAME_UNKNOWN", detail={"name": repository})

    def referrers(
        self, repository: str, subject: Digest, artifact_type: str | None, after: str, limit: int
    ) -> tuple[Json, str]:
        """An image index of the manifests with this subject, and the digest to go on after ("" at the end).

        A subject, or a repository, that nobody knows has an empty one (distribution-spec "Listing Referrers").
        """
        found = self.records.referrers(repository, subject, artifact_type, after, limit + 1)
        page = found[:limit]
        manifests = [
            Descriptor(one.media_type, one.digest, one.size_bytes, one.annotations, None, one.artifact_type).to_json()
            for one in page
        ]
        following = str(page[-1].digest) if len(found) > limit else ""
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}, following


def _is_foreign(layer: Descriptor) -> bool:
    return layer.media_type.startswith(_NOT_DISTRIBUTED)


def _take_lock(root: str) -> int:
    fd = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 20, 0).decode(errors="replace").strip()
        os.close(fd)
        raise Conflict(f"data root {root} is in use by another registry (pid {holder or 'unknown'})") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd
