"""Pull: registry → content store → snapshots → name. Nothing half-made stays: until the name is there a lease holds
the blobs, and without either they are garbage.

Progress in Docker's words (Engine API, POST /images/create).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from naru.content.blobs import ContentStore
from naru.errors import DataLoss, NotFound, Unsupported
from naru.events import Progress, Report
from naru.images.catalog import Catalog, Lease
from naru.images.registry import RegistryClient
from naru.images.together import OneAtATime, together
from naru.images.unpack import Unpacker, chains_of
from naru.images.values import short_id
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest, Hasher
from naru.oci.image import (
    INDEXES,
    MANIFEST_LIMIT_BYTES,
    MANIFESTS,
    Descriptor,
    Index,
    Manifest,
    Platform,
)
from naru.oci.reference import Reference
from naru.snapshots.overlay import Snapshots

if TYPE_CHECKING:
    from naru.remote.auth import Credentials

DOWNLOADS = 3  # at the same time, of all pulls together; Docker's default
_STEP_BYTES = 1 << 19  # progress is worth a line each half megabyte


def _silent(progress: Progress) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class _Pull:
    ref: Reference
    credentials: Credentials | None
    report: Report
    lease: Lease


class Puller:
    def __init__(
        self, store: ContentStore, snapshots: Snapshots, catalog: Catalog, unpacker: Unpacker, registry: RegistryClient
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._catalog = catalog
        self._unpacker = unpacker
        self._registry = registry
        self._alone = OneAtATime()
        self._slots = asyncio.Semaphore(DOWNLOADS)

    def limit(self, downloads: int) -> None:
        """How many layers move at the same time from now on, besides those that do already."""
        self._slots = asyncio.Semaphore(downloads or DOWNLOADS)

    async def pull(
        self, ref: Reference, platform: Platform | None, credentials: Credentials | None, report: Report
    ) -> tuple[Descriptor, bool]:
        """The image is here, unpacked and named when this returns its target, and whether that is news.

        Raises NotFound, Unauthenticated, Unavailable (from the registry), DataLoss, InvalidArgument, Unsupported.
        """
        target, raw = await self._registry.resolve(ref, credentials)
        report(Progress(f"Pulling from {ref.path}", id=ref.familiar if ref.digest else ref.tag or ""))
        with self._catalog.lease() as lease:
            pull = _Pull(ref, credentials, report, lease)
            self._put(pull, target, raw)
            manifest = await self._manifest(pull, target, raw, platform)
            await self._image(pull, manifest)
            news = self._catalog.record(target, ref)
        report(Progress(f"Digest: {target.digest}"))
        what = "Downloaded newer image" if news else "Image is up to date"
        report(Progress(f"Status: {what} for {ref.familiar}"))
        return target, news

    def _put(self, pull: _Pull, descriptor: Descriptor, raw: bytes) -> None:
        pull.lease.add(descriptor.digest)
        if self._store.has(descriptor.digest):
            try:
                self._store.read(descriptor.digest, MANIFEST_LIMIT_BYTES)
            except DataLoss:  # damaged on our disk: pulling again repairs it
                self._store.delete(descriptor.digest)
        self._store.put(raw, descriptor.digest)

    async def _manifest(self, pull: _Pull, target: Descriptor, raw: bytes, platform: Platform | None) -> Manifest:
        if target.media_type in MANIFESTS:
            return Manifest.parse(raw, target.media_type)
        if target.media_type not in INDEXES:
            raise Unsupported(f"{pull.ref.familiar}: unsupported media type {target.media_type}")
        wanted = platform or self._catalog.platform
        child = Index.parse(raw, target.media_type).choose(wanted)
        if child is None:
            raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")
        raw = await self._registry.fetch_manifest(pull.ref, child.digest, child.media_type, pull.credentials)
        self._put(pull, child, raw)
        return Manifest.parse(raw, child.media_type)

    async def _image(self, pull: _Pull, manifest: Manifest) -> None:
        await self._config(pull, manifest)
        config = self._catalog.documents.config(manifest)
        chains = chains_of(manifest, config)
        if all(self._store.has(layer.digest) for layer in manifest.layers):
            pull = replace(pull, report=_silent)  # nothing is going to move: Docker says no more than that
        for layer in manifest.layers:
            pull.report(Progress("Pulling fs layer", short_id(layer.digest)))
        here = [asyncio.Event() for _ in manifest.layers]

        async def fetch(index: int) -> None:
            await self._layer(pull, manifest.layers[index], chains[index])
            here[index].set()

        async def wait_layer(index: int) -> None:
            await here[index].wait()

        async def unpack() -> None:
            await self._unpacker.unpack(manifest, config, wait_layer=wait_layer, report=pull.report)

        await together(unpack(), *(fetch(index) for index in range(len(manifest.layers))))

    async def _config(self, pull: _Pull, manifest: Manifest) -> None:
        descriptor = manifest.config
        pull.lease.add(descriptor.digest)
        async with self._alone(descriptor.digest):
            if not await self._intact(descriptor, verify=True):
                await self._download(pull, descriptor, lambda count: None)

    async def _layer(self, pull: _Pull, descriptor: Descriptor, chain: Digest) -> None:
        """The layer's blob is in the store when this returns, unharmed if it is going to be unpacked."""
        pull.lease.add(descriptor.digest)
        name = short_id(descriptor.digest)
        async with self._alone(descriptor.digest):
            if await self._intact(descriptor, verify=not self._snapshots.has(chain)):
                pull.report(Progress("Already exists", name))
                return
            got = shown = 0

            def on_bytes(count: int) -> None:
                nonlocal got, shown
                got += count
                if got - shown >= _STEP_BYTES:
                    shown = got
                    pull.report(Progress("Downloading", name, got, descriptor.size))

            async with self._slots:
                pull.report(Progress("Downloading", name, 0, descriptor.size))
                await self._download(pull, descriptor, on_bytes)
        pull.report(Progress("Download complete", name))

    async def _download(self, pull: _Pull, descriptor: Descriptor, on_bytes: Callable[[int], None]) -> None:
        with self._store.ingest(descriptor.digest.algorithm) as ingest:
            await self._registry.fetch_blob(pull.ref, descriptor, ingest, on_bytes, pull.credentials)
            if descriptor.size >= _STEP_BYTES:
                pull.report(Progress("Verifying Checksum", short_id(descriptor.digest)))
            await finish_in_thread(ingest.commit, descriptor.digest, descriptor.size)

    async def _intact(self, descriptor: Descriptor, *, verify: bool) -> bool:
        """True if the blob is here. A damaged one (its size tells, or its digest, if asked to verify) is deleted."""
        digest = descriptor.digest
        if not self._store.has(digest):
            return False
        whole = self._store.size(digest) == descriptor.size
        if whole and verify:
            whole = await finish_in_thread(_digest_of, self._store.path(digest), digest.algorithm) == digest
        if not whole:
            self._store.delete(digest)
        return whole


def _digest_of(path: str, algorithm: str) -> Digest:
    hasher = Hasher(algorithm)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while piece := os.read(fd, 1 << 20):
            hasher.update(piece)
    finally:
        os.close(fd)
    return hasher.digest()
