from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from images import SOMEBODY, push, put, refused
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, dump_json
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.garbage import Collector, Policy
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads


async def read(storage: Storage, repository: str, digest: Digest) -> bytes:
    with storage.open(await storage.blob(repository, digest)) as file:
        return file.read()


async def objects(storage: Storage, uploads: Uploads) -> int:
    """How many there are, when nothing waits to be deleted."""
    await Collector(storage.database, storage.blobs, uploads, Policy()).round()
    return len(list(storage.blobs.walk()))


async def test_a_blob_is_readable_only_where_it_is_linked(storage: Storage, uploads: Uploads) -> None:
    digest = await put(storage, uploads, "a", b"data")
    assert await read(storage, "a", digest) == b"data"
    with refused("BLOB_UNKNOWN"):
        await storage.blob("b", digest)
    assert not await storage.mount(SOMEBODY, "b", digest, "c") and await storage.mount(SOMEBODY, "b", digest, "a")
    await storage.delete_blob("a", digest)
    with refused("BLOB_UNKNOWN"):
        await storage.blob("a", digest)
    assert await objects(storage, uploads) == 1 and await read(storage, "b", digest) == b"data"
    await storage.delete_blob("b", digest)
    assert await objects(storage, uploads) == 0
    with refused("BLOB_UNKNOWN"):
        await storage.delete_blob("b", digest)


async def test_the_same_bytes_are_stored_once(storage: Storage, uploads: Uploads) -> None:
    for repository in ("a", "b", "a"):
        digest = await put(storage, uploads, repository, b"data")
    assert await objects(storage, uploads) == 1 and await read(storage, "b", digest) == b"data"


async def test_wrong_bytes_are_refused_and_leave_nothing(storage: Storage, uploads: Uploads) -> None:
    with refused("DIGEST_INVALID"):
        await put(storage, uploads, "a", b"data", Digest.of(b"other"))
    assert await objects(storage, uploads) == 0
    assert not await storage.database.read(records.has_repository, "a")


async def test_a_digest_of_another_algorithm_than_the_upload_began_with(storage: Storage, uploads: Uploads) -> None:
    digest = Digest("sha512:" + hashlib.sha512(b"data").hexdigest())
    await put(storage, uploads, "a", b"data", digest)
    assert await read(storage, "a", digest) == b"data"
    with refused("DIGEST_INVALID"):
        await put(storage, uploads, "a", b"other", digest)
    assert await read(storage, "a", digest) == b"data" and await objects(storage, uploads) == 1


async def test_manifests_keep_their_bytes_and_tags_move(storage: Storage, uploads: Uploads) -> None:
    first = await push(storage, uploads, "a", "latest")
    second = await push(storage, uploads, "a", "latest", b"layer 2")
    assert (await storage.manifest("a", "latest")).digest == second
    record, raw = await storage.read_manifest("a", first)
    assert record.digest == first == Digest.of(raw)
    with refused("MANIFEST_UNKNOWN"):
        await storage.manifest("a", "nope")
    with refused("NAME_UNKNOWN"):
        await storage.manifest("b", first)
    await storage.delete_manifest(SOMEBODY, "a", second)
    with refused("MANIFEST_UNKNOWN"):
        await storage.manifest("a", "latest")
    assert await storage.tags("a", "", 10) == []


async def test_damaged_bytes_of_a_manifest_are_not_given_out(storage: Storage, uploads: Uploads) -> None:
    from naru.errors import DataLoss

    await push(storage, uploads, "a", "latest")

    def damage(c: Connection) -> int:
        return c.run("UPDATE manifest SET payload = ?", b"{}")

    await storage.database.write(damage)
    with pytest.raises(DataLoss):
        await storage.read_manifest("a", "latest")


async def test_a_tag_is_deleted_without_its_manifest(storage: Storage, uploads: Uploads) -> None:
    digest = await push(storage, uploads, "a", "one")
    _, raw = await storage.read_manifest("a", digest)
    await storage.put_manifest(SOMEBODY, "a", "two", OCI_MANIFEST, raw)
    await storage.delete_manifest(SOMEBODY, "a", "one")
    assert await storage.tags("a", "", 10) == ["two"] and await storage.manifest("a", digest)
    with refused("MANIFEST_UNKNOWN"):
        await storage.delete_manifest(SOMEBODY, "a", "one")


@pytest.mark.parametrize(
    ("media_type", "raw", "code"),
    [
        (OCI_MANIFEST, b"not json", "MANIFEST_INVALID"),
        (OCI_MANIFEST, b"[" * 100_000, "MANIFEST_INVALID"),
        (OCI_MANIFEST, b'{"mediaType":"other","config":{},"layers":[]}', "MANIFEST_INVALID"),
        ("text/plain", b"{}", "MANIFEST_INVALID"),
        (OCI_MANIFEST, Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"?"), 1), ()).raw, "MANIFEST_BLOB_UNKNOWN"),
    ],
)  # fmt: skip
async def test_bad_manifests_are_refused(storage: Storage, media_type: str, raw: bytes, code: str) -> None:
    with refused(code):
        await storage.put_manifest(SOMEBODY, "a", "latest", media_type, raw)
    assert not await storage.database.read(records.has_repository, "a")


async def test_referrers(storage: Storage, uploads: Uploads) -> None:
    subject = await push(storage, uploads, "a", "latest")
    config = Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2)
    for number in range(5):
        document = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json(), "layers": [],
            "artifactType": f"x/{number % 2}", "annotations": {"n": str(number)},
            "subject": Descriptor(OCI_MANIFEST, subject, 1).to_json(),
        }  # fmt: skip
        raw = dump_json(document)
        await storage.put_manifest(SOMEBODY, "a", Digest.of(raw), OCI_MANIFEST, raw)
    everything, following = await storage.referrers("a", subject, None, "", 100)
    assert len(everything["manifests"]) == 5 and not following
    filtered, _ = await storage.referrers("a", subject, "x/1", "", 100)
    assert sorted(m["annotations"]["n"] for m in filtered["manifests"]) == ["1", "3"]
    page, following = await storage.referrers("a", subject, None, "", 3)
    rest, end = await storage.referrers("a", subject, None, following, 3)
    assert page["manifests"] + rest["manifests"] == everything["manifests"] and not end
    assert (await storage.referrers("nobody", subject, None, "", 3))[0]["manifests"] == []


async def test_committing_and_deleting_the_same_blob_at_once_never_leaves_a_link_without_bytes(
    storage: Storage, uploads: Uploads
) -> None:
    digest = Digest.of(b"contended")
    collector = Collector(storage.database, storage.blobs, uploads, Policy())

    async def work(number: int) -> None:
        repository = f"r{number}"
        for _ in range(20):
            await put(storage, uploads, repository, b"contended")
            assert await read(storage, repository, digest) == b"contended"
            await storage.delete_blob(repository, digest)
            await collector.round()

    await asyncio.gather(*(work(number) for number in range(4)))
    assert await objects(storage, uploads) == 0


async def test_an_upload_that_is_committed_twice_is_committed_once(storage: Storage, uploads: Uploads) -> None:
    digest = Digest.of(b"data")
    other = Uploads(storage.database, storage.blobs)
    session = await uploads.begin("a", "somebody", "sha256")
    async with uploads.turn(session.id, "a", "somebody") as upload:
        upload.write(b"data")
    async with other.turn(session.id, "a", "somebody") as second:
        async with uploads.turn(session.id, "a", "somebody") as upload:
            await storage.commit(SOMEBODY, upload, digest)
        with refused("BLOB_UPLOAD_UNKNOWN"):
            await storage.commit(SOMEBODY, second, digest)
    assert await objects(storage, uploads) == 1 and await read(storage, "a", digest) == b"data"


async def test_what_a_power_cut_left_without_a_row_is_swept(storage: Storage, uploads: Uploads) -> None:
    await push(storage, uploads, "a", "latest")
    kept = await objects(storage, uploads)
    begun = await uploads.begin("a", "somebody", "sha256")
    storage.blobs.begin("ab" * 16).close()
    for key, _ in storage.blobs.walk():
        os.utime(storage.blobs.path(key), (0, 0))  # type: ignore[attr-defined]
    collector = Collector(storage.database, storage.blobs, uploads, Policy())
    assert await collector.sweep(1) == 1
    assert await objects(storage, uploads) == kept + 1
    async with uploads.turn(begun.id, "a", "somebody") as upload:
        upload.write(b"goes on")
