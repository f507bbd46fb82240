"""An image service of a test's own, with a registry that keeps its repositories in memory."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from naru.content.blobs import ContentStore, Ingest
from naru.errors import NotFound, Unavailable
from naru.events import Bus, Progress
from naru.images.feed import Pour, poured
from naru.images.service import Images
from naru.oci.digest import Digest
from naru.oci.image import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
    dump_json,
)
from naru.oci.reference import Reference
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database

T = TypeVar("T")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@dataclass
class Registry:
    """Blobs and manifests by repository; `fetched` counts blob downloads, `broken` names blobs that fail half way."""

    blobs: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    fetched: Counter[Digest] = field(default_factory=Counter)
    broken: set[Digest] = field(default_factory=set)

    async def resolve(self, ref: Reference, credentials: object) -> tuple[Descriptor, bytes]:
        media_type, raw = self._manifest(ref, str(ref.digest or ref.tag))
        return Descriptor(media_type, Digest.of(raw), len(raw)), raw

    async def fetch_manifest(self, ref: Reference, digest: Digest, media_type: str, credentials: object) -> bytes:
        return self._manifest(ref, digest)[1]

    def _manifest(self, ref: Reference, name: str) -> tuple[str, bytes]:
        try:
            return self.manifests[ref.name, name]
        except KeyError as error:
            raise NotFound(f'failed to resolve reference "{ref}": {ref}: not found') from error

    async def fetch_blob(
        self,
        ref: Reference,
        descriptor: Descriptor,
        ingest: Ingest,
        on_bytes: Callable[[int], None],
        credentials: object,
    ) -> None:
        self.fetched[descriptor.digest] += 1
        data = self.blobs[ref.name, descriptor.digest]
        if descriptor.digest in self.broken:
            ingest.write(data[: len(data) // 2])
            raise Unavailable("connection reset by peer")
        ingest.write(data)
        on_bytes(len(data))

    async def push_blob(
        self, ref: Reference, descriptor: Descriptor, open_blob: Callable[[], int], on_bytes: Callable[[int], None],
        credentials: object, mount_from: Reference | None,
    ) -> str:  # fmt: skip
        if (ref.name, descriptor.digest) in self.blobs:
            return "exists"
        if mount_from is not None and (mount_from.name, descriptor.digest) in self.blobs:
            self.blobs[ref.name, descriptor.digest] = self.blobs[mount_from.name, descriptor.digest]
            return "mounted"
        with os.fdopen(open_blob(), "rb") as file:
            self.blobs[ref.name, descriptor.digest] = file.read()
        on_bytes(descriptor.size)
        return "pushed"

    async def push_manifest(self, ref: Reference, raw: bytes, media_type: str, credentials: object) -> Digest:
        digest = Digest.of(raw)
        for name in filter(None, (ref.tag, digest)):
            self.manifests[ref.name, name] = media_type, raw
        return digest

    # --- what tests put there ----------------------------------------------------------------------------------

    def add_image(
        self, ref: Reference, layers: Sequence[bytes], platform: Platform = AMD64, run: dict[str, Any] | None = None,
        tagged: bool = True,
    ) -> Descriptor:  # fmt: skip
        descriptors = []
        for raw in layers:
            data = gzip.compress(raw, 1, mtime=0)
            self.blobs[ref.name, Digest.of(data)] = data
            descriptors.append(Descriptor(OCI_LAYER_GZIP, Digest.of(data), len(data)))
        config = ImageConfig.build(
            platform=platform, run=run or {}, created="2020-01-01T00:00:00Z", history=(),
            diff_ids=tuple(Digest.of(raw) for raw in layers),
        )  # fmt: skip
        self.blobs[ref.name, config.descriptor.digest] = config.raw
        manifest = Manifest.build(Descriptor(OCI_CONFIG, config.descriptor.digest, len(config.raw)), tuple(descriptors))
        self._put(ref if tagged else None, ref, manifest.media_type, manifest.raw)
        return manifest.descriptor

    def add_index(self, ref: Reference, children: dict[Platform, Descriptor]) -> Descriptor:
        manifests = [
            {**each.to_json(), "platform": {"os": p.os, "architecture": p.architecture}} for p, each in children.items()
        ]
        raw = dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
        self._put(ref, ref, OCI_INDEX, raw)
        return Descriptor(OCI_INDEX, Digest.of(raw), len(raw))

    def _put(self, tag: Reference | None, ref: Reference, media_type: str, raw: bytes) -> None:
        self.manifests[ref.name, Digest.of(raw)] = media_type, raw
        if tag is not None and tag.tag:
            self.manifests[ref.name, tag.tag] = media_type, raw


@dataclass
class Landing:
    top: Path
    db: Database
    store: ContentStore
    snapshots: Snapshots
    bus: Bus
    registry: Registry
    images: Images
    runner: asyncio.Runner  # one event loop, as in a daemon
    progress: list[Progress] = field(default_factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def report(self, progress: Progress) -> None:
        self.progress.append(progress)

    def lines(self) -> list[str]:
        """What was reported since the last call, as a terminal would show it."""
        shown = [f"{p.id}: {p.status}" if p.id else p.status or p.stream for p in self.progress]
        self.progress.clear()
        return shown

    def blobs(self) -> set[Digest]:
        return set(self.store.walk())

    def is_empty(self) -> bool:
        """True if neither content nor snapshots hold anything, and nothing is on its way."""
        return (
            not self.blobs() and not os.listdir(self.store.ingest_dir) and os.listdir(self.snapshots.root) == ["empty"]
        )

    def actions(self) -> list[str]:
        return [event.action for event in self.bus.past()]


@pytest.fixture
def make_landing(tmp_path: Path) -> Iterator[Callable[[str], Landing]]:
    opened: list[Database] = []
    runner = asyncio.Runner()

    def make(name: str) -> Landing:
        top = tmp_path / name
        top.mkdir()
        db = Database(str(top / "naru.db"))
        opened.append(db)
        store, snapshots = ContentStore(str(top / "content")), Snapshots(str(top / "snapshots"), db)
        bus, registry = Bus(), Registry()
        return Landing(
            top, db, store, snapshots, bus, registry, Images(store, snapshots, db, bus, AMD64, registry), runner
        )

    yield make
    runner.close()
    for db in opened:
        db.close()


@pytest.fixture
def landing(make_landing: Callable[[str], Landing]) -> Landing:
    return make_landing("naru")


@pytest.fixture
def stream() -> Callable[..., Pour]:
    """Bytes as a request body brings them."""

    async def pieces(data: bytes, size: int = 60_000) -> AsyncIterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    return lambda data: poured(pieces(data))
