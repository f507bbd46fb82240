"""Copying one repository, tag by tag, from another registry or to it. What is there already is not copied again."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import BinaryIO, Protocol

from naru.errors import NotFound
from naru.hub import audit
from naru.hub.peers.remotes import Fetched, Remote
from naru.hub.peers.replications import Rule
from naru.oci.digest import Digest
from naru.oci.image import DOCKER_FOREIGN_GZIP, INDEXES, Descriptor, Index, Manifest
from naru.registry import records
from naru.registry.access import Caller
from naru.registry.blobstore import File
from naru.registry.database import Connection
from naru.registry.errors import Refusal
from naru.registry.records import Blob
from naru.registry.storage import Storage
from naru.registry.uploads import Upload, Uploads
from naru.remote.push import Readable

CALLER = Caller(audit.HUB.name)
_PAGE = 500
_DEPTH = 5  # indexes in indexes, and what refers to what refers to an image
_NOT_DISTRIBUTED = ("application/vnd.oci.image.layer.nondistributable.v1.tar", DOCKER_FOREIGN_GZIP)


class Gone(NotFound):
    """What was to be copied is not in this hub any more; other things that are not found are the other registry's."""


class Copy(Protocol):
    async def tags(self) -> list[str]:
        """All of the source."""

    async def tag(self, name: str) -> bool:
        """What it names, with all that belongs to it, is on the other side, under this tag; False: it was. Raises NaruError."""


def parts(media_type: str, raw: bytes) -> tuple[list[Descriptor], list[Descriptor]]:
    """The blobs that a manifest needs, and the manifests that an index lists. Raises InvalidArgument."""
    if media_type in INDEXES:
        return [], list(Index.parse(raw, media_type).manifests)
    manifest = Manifest.parse(raw, media_type)
    layers = [layer for layer in manifest.layers if not layer.media_type.startswith(_NOT_DISTRIBUTED)]
    unique = {one.digest: one for one in (manifest.config, *layers)}
    return list(unique.values()), []


class PullCopy:
    """From another registry: `source` there is `target` here."""

    def __init__(self, storage: Storage, uploads: Uploads, remote: Remote, source: str, target: str) -> None:
        self._storage = storage
        self._uploads = uploads
        self._remote = remote
        self._source = source
        self._target = target
        self._done: set[Digest] = set()

    async def tags(self) -> list[str]:
        return await self._remote.tags(self._source)

    async def tag(self, name: str) -> bool:
        head = await self._remote.head(self._source, name)
        there = await self._storage.database.read(records.manifest, self._target, name)
        is_same = there is not None and head.digest == there.digest
        if is_same and head.digest is not None and await self._is_whole(head.digest):
            return await self._referrers(head.digest, 0)
        fetched = await self._remote.manifest(self._source, head.digest or name)
        copied = await self._needs(fetched, 0)
        if not is_same:
            await self._storage.put_manifest(CALLER, self._target, name, fetched.media_type, fetched.raw)
        return await self._referrers(fetched.digest, 0) or copied or not is_same

    async def _is_whole(self, digest: Digest) -> bool:
        return await self._storage.database.read(is_whole, self._target, digest, set())

    async def _needs(self, fetched: Fetched, depth: int) -> bool:
        """True if there was something to copy."""
        blobs, children = parts(fetched.media_type, fetched.raw)
        copied = [await self._blob(blob) for blob in blobs]
        copied += [await self._manifest(child.digest, depth + 1) for child in children]
        return any(copied)

    async def _manifest(self, digest: Digest, depth: int) -> bool:
        """True if it was copied. A part that the other registry does not have either stays away."""
        if digest in self._done or depth > _DEPTH:
            return False
        copied = False
        if not await self._is_whole(digest):
            try:
                fetched = await self._remote.manifest(self._source, digest)
            except NotFound:
                return False
            copied = await self._needs(fetched, depth)
            if await self._storage.database.read(records.manifest, self._target, digest) is None:
                await self._storage.put_manifest(CALLER, self._target, digest, fetched.media_type, fetched.raw)
                copied = True
        self._done.add(digest)  # now, and not before: what failed has to be asked for again
        return await self._referrers(digest, depth) or copied

    async def _referrers(self, digest: Digest, depth: int) -> bool:
        referrers = await self._remote.referrers(self._source, digest)
        return any([await self._manifest(one.digest, depth + 1) for one in referrers])

    async def _blob(self, blob: Descriptor) -> bool:
        if await self._storage.database.read(records.blob, self._target, blob.digest) is not None:
            with suppress(Refusal):  # it has just been collected
                await self._storage.promise(self._target, blob.digest)
                return False
        session = await self._uploads.begin(self._target, CALLER.name, blob.digest.algorithm)
        async with self._uploads.turn(session.id, self._target, CALLER.name) as upload:
            try:
                await self._remote.fetch_blob(self._source, blob, _Sink(upload), lambda _: None)
                await self._storage.commit(CALLER, upload, blob.digest)
            finally:
                if not upload.is_over:
                    await self._uploads.cancel(upload)
        return True


class _Sink:
    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self.write = upload.write

    @property
    def size_bytes(self) -> int:
        return self._upload.offset


def is_whole(c: Connection, name: str, digest: Digest, seen: set[Digest], depth: int = 0) -> bool:
    """The repository has the manifest, and everything that it needs or lists."""
    if digest in seen or depth > _DEPTH:
        return True
    seen.add(digest)
    repository = records.repository_id(c, name)
    if repository is None or records.manifest(c, name, digest) is None:
        return False
    targets = records.references_of(c, repository, digest)
    return all(is_whole(c, name, target, seen, depth + 1) for target in records.missing(c, repository, targets))


class PushCopy:
    """To another registry, where the rule says."""

    def __init__(self, storage: Storage, remote: Remote, source: str, rule: Rule) -> None:
        self._storage = storage
        self._remote = remote
        self._source = source
        self._rule = rule
        self._target = rule.target(source)
        self._done: set[Digest] = set()

    async def tags(self) -> list[str]:
        found: list[str] = []
        after = ""
        while page := await self._storage.tags(self._source, after, _PAGE):
            found += page
            after = page[-1]
        return found

    async def tag(self, name: str) -> bool:
        record, raw = await self._read(name)
        if await self._has(name, record.digest):
            return await self._referrers(record.digest, 0)
        await self._needs(record.media_type, raw, 0)
        await self._remote.push_manifest(self._target, name, record.media_type, raw)
        await self._referrers(record.digest, 0)
        return True

    async def _read(self, reference: str | Digest) -> tuple[records.ManifestRecord, bytes]:
        """Raises Gone."""
        try:
            return await self._storage.read_manifest(self._source, reference)
        except Refusal as error:
            raise Gone(f"{self._source}: {reference}: not found") from error

    async def _has(self, reference: str | Digest, digest: Digest) -> bool:
        try:
            return (await self._remote.head(self._target, reference)).digest == digest
        except NotFound:
            return False

    async def _needs(self, media_type: str, raw: bytes, depth: int) -> None:
        blobs, children = parts(media_type, raw)
        for blob in blobs:
            await self._blob(blob)
        for child in children:
            await self._manifest(child.digest, depth + 1)

    async def _manifest(self, digest: Digest, depth: int) -> bool:
        """True if it was copied. A part that is not here stays away."""
        if digest in self._done or depth > _DEPTH:
            return False
        copied = False
        if not await self._has(digest, digest):
            try:
                record, raw = await self._read(digest)
            except Gone:
                return False
            await self._needs(record.media_type, raw, depth)
            await self._remote.push_manifest(self._target, digest, record.media_type, raw)
            copied = True
        self._done.add(digest)
        return await self._referrers(digest, depth) or copied

    async def _referrers(self, digest: Digest, depth: int) -> bool:
        after, copied = "", False
        while True:
            found = await self._storage.database.read(records.referrers, self._source, digest, None, after, _PAGE)
            for one in found:
                copied = await self._manifest(one.digest, depth + 1) or copied
            if len(found) < _PAGE:
                return copied
            after = found[-1].digest

    async def _blob(self, blob: Descriptor) -> None:
        stored = await self._storage.blob(self._source, blob.digest)
        place = self._storage.blobs.where(stored.key, direct=False)

        def open_blob() -> int | Readable:
            if isinstance(place, File):
                return os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
            return _Opened(self._storage, stored)

        described = Descriptor(blob.media_type, blob.digest, stored.size_bytes)
        source = await self._mountable(blob.digest)
        await self._remote.push_blob(self._target, described, open_blob, lambda _: None, source)

    async def _mountable(self, digest: Digest) -> str:
        """A repository over there that may well have it, being a copy of one here that has; "" if there is none."""
        names = await self._storage.sources(digest)
        return next((self._rule.target(name) for name in names if name != self._source and self._rule.takes(name)), "")


class _Opened:
    """A blob that is not in a file of this machine: opened in the thread that reads it."""

    def __init__(self, storage: Storage, blob: Blob) -> None:
        self._open = partial(storage.open, blob)
        self._file: BinaryIO | None = None

    def read(self, count: int, /) -> bytes:
        if self._file is None:
            self._file = self._open()
        return self._file.read(count)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
