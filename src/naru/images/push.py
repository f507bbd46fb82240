"""Push: blobs, then the manifests that name them, then the tag. Progress in Docker's words (POST /images/{name}/push)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from naru.content.blobs import ContentStore
from naru.errors import NaruError, NotFound
from naru.events import Progress, Report
from naru.images.catalog import Catalog, Row
from naru.images.registry import RegistryClient
from naru.images.together import together
from naru.images.values import short_id
from naru.oci.digest import Digest
from naru.oci.image import INDEXES, MANIFEST_LIMIT_BYTES, MANIFESTS, Descriptor, Manifest, Platform
from naru.oci.reference import Reference

if TYPE_CHECKING:
    from naru.remote.auth import Credentials

UPLOADS = 5  # at the same time, of all pushes together; Docker's default
_STEP_BYTES = 1 << 19
_DONE = {"exists": "Layer already exists", "pushed": "Pushed"}


class Pusher:
    def __init__(self, store: ContentStore, catalog: Catalog, registry: RegistryClient) -> None:
        self._store = store
        self._catalog = catalog
        self._registry = registry
        self._slots = asyncio.Semaphore(UPLOADS)

    def limit(self, uploads: int) -> None:
        """How many layers move at the same time from now on, besides those that do already."""
        self._slots = asyncio.Semaphore(uploads or UPLOADS)

    async def push(
        self, ref: Reference, platform: Platform | None, credentials: Credentials | None, report: Report
    ) -> None:
        """The registry has the image under ref's tag when this returns; without a tag, all tags of the repository.

        Raises NotFound in Docker's words if there is no such image here; Unauthenticated, Forbidden, Unavailable.
        """
        report(Progress(f"The push refers to repository [{ref.name}]"))
        for row in self._rows(ref):
            assert row.reference is not None
            await self._push_one(row.reference, row.target, platform, credentials, report)

    def _rows(self, ref: Reference) -> list[Row]:
        if ref.tag or ref.digest:
            row = self._catalog.row(ref)
            if row is None:
                raise NotFound(f"tag does not exist: {ref.familiar}")
            return [row]
        named = [row for row in self._catalog.rows() if row.reference is not None]
        rows = [row for row in named if row.reference and row.reference.name == ref.name and row.reference.tag]
        if not rows:
            raise NotFound(f"An image does not exist locally with the tag: {ref.familiar_name}")
        return rows

    async def _push_one(
        self, ref: Reference, target: Descriptor, platform: Platform | None, credentials: Credentials | None,
        report: Report,
    ) -> None:  # fmt: skip
        target, children = self._choose(ref, target, platform)
        blobs: dict[Digest, Descriptor] = {}
        layers: dict[Digest, None] = {}  # an ordered set
        for child in children:
            manifest = self._catalog.documents.manifest(child)
            blobs.update((d.digest, d) for d in (*manifest.layers, manifest.config))
            layers.update((layer.digest, None) for layer in manifest.layers)
        for digest in layers:
            report(Progress("Preparing", short_id(digest)))
        elsewhere = self._elsewhere(ref)

        async def push_blob(digest: Digest) -> None:
            shown = report if digest in layers else _nobody
            await self._push_blob(ref, blobs[digest], credentials, elsewhere.get(digest), shown)

        await together(*(push_blob(digest) for digest in blobs))
        untagged = replace(ref, tag=None, digest=None)
        for child in children:
            if child.digest != target.digest:
                await self._push_manifest(replace(untagged, digest=child.digest), child, credentials)
        await self._push_manifest(ref, target, credentials)
        name = ref.tag or str(target.digest)
        report(Progress(f"{name}: digest: {target.digest} size: {target.size}"))

    async def _push_manifest(self, ref: Reference, descriptor: Descriptor, credentials: Credentials | None) -> None:
        raw = self._store.read(descriptor.digest, MANIFEST_LIMIT_BYTES)
        await self._registry.push_manifest(ref, raw, descriptor.media_type, credentials)

    def _choose(
        self, ref: Reference, target: Descriptor, platform: Platform | None
    ) -> tuple[Descriptor, list[Descriptor]]:
        """What to push, and the manifests in it: an index if all of it is here, else the one image that is."""
        documents = self._catalog.documents
        if platform is None and target.media_type in INDEXES:
            children = [child for child in documents.index(target).manifests if child.media_type in MANIFESTS]
            if all(self._whole(child) for child in children):
                return target, children
        manifest = self._catalog.resolve(str(ref), platform).manifest
        return manifest.descriptor, [manifest.descriptor]

    def _whole(self, child: Descriptor) -> bool:
        if not self._store.has(child.digest):
            return False
        manifest = self._catalog.documents.manifest(child)
        return all(self._store.has(blob.digest) for blob in (manifest.config, *manifest.layers))

    async def _push_blob(
        self, ref: Reference, descriptor: Descriptor, credentials: Credentials | None, mount_from: Reference | None,
        report: Report,
    ) -> None:  # fmt: skip
        name = short_id(descriptor.digest)
        sent = shown = 0

        def on_bytes(count: int) -> None:
            nonlocal sent, shown
            sent += count
            if sent < shown or sent - shown >= _STEP_BYTES:
                shown = sent
                report(Progress("Pushing", name, sent, descriptor.size))

        if self._slots.locked():
            report(Progress("Waiting", name))
        async with self._slots:
            how = await self._registry.push_blob(
                ref, descriptor, lambda: self._store.open(descriptor.digest), on_bytes, credentials, mount_from
            )
        report(Progress(_DONE.get(how) or f"Mounted from {mount_from.path if mount_from else ''}", name))

    def _elsewhere(self, ref: Reference) -> dict[Digest, Reference]:
        """For each layer, another repository of the same registry that one of our images says has it."""
        found: dict[Digest, Reference] = {}
        for row in self._catalog.rows():
            other = row.reference
            if other is None or other.host != ref.host or other.path == ref.path:
                continue
            for child in self._manifests(row):
                found.update((layer.digest, other) for layer in child.layers)
        return found

    def _manifests(self, row: Row) -> list[Manifest]:
        documents = self._catalog.documents
        try:
            return [documents.manifest(d) for d in documents.manifests(row.target) if d.media_type in MANIFESTS]
        except NaruError:  # only a hint was wanted; whoever uses that image itself will hear of it
            return []


def _nobody(progress: Progress) -> None:
    """Configs are pushed without a line of their own, as in Docker."""
