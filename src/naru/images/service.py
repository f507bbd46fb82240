"""The image service: the one door through which API, containers and builds reach images, so it has many methods, each
short. It publishes the events; what they do is in the files beside this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from naru.content.blobs import ContentStore
from naru.errors import Conflict, InvalidArgument
from naru.events import Bus, Event, Progress, Report
from naru.images import gc, removal
from naru.images.catalog import Catalog, Lease
from naru.images.documents import Documents
from naru.images.load import load
from naru.images.make import Maker
from naru.images.pull import Puller
from naru.images.push import Pusher
from naru.images.registry import RegistryClient
from naru.images.removal import PruneFilter
from naru.images.save import plan, save
from naru.images.unpack import Unpacker, chains_of
from naru.images.values import HistoryLine, Image, Removed, Use, Uses
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest
from naru.oci.image import INDEXES, Descriptor, History, Json, Platform
from naru.oci.reference import Reference
from naru.snapshots.diff import Layer
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database

if TYPE_CHECKING:
    from naru.images.feed import Pour
    from naru.remote.auth import Credentials
    from naru.snapshots.tarstream import Sink


def _no_uses() -> Sequence[Use]:
    return ()


class Images:
    """`uses` tells which containers stand on which images; whoever composes the daemon sets it."""

    def __init__(
        self, store: ContentStore, snapshots: Snapshots, db: Database, bus: Bus, platform: Platform,
        registry: RegistryClient,
    ) -> None:  # fmt: skip
        self._store, self._snapshots, self._db, self._bus = store, snapshots, db, bus
        self._catalog = Catalog(db, Documents(store), platform)
        self._unpacker = Unpacker(store, snapshots)
        self._maker = Maker(store, snapshots, self._catalog, self._unpacker)
        self._puller = Puller(store, snapshots, self._catalog, self._unpacker, registry)
        self._pusher = Pusher(store, self._catalog, registry)
        self._pruning = False
        self.platform = platform
        self.uses: Uses = _no_uses
        self.kept: Callable[[], Iterable[Digest]] = tuple  # blobs that others need: the results of builds

    def limit(self, *, downloads: int, uploads: int) -> None:
        """Layers that are fetched, and sent, at the same time; 0: as many as Docker's default."""
        self._puller.limit(downloads)
        self._pusher.limit(uploads)

    def _publish(self, action: str, id: str, name: str, image: Image | None = None) -> None:
        """Of an image that is here still, its labels are told too."""
        labels = image.config.run.get("Labels") if image is not None else None
        self._bus.publish(Event("image", action, id, time.time_ns(), {**(labels or {}), "name": name}))

    # --- reading ---------------------------------------------------------------------------------------------------

    def resolve(self, name: str, platform: Platform | None = None) -> Image:
        """The image that name means: `name[:tag]`, `name@digest`, an id or an id's beginning of four digits or more.

        Raises NotFound, InvalidArgument in Docker's words; DataLoss if what is stored of it is damaged.
        """
        return self._catalog.resolve(name, platform)

    def list(self) -> Sequence[Image]:
        """Every image once, dangling ones too, in the order of names."""
        return self._catalog.images()

    def manifests(self, image: Image) -> Sequence[Descriptor]:
        """Every manifest of the image's target that is here, attestations included."""
        return self._catalog.documents.manifests(image.target)

    def size_bytes(self, image: Image) -> tuple[int, int]:
        """(content: all blobs of the target that are here; unpacked: the snapshots of this platform's layers)."""
        content = sum(blob.size for blob in self._catalog.documents.blobs(image.target).values())
        chains = [chain for chain in chains_of(image.manifest, image.config) if self._snapshots.has(chain)]
        return content, sum(self._snapshots.usage_bytes(chain) for chain in chains)

    def history(self, image: Image) -> Sequence[HistoryLine]:
        """Newest first."""
        chains = chains_of(image.manifest, image.config)
        lines, used = [], 0
        for entry in image.config.history:
            size = 0
            if not entry.empty_layer and used < len(chains):
                chain, layer = chains[used], image.manifest.layers[used]
                size = self._snapshots.usage_bytes(chain) if self._snapshots.has(chain) else layer.size
                used += 1
            lines.append(HistoryLine("<missing>", entry.created, entry.created_by, entry.comment, size, ()))
        if lines:
            last = lines.pop()
            tags = tuple(name.familiar for name in image.names if name.tag)
            lines.append(HistoryLine(str(image.id), last.created, last.created_by, last.comment, last.size_bytes, tags))
        return lines[::-1]

    # --- names -----------------------------------------------------------------------------------------------------

    def record(self, image: Image, ref: Reference | None, parent: Digest | None = None) -> None:
        """Keep a new image: under this name, or for None as a dangling one; with `parent`, as a child of that image."""
        self._catalog.record(image.target, ref, parent)
        self._publish("create", image.id, image.id, image)
        if ref is not None:
            self._publish("tag", image.id, ref.familiar, image)

    def tag(self, image: Image, ref: Reference) -> None:
        """Raises InvalidArgument if ref has a digest."""
        if ref.digest is not None:
            raise InvalidArgument("cannot import digest reference")
        ref = ref.with_default_tag()
        self._catalog.record(image.target, ref)
        self._publish("tag", image.id, ref.familiar, image)

    async def remove(self, name: str, *, force: bool = False) -> Sequence[Removed]:
        """Remove a name or, by id, the image with all its names; what nothing reaches any more is deleted.

        Raises NotFound, and Conflict in Docker's words if containers or other repositories use it.
        """
        digest = self._catalog.find(name)[0].target.digest
        removed = removal.remove(self._catalog, name, self.uses(), force=force)
        await self._after(removed, digest)
        return removed

    async def prune(self, wanted: PruneFilter) -> tuple[Sequence[Removed], int]:
        """What was removed, and the bytes that this gave back. Raises Conflict if another prune is running."""
        if self._pruning:
            raise Conflict("a prune operation is already running")
        self._pruning = True
        try:
            removed = removal.prune(self._catalog, self.uses(), wanted)
            return removed, await self._after(removed, None)
        finally:
            self._pruning = False

    async def _after(self, removed: Sequence[Removed], digest: Digest | None) -> int:
        for line in removed:
            if line.action == "Deleted":
                self._publish("delete", line.text, line.text)
            else:
                self._publish("untag", str(digest or line.text), line.text)
        return await self.collect()

    async def collect(self) -> int:
        """Delete every blob and snapshot that nothing reaches; returns the bytes that this gave back."""
        garbage = gc.collect(self._store, self._snapshots, self._db, self._catalog, blobs=self.kept())
        await finish_in_thread(garbage.destroy)
        return garbage.size_bytes

    async def recover(self) -> None:
        """At the start of the daemon, after the snapshots': leases of the last process end, and so does its garbage."""
        self._catalog.drop_leases()
        await self.collect()

    # --- registries ------------------------------------------------------------------------------------------------

    async def pull(
        self, ref: Reference, platform: Platform | None, credentials: Credentials | None, report: Report
    ) -> Image:
        """The image is here, unpacked and named when this returns it. A pull that fails leaves nothing.

        Raises NotFound, Unauthenticated, Unavailable, DataLoss, InvalidArgument, Unsupported.
        """
        ref = ref.with_default_tag()
        try:
            target, _ = await self._puller.pull(ref, platform, credentials, report)
        except BaseException:
            await self.collect()
            raise
        image = self._catalog.resolve(str(ref), platform if target.media_type in INDEXES else None)
        self._publish("pull", ref.familiar, ref.familiar_name, image)
        return image

    async def push(
        self, ref: Reference, platform: Platform | None, credentials: Credentials | None, report: Report
    ) -> None:
        """The registry has it when this returns. Raises NotFound, Unauthenticated, Forbidden, Unavailable."""
        await self._pusher.push(ref, platform, credentials, report)
        self._publish("push", ref.familiar, ref.familiar_name)

    # --- making ----------------------------------------------------------------------------------------------------

    async def unpack(self, image: Image) -> Digest | None:
        """Every layer is a snapshot when this returns the chain ID of the stack. Raises DataLoss, NotFound, Unavailable."""
        return await self._unpacker.unpack(image.manifest, image.config)

    def lease(self) -> AbstractContextManager[Lease]:
        """In its `with`, what commit and assemble make is safe from collection; name it before the end."""
        return self._catalog.lease()

    async def commit(
        self, key: str, base: Image | None, lease: Lease, *, run: Json, history: Sequence[History], created: str,
        author: str = "", platform: Platform | None = None, consume: bool = False,
    ) -> Image:  # fmt: skip
        """An unnamed image of base and what the active snapshot key has changed; see `Maker.commit`."""
        return await self._maker.commit(
            key, base, lease, run=run, history=history, created=created, author=author,
            platform=platform or self.platform, consume=consume,
        )  # fmt: skip

    async def assemble(
        self, base: Image | None, layers: Sequence[Layer], lease: Lease, *, run: Json, history: Sequence[History],
        created: str, author: str = "", platform: Platform | None = None,
    ) -> Image:  # fmt: skip
        """An unnamed image of base and layers that are in the store; see `Maker.assemble`."""
        return await self._maker.assemble(
            base, layers, lease, run=run, history=history, created=created, author=author,
            platform=platform or self.platform,
        )  # fmt: skip

    async def import_(
        self, pour: Pour, ref: Reference | None, *, run: Json, message: str = "",
        platform: Platform | None = None,
    ) -> Image:  # fmt: skip
        """An image of one layer, the tar that is poured. Raises InvalidArgument, Unsupported; nothing is left then."""
        ref = ref.with_default_tag() if ref is not None else None
        try:
            image = await self._maker.import_(pour, ref, run=run, message=message, platform=platform or self.platform)
        except BaseException:
            await self.collect()
            raise
        self._publish("import", image.id, image.id, image)
        if ref is not None:
            self._publish("tag", image.id, ref.familiar, image)
        return image

    # --- archives --------------------------------------------------------------------------------------------------

    def save(self, names: Sequence[str], platform: Platform | None = None) -> Callable[[Sink], None]:
        """What writes the archive; it blocks. Raises NotFound, InvalidArgument at once, before the first byte."""
        planned = plan(self._catalog, names, platform)
        for image in planned.saved:
            self._publish("save", image.id, image.id, image)
        return lambda out: save(self._store, planned, out)

    async def load(self, pour: Pour, platform: Platform | None, report: Report) -> None:
        """Every image of the archive is here when this returns. Raises InvalidArgument, Unsupported, DataLoss, NotFound."""
        try:
            loaded = await load(self._store, self._catalog, self._unpacker, pour, platform)
        finally:
            await self.collect()  # also after success: an archive may hold files that no image names
        for each in loaded:
            name = each.reference.familiar if each.reference else str(each.target.digest)
            report(Progress(stream=f"Loaded image{':' if each.reference else ' ID:'} {name}\n"))
            self._publish("load", each.target.digest, each.target.digest, self._catalog.image(each.target, platform))
