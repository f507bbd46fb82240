"""Online garbage collection: what may be garbage is noted when that becomes possible, and looked at after a grace period.

Nothing is ever stopped for it, and nothing is searched through. A row of `review` says: from `due_at` on, look whether this is still
needed. The rows are written in the very transactions that make something dispensable:

| kind | may be garbage | noted when | kept while |
|---|---|---|---|
| blob | the link of a repository to a blob | uploaded, mounted, asked for by a pusher; its manifest deleted | a manifest of the repository refers to it |
| manifest | a manifest nobody has tagged | pushed by digest, tag moved or deleted, index or subject deleted | tagged, listed by an index, or it has a subject there |

The grace counts from the *last* of these, so a push that goes on for less has all it was told is there. Manifests are collected only
where `untagged` says so: many are used by digest. Bytes follow in two steps: the last link takes the row of the blob along and leaves
its key in `discarded`; then the bytes are deleted, then the key. A crash between any two leaves work, never a hole. Keys are never used
twice, so nothing that is being deleted can be pushed again.

Owns the queue and the task that works it off. The idea of the queue: GitLab's "online garbage collection" specification.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from naru.errors import NaruError
from naru.oci.digest import Digest
from naru.registry import records
from naru.registry.blobstore import BlobStore
from naru.registry.database import Connection, Database, one
from naru.registry.uploads import Uploads, delete_discarded

log = logging.getLogger("naru.registry")

_AT_ONCE = 100  # rows in one transaction
_SWEEP_S = 86400.0
BLOB, MANIFEST = "blob", "manifest"


@dataclass(frozen=True, slots=True)
class Policy:
    """`grace_s`: how long what nobody refers to is kept. `untagged`: whether manifests without a tag go too."""

    grace_s: float = 86400.0
    untagged: bool = False


def review(c: Connection, kind: str, repository: int, digest: Digest, event: str, now_s: float, policy: Policy) -> None:
    """Look at it after the grace period, which begins (anew) now."""
    if kind == MANIFEST and not policy.untagged:
        return
    c.run(
        "INSERT INTO review (kind, repository, digest, since_at, due_at, event) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (kind, repository, digest) DO UPDATE SET due_at = excluded.due_at, event = excluded.event",
        kind, repository, digest, now_s, now_s + policy.grace_s, event,
    )  # fmt: skip


def is_waiting(c: Connection, name: str, digest: Digest, before_s: float) -> bool:
    """Whether a blob may be collected before that time: who is told that it is there must be given the whole grace."""
    sql = (
        "SELECT 1 FROM review JOIN repository ON repository.id = review.repository "
        "WHERE kind = ? AND name = ? AND digest = ? AND due_at < ?"
    )
    return bool(c.rows(sql, BLOB, name, digest, before_s))


def postpone(c: Connection, name: str, digest: Digest, event: str, now_s: float, policy: Policy) -> bool:
    """False if the blob is not the repository's any more."""
    if records.blob(c, name, digest) is None:
        return False
    repository = records.ensure_repository(c, name, now_s)
    review(c, BLOB, repository, digest, event, now_s, policy)
    return True


def is_referenced(c: Connection, repository: int, digest: Digest) -> bool:
    """By a manifest of the repository: as its blob, or as one it lists."""
    return bool(c.rows("SELECT 1 FROM reference WHERE repository = ? AND target = ? LIMIT 1", repository, digest))


def is_needed(c: Connection, kind: str, repository: int, digest: Digest) -> bool:
    if is_referenced(c, repository, digest):
        return True
    if kind == BLOB:
        return False
    own = (repository, digest)
    if c.rows("SELECT 1 FROM tag WHERE repository = ? AND digest = ? LIMIT 1", *own):
        return True
    sql = "SELECT 1 FROM manifest m JOIN manifest s ON s.repository = m.repository AND s.digest = m.subject WHERE m.repository = ? AND m.digest = ?"
    return bool(c.rows(sql, *own))


def drop_manifest(c: Connection, repository: int, digest: Digest, now_s: float, policy: Policy) -> list[str] | None:
    """Delete it, and note what it leaves behind. The tags that went with it; None if it was not there."""
    tags, targets = records.tags_of(c, repository, digest), records.references_of(c, repository, digest)
    if not records.delete_manifest(c, repository, digest):
        return None
    event = f"{digest} was deleted"
    for target in targets:
        kind = (
            BLOB if c.rows("SELECT 1 FROM link WHERE repository = ? AND digest = ?", repository, target) else MANIFEST
        )
        review(c, kind, repository, target, event, now_s, policy)
    for (referrer,) in c.rows("SELECT digest FROM manifest WHERE repository = ? AND subject = ?", repository, digest):
        review(c, MANIFEST, repository, Digest(referrer), event, now_s, policy)
    return tags


def collect(c: Connection, now_s: float, policy: Policy) -> tuple[int, int]:
    """Look at what is due, at most a hundred. How many were looked at, and how many of them went."""
    sql = f"SELECT kind, repository, digest FROM review WHERE due_at <= ? ORDER BY due_at LIMIT {_AT_ONCE}{c.for_claim}"
    gone = 0
    due = c.rows(sql, now_s)
    for kind, repository, text in due:
        digest = Digest(text)
        c.run("DELETE FROM review WHERE kind = ? AND repository = ? AND digest = ?", kind, repository, digest)
        if is_needed(c, kind, repository, digest):
            continue
        if kind == BLOB:
            gone += records.unlink(c, repository, digest, now_s)
        elif policy.untagged:
            gone += drop_manifest(c, repository, digest, now_s, policy) is not None
    return len(due), gone


def review_untagged(c: Connection, now_s: float, policy: Policy) -> None:
    """Note every manifest without a tag: for when the policy has become that these go too."""
    c.run(
        "INSERT INTO review (kind, repository, digest, since_at, due_at, event) "
        "SELECT ?, repository, digest, ?, ?, 'found untagged' FROM manifest WHERE NOT EXISTS "
        "(SELECT 1 FROM tag WHERE tag.repository = manifest.repository AND tag.digest = manifest.digest) "
        "ON CONFLICT (kind, repository, digest) DO NOTHING",
        MANIFEST, now_s, now_s + policy.grace_s,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Holding:
    """Why one repository keeps a digest; `due_at` is when it will be looked at, if it will."""

    repository: str
    kind: str
    tags: tuple[str, ...]
    manifests: tuple[str, ...]  # that refer to it
    due_at: float | None
    event: str


@dataclass(frozen=True, slots=True)
class Explanation:
    digest: Digest
    size_bytes: int | None  # of the stored blob; None: there are no bytes of it
    holdings: tuple[Holding, ...]


def explain(c: Connection, digest: Digest) -> Explanation:
    """Everything that keeps these bytes from being free, repository by repository."""
    size = one(c.rows("SELECT size_bytes FROM blob WHERE digest = ?", digest))
    sql = (
        "SELECT repository.id, repository.name, 'blob' FROM link JOIN repository ON repository.id = repository WHERE digest = ? "
        "UNION ALL SELECT repository.id, repository.name, 'manifest' FROM manifest JOIN repository ON repository.id = repository "
        "WHERE digest = ? ORDER BY 2, 3"
    )
    holdings = []
    for repository, name, kind in c.rows(sql, digest, digest):
        tags = tuple(records.tags_of(c, repository, digest))
        by = c.rows("SELECT manifest FROM reference WHERE repository = ? AND target = ? ORDER BY 1", repository, digest)
        queued = one(
            c.rows(
                "SELECT due_at, event FROM review WHERE kind = ? AND repository = ? AND digest = ?",
                kind, repository, digest,
            )
        )  # fmt: skip
        due_at, event = queued or (None, "")
        holdings.append(Holding(name, kind, tags, tuple(manifest for (manifest,) in by), due_at, event))
    return Explanation(digest, size[0] if size else None, tuple(holdings))


@dataclass(frozen=True, slots=True)
class Backlog:
    """`reviews`: to be looked at; `due`: already; `discarded`: objects whose bytes are to be deleted."""

    reviews: int
    due: int
    discarded: int
    oldest_due_at: float | None


def backlog(c: Connection, now_s: float) -> Backlog:
    sql = "SELECT count(*), coalesce(sum(CASE WHEN due_at <= ? THEN 1 ELSE 0 END), 0), min(due_at) FROM review"
    ((reviews, due, oldest),) = c.rows(sql, now_s)
    ((waiting,),) = c.rows("SELECT count(*) FROM discarded")
    return Backlog(reviews, due, waiting, oldest)


class Collector:
    """Works the queue off, in the background; several instances do not disturb one another."""

    def __init__(
        self, database: Database, blobs: BlobStore, uploads: Uploads, policy: Policy, *, pause_s: float = 30.0
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._uploads = uploads
        self._policy = policy
        self._pause_s = min(pause_s, max(policy.grace_s / 2, 0.05))

    async def run(self) -> None:
        """Until cancelled. What goes wrong is tried again at the next round."""
        if self._policy.untagged:
            await self._database.write(review_untagged, time.time(), self._policy)
        swept_at = 0.0
        while True:
            try:
                await self._uploads.expire()
                await self.round()
                if time.time() - swept_at > _SWEEP_S:
                    await self.sweep(time.time() - _SWEEP_S)
                    swept_at = time.time()
            except (NaruError, OSError) as error:
                log.error("garbage collection: %s", error)
            await asyncio.sleep(self._pause_s)

    async def round(self) -> int:
        """Everything that is due now. How many links and manifests went."""
        gone = 0
        while True:
            looked_at, more = await self._database.write(collect, time.time(), self._policy)
            gone += more
            if looked_at < _AT_ONCE:
                break
        while keys := await self._database.read(records.discarded, _AT_ONCE):
            await delete_discarded(self._database, self._blobs, keys)
        return gone

    async def sweep(self, before_s: float) -> int:
        """Discard objects from before that time of which the database knows nothing: a power cut may leave such. How many."""
        found = 0
        objects = await asyncio.to_thread(lambda: [key for key, time_s in self._blobs.walk() if time_s < before_s])
        for first in range(0, len(objects), _AT_ONCE):
            found += await self._database.write(discard_unknown, objects[first : first + _AT_ONCE], time.time())
        return found


def discard_unknown(c: Connection, keys: Sequence[str], now_s: float) -> int:
    known = "SELECT 1 FROM blob WHERE key = ? UNION ALL SELECT 1 FROM upload WHERE id = ? UNION ALL SELECT 1 FROM discarded WHERE key = ?"
    unknown = [key for key in keys if not c.rows(known, key, key, key)]
    for key in unknown:
        records.discard(c, key, now_s)
    return len(unknown)
