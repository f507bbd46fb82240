"""Repositories over one database and one blob store: every rule about what is stored, linked, replaced and removed. No HTTP.

A blob is readable only through a repository that links it, a manifest only through one that has it. Order of a write: the object is in
the store, synced and verified; then one transaction makes it a blob of the repository. A crash between the two leaves an object that
belongs to an upload nobody goes on with, which expires. What is dispensable is collected in the background: see `garbage`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import BinaryIO

from naru.errors import DataLoss, InvalidArgument
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest
from naru.oci.image import (
    DOCKER_FOREIGN_GZIP,
    INDEXES,
    MANIFESTS,
    OCI_INDEX,
    Descriptor,
    Index,
    Json,
    Manifest,
)
from naru.registry import garbage, records, uploads
from naru.registry.access import Caller
from naru.registry.blobstore import BlobStore, Place
from naru.registry.database import Connection, Database
from naru.registry.errors import Refusal
from naru.registry.records import Blob, ManifestRecord
from naru.registry.rules import Change, NoRules, Rules
from naru.registry.uploads import Upload

_SOURCES = 100  # repositories looked at for one that a blob may be mounted from
Condition = Callable[[Connection, int], bool]  # of a repository
_NOT_DISTRIBUTED = ("application/vnd.oci.image.layer.nondistributable.v1.tar", DOCKER_FOREIGN_GZIP)


class Storage:
    def __init__(
        self, database: Database, blobs: BlobStore, *, policy: garbage.Policy | None = None, rules: Rules | None = None
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.policy = policy or garbage.Policy()
        self._rules = rules or NoRules()

    # blobs

    async def blob(self, repository: str, digest: Digest) -> Blob:
        """Raises Refusal BLOB_UNKNOWN."""
        found = await self.database.read(records.blob, repository, digest)
        if found is None:
            raise Refusal("BLOB_UNKNOWN", detail={"digest": digest})
        return found

    def where(self, blob: Blob) -> Place:
        return self.blobs.where(blob.key)

    def open(self, blob: Blob) -> BinaryIO:
        """Blocks. Raises DataLoss."""
        return self.blobs.open(blob.key)

    async def promise(self, repository: str, digest: Digest) -> None:
        """Somebody who pushes is told that the blob is there: for the whole grace period it will be. Raises Refusal BLOB_UNKNOWN."""
        now_s = time.time()
        soon = now_s + self.policy.grace_s / 2
        if await self.database.read(garbage.is_waiting, repository, digest, soon):
            kept = await self.database.write(
                garbage.postpone, repository, digest, "a client asked whether it is there", now_s, self.policy
            )
            if not kept:
                raise Refusal("BLOB_UNKNOWN", detail={"digest": digest})

    async def commit(self, caller: Caller, upload: Upload, digest: Digest) -> None:
        """What was uploaded is a blob of the repository when this returns.

        Raises Refusal DIGEST_INVALID, BLOB_UPLOAD_UNKNOWN, and the rules'; the upload is over either way.
        """
        upload.is_over = True
        async with uploads.claimed(self.database, upload):
            try:
                await finish_in_thread(upload.finish, self.blobs, digest)
            except DataLoss as error:
                await self._abandon(upload)
                raise Refusal("DIGEST_INVALID", str(error)) from error
            blob = Blob(digest, upload.id, upload.offset)
            try:
                spare = await self.database.write(self._add_blob, caller, upload.repository, blob)
            except Refusal:
                await self._abandon(upload)
                raise
        if spare:
            await uploads.delete_discarded(self.database, self.blobs, (blob.key,))

    async def _abandon(self, upload: Upload) -> None:
        if await self.database.note(uploads.abandon, upload.id, time.time()):
            await uploads.delete_discarded(self.database, self.blobs, (upload.id,))

    def _add_blob(self, c: Connection, caller: Caller, name: str, blob: Blob) -> bool:
        """True if the bytes are there already, and these are to go."""
        if not uploads.end(c, blob.key):
            raise Refusal("BLOB_UPLOAD_UNKNOWN")
        change = self._ensure(c, caller, name)
        self._link(c, change, blob, "uploaded")
        is_new = records.add_blob(c, blob)
        records.link(c, change.repository, blob.digest)
        if not is_new:
            records.discard(c, blob.key, time.time())
        return not is_new

    async def mount(self, caller: Caller, repository: str, digest: Digest, source: str) -> bool:
        """True if the blob of source is now one of repository too."""
        if await self.database.read(records.blob, source, digest) is None:
            return False
        return await self.database.write(self._mount, caller, repository, digest, source)

    def _mount(self, c: Connection, caller: Caller, name: str, digest: Digest, source: str) -> bool:
        blob = records.blob(c, source, digest)
        if blob is None:
            return False
        change = self._ensure(c, caller, name)
        self._link(c, change, blob, f"mounted from {source}")
        records.link(c, change.repository, digest)
        return True

    def _link(self, c: Connection, change: Change, blob: Blob, event: str) -> None:
        if records.missing(c, change.repository, [blob.digest]):
            self._rules.before_blob(c, change, blob)
        garbage.review(c, garbage.BLOB, change.repository, blob.digest, event, time.time(), self.policy)

    async def sources(self, digest: Digest) -> list[str]:
        """Repositories that have the blob, some of them if there are many."""
        return await self.database.read(records.linked_in, digest, _SOURCES)

    async def delete_blob(self, repository: str, digest: Digest) -> None:
        """Raises Refusal BLOB_UNKNOWN."""
        if not await self.database.write(_unlink, repository, digest, time.time()):
            raise Refusal("BLOB_UNKNOWN", detail={"digest": digest})

    def _ensure(self, c: Connection, caller: Caller, name: str) -> Change:
        found = records.repository_id(c, name)
        if found is not None:
            return Change(caller, found, name)
        change = Change(caller, records.ensure_repository(c, name, time.time()), name)
        self._rules.on_repository(c, change)
        return change

    # manifests

    async def put_manifest(
        self,
        caller: Caller,
        repository: str,
        reference: Digest | str,
        media_type: str,
        raw: bytes,
        more_tags: Sequence[str] = (),
        *,
        complete: bool = True,
    ) -> ManifestRecord:
        """The manifest, exactly these bytes, is in the repository under its digest and all tags when this returns.

        `complete`: its blobs have to be there; those of what is a copy may still be elsewhere. Raises Refusal MANIFEST_INVALID,
        MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID, and the rules'.
        """
        digest = Digest.of(raw, reference.algorithm if isinstance(reference, Digest) else "sha256")
        if isinstance(reference, Digest) and reference != digest:
            raise Refusal("DIGEST_INVALID", f"the manifest has digest {digest}, not {reference}")
        record, references, blobs = _parse(digest, media_type, raw)
        needed = blobs if complete else []
        tags = tuple(more_tags) if isinstance(reference, Digest) else (reference, *more_tags)
        await self.database.write(self._put_manifest, caller, repository, record, raw, tags, references, needed)
        return record

    def _put_manifest(
        self,
        c: Connection,
        caller: Caller,
        name: str,
        record: ManifestRecord,
        raw: bytes,
        tags: Sequence[str],
        references: Sequence[Digest],
        needed: Sequence[Digest],
    ) -> None:
        change = self._ensure(c, caller, name)
        missing = records.missing(c, change.repository, needed)
        if missing:
            raise Refusal("MANIFEST_BLOB_UNKNOWN", detail=[{"digest": one} for one in missing[:20]])
        self._rules.before_manifest(c, change, record, tags)
        records.put_manifest(c, change.repository, record, raw, references)
        for tag in tags:
            before = records.put_tag(c, change.repository, tag, record.digest, record.pushed_at)
            if before is not None:
                self._review(c, change, before, f"tag {tag} moved to {record.digest}")
        if not tags:
            self._review(c, change, record.digest, "pushed without a tag")
        self._rules.on_manifest(c, change, record, tags)

    def _review(self, c: Connection, change: Change, manifest: Digest, event: str) -> None:
        garbage.review(c, garbage.MANIFEST, change.repository, manifest, event, time.time(), self.policy)

    async def manifest(self, repository: str, reference: Digest | str) -> ManifestRecord:
        """Raises Refusal NAME_UNKNOWN, MANIFEST_UNKNOWN."""
        record = await self.database.read(records.manifest, repository, reference)
        if record is None:
            raise await self._no_manifest(repository, reference)
        return record

    async def read_manifest(self, repository: str, reference: Digest | str) -> tuple[ManifestRecord, bytes]:
        """With its bytes, verified. Raises as `manifest`; DataLoss if they are damaged."""
        found = await self.database.read(records.manifest_with_payload, repository, reference)
        if found is None:
            raise await self._no_manifest(repository, reference)
        record, raw = found
        if Digest.of(raw, record.digest.algorithm) != record.digest:
            raise DataLoss(f"manifest {record.digest} of {repository}: the stored bytes are damaged")
        return record, raw

    async def _no_manifest(self, repository: str, reference: Digest | str) -> Refusal:
        await self.check_repository(repository)
        return Refusal("MANIFEST_UNKNOWN", detail={"reference": reference})

    async def delete_manifest(
        self, caller: Caller, repository: str, reference: Digest | str, *, provided: Condition | None = None
    ) -> None:
        """A digest takes its tags along; a tag goes alone. `provided`: only if that is so, in the same transaction.

        Raises Refusal MANIFEST_UNKNOWN, and the rules'.
        """
        delete = self._delete_manifest if isinstance(reference, Digest) else self._delete_tag
        if not await self.database.write(delete, caller, repository, reference, provided):
            raise Refusal("MANIFEST_UNKNOWN", detail={"reference": reference})

    def _delete_manifest(
        self, c: Connection, caller: Caller, name: str, reference: Digest | str, provided: Condition | None
    ) -> bool:
        digest = Digest(reference)
        repository = records.repository_id(c, name)
        if repository is None or records.manifest(c, name, digest) is None or not (provided or _always)(c, repository):
            return False
        change = Change(caller, repository, name)
        self._rules.before_delete(c, change, digest, records.tags_of(c, repository, digest))
        tags = garbage.drop_manifest(c, repository, digest, time.time(), self.policy)
        self._rules.on_delete(c, change, digest, tags or ())
        return True

    def _delete_tag(
        self, c: Connection, caller: Caller, name: str, tag: Digest | str, provided: Condition | None
    ) -> bool:
        repository = records.repository_id(c, name)
        if repository is None or not (provided or _always)(c, repository):
            return False
        change = Change(caller, repository, name)
        self._rules.before_delete(c, change, None, (tag,))
        digest = records.delete_tag(c, repository, tag)
        if digest is None:
            return False
        self._review(c, change, digest, f"tag {tag} was deleted")
        self._rules.on_delete(c, change, None, (tag,))
        return True

    # lists

    async def check_repository(self, repository: str) -> None:
        """Raises Refusal NAME_UNKNOWN."""
        if not await self.database.read(records.has_repository, repository):
            raise Refusal("NAME_UNKNOWN", detail={"name": repository})

    async def tags(self, repository: str, after: str, limit: int) -> list[str]:
        return await self.database.read(records.tags, repository, after, limit)

    async def repositories(self, after: str, limit: int, containing: str = "") -> list[str]:
        return await self.database.read(records.repositories, after, limit, containing)

    async def referrers(
        self, repository: str, subject: Digest, artifact_type: str | None, after: str, limit: int
    ) -> tuple[Json, str]:
        """An image index of the manifests with this subject, and the digest to go on after ("" at the end).

        A subject, or a repository, that nobody knows has an empty one (distribution-spec "Listing Referrers").
        """
        found = await self.database.read(records.referrers, repository, subject, artifact_type, after, limit + 1)
        page = found[:limit]
        manifests = [
            Descriptor(one.media_type, one.digest, one.size_bytes, one.annotations, None, one.artifact_type).to_json()
            for one in page
        ]
        following = str(page[-1].digest) if len(found) > limit else ""
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}, following


def _always(c: Connection, repository: int) -> bool:
    return True


def _unlink(c: Connection, name: str, digest: Digest, now_s: float) -> bool:
    repository = records.repository_id(c, name)
    return repository is not None and records.unlink(c, repository, digest, now_s)


def _parse(digest: Digest, media_type: str, raw: bytes) -> tuple[ManifestRecord, list[Digest], list[Digest]]:
    """Its record, what it refers to, and which blobs of that have to be there.

    Children of an index may be missing: one of many platforms is often copied for one of them only.
    """
    parsed: Manifest | Index
    try:
        if media_type in MANIFESTS:
            parsed = Manifest.parse(raw, media_type)
            blobs = [
                parsed.config,
                *(layer for layer in parsed.layers if not layer.media_type.startswith(_NOT_DISTRIBUTED)),
            ]
            references = needed = [one.digest for one in blobs]
            artifact_type = parsed.artifact_type or parsed.config.media_type
            total_bytes = sum({one.digest: one.size for one in blobs}.values())
        elif media_type in INDEXES:
            parsed = Index.parse(raw, media_type)
            references, needed = [one.digest for one in parsed.manifests], []
            artifact_type, total_bytes = parsed.artifact_type, 0
        else:
            raise Refusal("MANIFEST_INVALID", f"unsupported manifest media type {media_type[:200]!r}", status=415)
    except InvalidArgument as error:
        raise Refusal("MANIFEST_INVALID", str(error)) from error
    subject = parsed.subject.digest if parsed.subject else None
    record = ManifestRecord(
        digest, media_type, len(raw), len(raw) + total_bytes, subject, artifact_type, parsed.annotations, time.time()
    )
    return record, references, needed
