"""Where layers are made: a writable snapshot on top of a chain, changed, written as a layer, committed; or nothing.

Owns the keys `build-*` of the snapshots, from `writable` to the end of its `with`. A tree is changed through a detached
mount only (`linux.mounts`), which is gone before the layer is written.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from naru.content.blobs import ContentStore
from naru.linux.files import Root
from naru.linux.mounts import open_detached
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest, chain_on
from naru.oci.image import Descriptor
from naru.snapshots.diff import write_layer
from naru.snapshots.overlay import Snapshots


@dataclass(frozen=True, slots=True)
class Made:
    """A layer that is in the content store and a committed snapshot."""

    layer: Descriptor
    diff_id: Digest


class Workspace:
    """`scratch` is a private directory for mount points, downloads and inline files; `keep` protects a new blob."""

    def __init__(self, snapshots: Snapshots, store: ContentStore, scratch: str, keep: Callable[[Digest], None]) -> None:
        self.snapshots = snapshots
        self.store = store
        self.scratch = scratch
        self._keep = keep
        self._mount_point = os.path.join(scratch, "mnt")
        os.makedirs(self._mount_point, exist_ok=True)

    def holds(self, layer: Digest, chain: Digest) -> bool:
        """Whether the layer's blob and the snapshot that it ends are there; the blob stays for as long as this build."""
        self._keep(layer)
        return self.store.has(layer) and self.snapshots.has(chain)

    @asynccontextmanager
    async def writable(self, chain: Digest | None) -> AsyncIterator[str]:
        """The key of a new active snapshot, removed at the end unless it was committed."""
        key = f"build-{secrets.token_hex(16)}"
        await finish_in_thread(self.snapshots.prepare, key, chain)
        try:
            yield key
        finally:
            await finish_in_thread(self.snapshots.remove, key)

    @asynccontextmanager
    async def opened(self, key: str) -> AsyncIterator[Root]:
        """The active snapshot as a root; changes are part of it. Not while anything else has it mounted."""
        with Root(await finish_in_thread(open_detached, self.snapshots.mounts(key), self._mount_point)) as root:
            yield root

    @asynccontextmanager
    async def viewed(self, chain: Digest | None) -> AsyncIterator[Root]:
        """Committed layers as a root, to read from."""
        with Root(await finish_in_thread(open_detached, self.snapshots.view(chain), self._mount_point)) as root:
            yield root

    async def commit(self, key: str, chain: Digest | None) -> Made:
        """Write what changed as a layer, and make the snapshot the committed one above `chain`."""
        written = await finish_in_thread(write_layer, self.snapshots, key, self.store, self._keep)
        above = chain_on(chain, written.diff_id)
        await finish_in_thread(self.snapshots.commit, key, above, written.diff_id)
        return Made(written.descriptor, written.diff_id)
