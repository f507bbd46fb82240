"""What is collected, when, and why not yet. Time is an argument of everything but the collector's own loop."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from images import SOMEBODY, push, put, refused
from naru.oci.digest import Digest
from naru.oci.image import OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest, dump_json
from naru.registry import garbage
from naru.registry.blobstore import Folder
from naru.registry.database import Database
from naru.registry.errors import Refusal
from naru.registry.garbage import Collector, Policy, backlog, explain
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads

DAY_S = 86400.0
UNTAGGED = Policy(DAY_S, untagged=True)


async def collect(storage: Storage, after_s: float, policy: Policy | None = None) -> int:
    gone = 0
    while True:
        looked_at, more = await storage.database.write(garbage.collect, time.time() + after_s, policy or storage.policy)
        gone += more
        if not looked_at:
            return gone


async def has(storage: Storage, repository: str, digest: Digest) -> bool:
    try:
        await storage.blob(repository, digest)
    except Refusal:
        return False
    return True


async def index(storage: Storage, repository: str, tag: str, children: list[Digest]) -> Digest:
    manifests = [Descriptor(OCI_MANIFEST, child, 1).to_json() for child in children]
    raw = dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    return (await storage.put_manifest(SOMEBODY, repository, tag or Digest.of(raw), OCI_INDEX, raw)).digest


async def test_a_blob_nobody_refers_to_goes_after_the_grace(storage: Storage, uploads: Uploads) -> None:
    digest = await put(storage, uploads, "a", b"alone")
    assert await collect(storage, DAY_S - 60) == 0 and await has(storage, "a", digest)
    assert await collect(storage, DAY_S + 1) == 1 and not await has(storage, "a", digest)


async def test_what_a_manifest_refers_to_stays_until_it_is_deleted_and_then_for_the_grace(
    storage: Storage, uploads: Uploads
) -> None:
    digest = await push(storage, uploads, "a", "latest", b"layer")
    layer = Digest.of(b"layer")
    assert await collect(storage, 100 * DAY_S) == 0 and await has(storage, "a", layer)
    await storage.delete_manifest(SOMEBODY, "a", digest)
    assert await collect(storage, DAY_S - 60) == 0 and await has(storage, "a", layer)
    assert await collect(storage, DAY_S + 1) == 2 and not await has(storage, "a", layer)
    assert (await storage.database.read(backlog, time.time())).discarded == 2


async def test_of_two_repositories_only_the_one_that_needs_it_not(storage: Storage, uploads: Uploads) -> None:
    await push(storage, uploads, "a", "latest", b"layer")
    layer = Digest.of(b"layer")
    await storage.mount(SOMEBODY, "b", layer, "a")
    assert await collect(storage, DAY_S + 1) == 1
    assert await has(storage, "a", layer) and not await has(storage, "b", layer)
    assert (await storage.database.read(backlog, time.time())).discarded == 0


async def test_asking_for_a_blob_begins_the_grace_anew(database: Database, storage: Storage, uploads: Uploads) -> None:
    digest = await put(storage, uploads, "a", b"asked for")

    def nearly_due(c: garbage.Connection) -> None:
        c.run("UPDATE review SET due_at = ?", time.time() + 1)

    await database.write(nearly_due)
    await storage.promise("a", digest)
    assert await collect(storage, DAY_S - 60) == 0 and await has(storage, "a", digest)
    before = await database.read(explain, digest)
    await storage.promise("a", digest)  # soon after: nothing has to be written
    assert await database.read(explain, digest) == before
    assert "asked" in before.holdings[0].event


async def test_untagged_manifests_stay_unless_the_policy_says_otherwise(storage: Storage, uploads: Uploads) -> None:
    first = await push(storage, uploads, "a", "latest", b"one")
    await push(storage, uploads, "a", "latest", b"two")
    assert await collect(storage, 100 * DAY_S) == 0 and await storage.manifest("a", first)


async def test_with_the_policy_untagged_ones_go_and_their_blobs_after_them(
    database: Database, storage: Storage, uploads: Uploads
) -> None:
    storage.policy = UNTAGGED
    first = await push(storage, uploads, "a", "latest", b"one")
    second = await push(storage, uploads, "a", "latest", b"two")
    assert await collect(storage, DAY_S - 60) == 0
    assert await collect(storage, DAY_S + 1) >= 1
    with refused("MANIFEST_UNKNOWN"):
        await storage.manifest("a", first)
    assert await has(storage, "a", Digest.of(b"one"))  # its grace begins with the manifest's end
    await collect(storage, 3 * DAY_S)
    assert not await has(storage, "a", Digest.of(b"one")) and await has(storage, "a", Digest.of(b"two"))
    assert (await storage.manifest("a", "latest")).digest == second


async def test_children_of_an_index_and_referrers_of_a_subject_are_needed(storage: Storage, uploads: Uploads) -> None:
    storage.policy = UNTAGGED
    children = [await push(storage, uploads, "a", f"arch{n}", bytes([n])) for n in range(2)]
    outer = await index(storage, "a", "latest", [await index(storage, "a", "", children)])
    config = Descriptor("application/vnd.oci.empty.v1+json", await put(storage, uploads, "a", b"{}"), 2)
    document = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json(), "layers": [],
        "subject": Descriptor(OCI_MANIFEST, children[0], 1).to_json(),
    }  # fmt: skip
    raw = dump_json(document)
    signature = (await storage.put_manifest(SOMEBODY, "a", Digest.of(raw), OCI_MANIFEST, raw)).digest
    for n in range(2):
        await storage.delete_manifest(SOMEBODY, "a", f"arch{n}")
    await collect(storage, 100 * DAY_S, UNTAGGED)
    for digest in (outer, *children, signature):
        assert await storage.manifest("a", digest)
    await storage.delete_manifest(SOMEBODY, "a", outer)
    for days in (2, 4, 6, 8, 10):  # index, then its children, then what refers to them, then blobs
        await collect(storage, days * DAY_S, UNTAGGED)
    for digest in (outer, *children, signature):
        with refused("MANIFEST_UNKNOWN"):
            await storage.manifest("a", digest)
    assert await storage.repositories("", 10) == []


async def test_why_something_is_not_free_yet(database: Database, storage: Storage, uploads: Uploads) -> None:
    digest = await push(storage, uploads, "a", "latest", b"layer")
    await storage.mount(SOMEBODY, "b", Digest.of(b"layer"), "a")
    found = await database.read(explain, Digest.of(b"layer"))
    assert found.size_bytes == 5
    first, second = found.holdings
    assert (first.repository, first.manifests) == ("a", (digest,))
    assert (second.repository, second.manifests, second.event) == ("b", (), "mounted from a")
    assert second.due_at and abs(second.due_at - time.time() - DAY_S) < 60
    manifest = await database.read(explain, digest)
    assert manifest.holdings[0].tags == ("latest",) and manifest.size_bytes is None
    assert (await database.read(explain, Digest.of(b"never seen"))).holdings == ()


async def race(storage: Storage, uploads: Uploads, seconds: float) -> int:
    """Push, pull and delete while the collector runs with hardly any grace: no push may fail for what it was told is there."""
    collector = Collector(storage.database, storage.blobs, uploads, storage.policy, pause_s=0.01)
    ends_at = time.time() + seconds
    pushes = 0

    async def pusher(number: int) -> None:
        nonlocal pushes
        chance = random.Random(number)
        while time.time() < ends_at:
            repository, layer = f"r{chance.randrange(3)}", bytes([chance.randrange(8)]) * 100
            digest = await push(storage, uploads, repository, f"t{chance.randrange(4)}", layer, b"%d" % number)
            record, raw = await storage.read_manifest(repository, digest)
            for one in Manifest.parse(raw, record.media_type).layers:
                blob = await storage.blob(repository, one.digest)
                with storage.open(blob) as file:
                    assert Digest.of(file.read()) == one.digest
            pushes += 1
            if chance.random() < 0.3:
                try:
                    await storage.delete_manifest(SOMEBODY, repository, f"t{chance.randrange(4)}")
                except Refusal as error:  # somebody else was quicker
                    assert error.code == "MANIFEST_UNKNOWN"

    collecting = asyncio.create_task(collector.run())
    try:
        await asyncio.gather(*(pusher(number) for number in range(6)))
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
    return pushes


async def test_pushing_races_collecting(database: Database, tmp_path: Path) -> None:
    storage = Storage(database, Folder(f"{tmp_path}/blobs"), policy=Policy(1.0, untagged=False))
    uploads = Uploads(database, storage.blobs)
    assert await race(storage, uploads, 4) > 10
    uploads.close()
