"""Garbage: blobs and snapshots that no image, lease, container, build step or build cache reaches.

`collect` decides and lets go without awaiting anything, so that nothing can begin to use what it has just judged; the
slow part, deleting trees and large files, is left to `Garbage.destroy`.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from naru.content.blobs import ContentStore
from naru.errors import NaruError
from naru.images.catalog import Catalog
from naru.images.documents import Documents
from naru.oci.digest import Digest, chain_ids
from naru.oci.image import MANIFESTS, Descriptor
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Garbage:
    files: tuple[str, ...]
    trees: tuple[str, ...]
    size_bytes: int  # on disk, of both

    def destroy(self) -> None:
        """Blocks; a crash in the middle leaves the rest to the next start."""
        for path in self.files:
            os.unlink(path)
        Snapshots.destroy(self.trees)


def collect(
    store: ContentStore, snapshots: Snapshots, db: Database, catalog: Catalog, *,
    chains: Iterable[Digest] = (), blobs: Iterable[Digest] = (),
) -> Garbage:  # fmt: skip
    """Take everything unreachable out of the stores; `chains` and `blobs` are roots that the caller knows of.

    Call it on the event loop's thread, then `destroy` in any other.
    """
    kept_blobs, kept_chains = set(blobs), set(chains)
    targets = [row.target for row in catalog.rows()]
    for digest in catalog.leased():
        kept_blobs.add(digest)
        if (found := catalog.documents.sniff(digest)) is not None:
            targets.append(found)
    for target in targets:
        _mark(catalog.documents, target, kept_blobs, kept_chains)
    kept_chains |= snapshots.active_parents()
    kept_chains.update(Digest(c) for (c,) in db.rows("SELECT chain_id FROM build_cache WHERE chain_id IS NOT NULL"))
    files, file_bytes = _take_blobs(store, kept_blobs)
    trees, tree_bytes = _take_chains(snapshots, kept_chains)
    return Garbage(tuple(files), tuple(trees), file_bytes + tree_bytes)


def _mark(documents: Documents, target: Descriptor, blobs: set[Digest], chains: set[Digest]) -> None:
    """Add what target reaches. A document that cannot be read reaches nothing more, and is no reason to stop."""
    blobs.add(target.digest)
    try:
        children = documents.manifests(target)
    except NaruError as error:
        _log.warning("%s: %s", target.digest, error)
        return
    for child in children:
        blobs.add(child.digest)
        if child.media_type not in MANIFESTS:
            continue
        try:
            manifest = documents.manifest(child)
            blobs.update(d.digest for d in (manifest.config, *manifest.layers))
            chains.update(chain_ids(documents.config(manifest).diff_ids))
        except NaruError as error:  # an attestation's config is no image's, a damaged one is nobody's
            _log.debug("%s: %s", child.digest, error)


def _take_blobs(store: ContentStore, kept: set[Digest]) -> tuple[list[str], int]:
    """Move what is not kept to the ingest folder, which the store empties at its next start, should we not get to it."""
    taken, size_bytes = [], 0
    for digest in list(store.walk()):
        if digest not in kept:
            size_bytes += store.size(digest)
            taken.append(os.path.join(store.ingest_dir, f"garbage-{secrets.token_hex(8)}"))
            os.rename(store.path(digest), taken[-1])
    return taken, size_bytes


def _take_chains(snapshots: Snapshots, roots: set[Digest]) -> tuple[list[str], int]:
    parents = snapshots.chains()
    kept: set[Digest] = set()
    for root in roots:
        chain: Digest | None = root
        while chain is not None and chain not in kept:
            kept.add(chain)
            chain = parents.get(chain)
    dropped = [chain for chain in parents if chain not in kept]
    size_bytes = sum(snapshots.usage_bytes(chain) for chain in dropped)
    return snapshots.forget(dropped), size_bytes
