"""New images: from a container or a build step, and from a file system in a tar (docker commit, docker import)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from naru.content.blobs import ContentStore
from naru.images.catalog import Catalog, Lease
from naru.images.feed import Pour, through_pipe
from naru.images.unpack import Unpacker
from naru.images.values import Image, rfc3339
from naru.linux.threads import finish_in_thread
from naru.oci.digest import chain_id
from naru.oci.image import History, ImageConfig, Json, Manifest, Platform
from naru.oci.reference import Reference
from naru.snapshots.apply import LIMIT_BYTES
from naru.snapshots.diff import Claim, Layer, write_layer
from naru.snapshots.intake import store_archive
from naru.snapshots.overlay import Snapshots


class Maker:
    def __init__(self, store: ContentStore, snapshots: Snapshots, catalog: Catalog, unpacker: Unpacker) -> None:
        self._store = store
        self._snapshots = snapshots
        self._catalog = catalog
        self._unpacker = unpacker

    async def commit(
        self, key: str, base: Image | None, lease: Lease, *, run: Json, history: Sequence[History], created: str,
        author: str, platform: Platform, consume: bool,
    ) -> Image:  # fmt: skip
        """An image of base and what the active snapshot `key` has changed on top of it, unpacked and leased, unnamed.

        With `consume`, key becomes the new layer and is gone; it must not be mounted any more then.
        """
        layer = await finish_in_thread(write_layer, self._snapshots, key, self._store, lease.add)
        before = base.config.diff_ids if base is not None else ()
        if consume:
            chain = chain_id((*before, layer.diff_id))
            assert chain is not None
            await finish_in_thread(self._snapshots.commit, key, chain, layer.diff_id)
        return await self.assemble(
            base, [layer], lease, run=run, history=history, created=created, author=author, platform=platform
        )

    async def assemble(
        self, base: Image | None, layers: Sequence[Layer], lease: Lease, *, run: Json, history: Sequence[History],
        created: str, author: str, platform: Platform,
    ) -> Image:  # fmt: skip
        """An image of base with these layers on top (none: only its configuration changes), unpacked and leased."""
        config = ImageConfig.build(
            platform=platform, run=run, created=created, author=author,
            diff_ids=(*(base.config.diff_ids if base is not None else ()), *(layer.diff_id for layer in layers)),
            history=(*(base.config.history if base is not None else ()), *history),
        )  # fmt: skip
        below = base.manifest.layers if base is not None else ()
        manifest = Manifest.build(config.descriptor, (*below, *(layer.descriptor for layer in layers)))
        await finish_in_thread(store_documents, self._store, manifest, config, lease.add)
        await self._unpacker.unpack(manifest, config)
        return Image(manifest.descriptor, manifest, config)

    async def import_(self, pour: Pour, ref: Reference | None, *, run: Json, message: str, platform: Platform) -> Image:
        """An image of one layer, the tar that is poured (plain or compressed), unpacked and named.

        Raises InvalidArgument, Unsupported for what is no tar; what pour raises.
        """

        with self._catalog.lease() as lease:

            async def consume(fd: int) -> Layer:
                return await finish_in_thread(
                    store_archive, self._store, lambda count: os.read(fd, count), lease.add, limit_bytes=LIMIT_BYTES
                )

            layer = await through_pipe(pour, consume)
            created = rfc3339(time.time_ns())
            image = await self.assemble(
                None, [layer], lease, run=run, history=[History(created=created, comment=message)], created=created,
                author="", platform=platform,
            )  # fmt: skip
            self._catalog.record(image.target, ref)
        return self._catalog.image(image.target)


def store_documents(store: ContentStore, manifest: Manifest, config: ImageConfig, claim: Claim) -> None:
    """Both are in the store, and claimed before that, when this returns."""
    for descriptor, raw in ((manifest.config, config.raw), (manifest.descriptor, manifest.raw)):
        claim(descriptor.digest)
        store.put(raw, descriptor.digest)
