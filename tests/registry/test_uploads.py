from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from images import SOMEBODY, refused
from naru.oci.digest import Digest
from naru.registry import uploads as sessions
from naru.registry.storage import Storage
from naru.registry.uploads import IDLE_S, Uploads


async def test_a_session_belongs_to_its_repository_and_caller(uploads: Uploads) -> None:
    session = await uploads.begin("a", "me", "sha256")
    assert await uploads.find(session.id, "a", "me") == session
    for repository, owner in (("b", "me"), ("a", "you"), ("a", "")):
        with refused("BLOB_UPLOAD_UNKNOWN"):
            await uploads.find(session.id, repository, owner)
    async with uploads.turn(session.id, "a", "me") as upload:
        await uploads.cancel(upload)
    with refused("BLOB_UPLOAD_UNKNOWN"):
        await uploads.find(session.id, "a", "me")


async def test_any_instance_goes_on_with_it(storage: Storage, uploads: Uploads) -> None:
    other = Uploads(storage.database, storage.blobs)
    session = await uploads.begin("a", "me", "sha256")
    data = [os.urandom(size) for size in (1000, 1, 100_000, 0, 77)]
    for number, piece in enumerate(data):
        instance = (uploads, other)[number % 2]
        async with instance.turn(session.id, "a", "me") as upload:
            assert upload.offset == sum(map(len, data[:number]))
            upload.write(piece)
    digest = Digest.of(b"".join(data))
    async with other.turn(session.id, "a", "me") as upload:
        await storage.commit(SOMEBODY, upload, digest)
    with storage.open(await storage.blob("a", digest)) as file:
        assert file.read() == b"".join(data)
    uploads.close()
    other.close()


async def test_what_another_instance_has_made_of_it_is_verified(storage: Storage, uploads: Uploads) -> None:
    """The hash of this process covers other bytes than those that are stored."""
    other = Uploads(storage.database, storage.blobs)
    session = await uploads.begin("a", "me", "sha256")
    for instance, piece in ((uploads, b"one"), (other, b"two")):
        async with instance.turn(session.id, "a", "me") as upload:
            upload.write(piece)
    async with uploads.turn(session.id, "a", "me") as upload:
        with refused("DIGEST_INVALID"):
            await storage.commit(SOMEBODY, upload, Digest.of(b"one"))
    other.close()


async def test_what_breaks_off_is_kept(storage: Storage, uploads: Uploads) -> None:
    session = await uploads.begin("a", "me", "sha256")
    with pytest.raises(ConnectionError):
        async with uploads.turn(session.id, "a", "me") as upload:
            upload.write(b"half")
            raise ConnectionError
    assert (await uploads.find(session.id, "a", "me")).size_bytes == 4


async def test_bytes_that_were_never_acknowledged_are_cut_off(storage: Storage, uploads: Uploads) -> None:
    session = await uploads.begin("a", "me", "sha256")
    async with uploads.turn(session.id, "a", "me") as upload:
        upload.write(b"whole")
    uploads.close()
    spool = storage.blobs.resume(session.id, "", 5)
    spool.write(b" and more that a crash kept from being acknowledged")
    spool.close()
    again = Uploads(storage.database, storage.blobs)
    async with again.turn(session.id, "a", "me") as upload:
        await storage.commit(SOMEBODY, upload, Digest.of(b"whole"))


async def test_a_session_whose_bytes_are_gone_is_unknown(storage: Storage, uploads: Uploads) -> None:
    session = await uploads.begin("a", "me", "sha256")
    async with uploads.turn(session.id, "a", "me") as upload:
        upload.write(b"data")
    uploads.close()
    storage.blobs.delete(session.id)
    with refused("BLOB_UPLOAD_UNKNOWN"):
        async with uploads.turn(session.id, "a", "me"):
            pass
    assert await storage.database.read(sessions.count) == 0


async def test_one_request_at_a_time(uploads: Uploads) -> None:
    session = await uploads.begin("a", "me", "sha256")
    inside = 0

    async def one() -> None:
        nonlocal inside
        async with uploads.turn(session.id, "a", "me") as upload:
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            upload.write(b"x")
            inside -= 1

    await asyncio.gather(*(one() for _ in range(10)))
    assert (await uploads.find(session.id, "a", "me")).size_bytes == 10


async def test_idle_sessions_end(storage: Storage, uploads: Uploads) -> None:
    old, used = await uploads.begin("a", "", "sha256"), await uploads.begin("a", "", "sha256")
    await storage.database.write(sessions.progress, old, old, time.time() - IDLE_S - 1)
    await uploads.expire()
    assert await uploads.find(used.id, "a", "") == used
    with refused("BLOB_UPLOAD_UNKNOWN"):
        await uploads.find(old.id, "a", "")


async def test_of_two_instances_at_the_same_time_one_goes_on(storage: Storage, uploads: Uploads) -> None:
    other = Uploads(storage.database, storage.blobs)
    session = await uploads.begin("a", "me", "sha256")
    with refused("BLOB_UPLOAD_UNKNOWN"):
        async with uploads.turn(session.id, "a", "me") as here:
            here.write(b"one")
            async with other.turn(session.id, "a", "me") as there:
                there.write(b"three")
    assert (await uploads.find(session.id, "a", "me")).size_bytes == len(b"three")
    other.close()


async def test_what_one_instance_finishes_no_other_goes_on_with(storage: Storage, uploads: Uploads) -> None:
    if not storage.database.shared:
        pytest.skip("the data root is one process's")
    other = Uploads(storage.database, storage.blobs)
    session = await uploads.begin("a", "me", "sha256")

    class Full(Exception):
        pass

    for failure in (Full, None):
        async with uploads.turn(session.id, "a", "me") as upload:
            upload.write(b"x")
        async with uploads.turn(session.id, "a", "me") as upload:
            try:
                async with sessions.claimed(storage.database, upload):
                    with refused("BLOB_UPLOAD_UNKNOWN"):
                        async with other.turn(session.id, "a", "me"):
                            pass
                    if failure:
                        raise failure
            except Full:  # and it can be tried again, anywhere
                assert await other.find(session.id, "a", "me") == upload.session
            else:
                upload.is_over = True
    other.close()


async def test_what_lost_its_bytes_with_the_power_is_over(storage: Storage, uploads: Uploads, tmp_path: Path) -> None:
    whole, short, none = [await uploads.begin("a", "me", "sha256") for _ in range(3)]
    for session in (whole, short, none):
        async with uploads.turn(session.id, "a", "me") as upload:
            upload.write(b"eight by")
    uploads.close()
    os.truncate(tmp_path / "blobs" / short.id[:2] / short.id, 7)
    storage.blobs.delete(none.id)
    await uploads.recover()
    assert (await uploads.find(whole.id, "a", "me")).size_bytes == 8
    for session in (short, none):
        with refused("BLOB_UPLOAD_UNKNOWN"):
            await uploads.find(session.id, "a", "me")
