"""The content store on a real disk: a blob is whole and verified, or not there."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from naru.content import blobs
from naru.content.blobs import ContentStore
from naru.errors import DataLoss, InvalidArgument, NotFound
from naru.oci.digest import Digest

DATA = b"some bytes"
D = Digest.of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(str(tmp_path / "content"))


def files(store: ContentStore) -> list[str]:
    return sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(store.root) for name in names if name != "oci-layout"
    )


@pytest.mark.parametrize("durable", [True, False])
def test_ingest_and_read(store: ContentStore, durable: bool) -> None:
    with store.ingest() as ingest:
        ingest.write(DATA[:4])
        ingest.write(memoryview(DATA)[4:])
        assert not store.has(D)
        assert ingest.commit(D, len(DATA), durable=durable) == D
    assert store.has(D) and store.size(D) == len(DATA) and store.read(D, 100) == DATA
    assert files(store) == [store.path(D)]
    assert os.stat(store.path(D)).st_mode & 0o777 == 0o644
    fd = store.open(D)
    assert store.delete(D) and not store.delete(D)
    assert os.read(fd, 100) == DATA  # readable by whoever had it open
    os.close(fd)


@pytest.mark.parametrize(("expected", "size"), [(Digest.of(b"else"), None), (D, 3), (D, 11), (None, 0)])
def test_what_is_not_as_expected_is_not_kept(store: ContentStore, expected: Digest | None, size: int | None) -> None:
    with store.ingest() as ingest:
        ingest.write(DATA)
        with pytest.raises(DataLoss):
            ingest.commit(expected, size)
    assert files(store) == []
    store.put(DATA, D)  # and a second try is clean


def test_abort_leaves_nothing(store: ContentStore) -> None:
    with pytest.raises(ZeroDivisionError), store.ingest() as ingest:
        ingest.write(DATA)
        raise ZeroDivisionError
    ingest.abort()  # twice is no error
    assert files(store) == []


def test_leftovers_of_a_dead_process_go_at_the_next_start(store: ContentStore) -> None:
    store.put(b"kept")
    Path(store.ingest_dir, "left").write_bytes(b"half")
    again = ContentStore(store.root)
    assert files(again) == [store.path(Digest.of(b"kept"))]


def test_put_twice_and_other_algorithms(store: ContentStore) -> None:
    assert store.put(DATA) == store.put(DATA) == D
    with store.ingest("sha512") as ingest:
        ingest.write(DATA)
        other = ingest.commit()
    assert other.algorithm == "sha512" and set(store.walk()) == {D, other}
    with pytest.raises(DataLoss):
        store.put(b"wrong", Digest.of(b"right"))


def test_what_is_not_there(store: ContentStore) -> None:
    for call in (store.size, store.open, lambda digest: store.read(digest, 10)):
        with pytest.raises(NotFound, match=f"^content digest {D}: not found$"):
            call(D)


def test_damage_is_found_when_read(store: ContentStore) -> None:
    store.put(DATA)
    Path(store.path(D)).write_bytes(b"some bytez")
    with pytest.raises(DataLoss, match="the stored bytes are damaged"):
        store.read(D, 100)
    with pytest.raises(InvalidArgument, match="larger than 5 bytes"):
        store.read(D, 5)


def test_it_is_an_oci_layout(store: ContentStore) -> None:
    assert Path(store.root, "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'
    assert store.path(D) == f"{store.root}/blobs/sha256/{D.hex}"


def test_large_blobs_go_to_the_disk_as_they_arrive(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_SYNC_BYTES", 1000)
    synced: list[int] = []
    real = os.fdatasync

    def sync(fd: int) -> None:
        synced.append(os.fstat(fd).st_size)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    with store.ingest() as ingest:
        for _ in range(50):
            ingest.write(b"x" * 100)
            time.sleep(0.001)
        digest = ingest.commit()
    assert synced and synced == sorted(synced) and all(size >= 1000 for size in synced)
    assert store.read(digest, 1 << 20) == b"x" * 5000


def test_a_disk_that_failed_meanwhile_is_told_at_the_end(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_SYNC_BYTES", 1000)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with store.ingest() as ingest:
        for _ in range(30):
            ingest.write(b"x" * 100)
        with pytest.raises(OSError, match="Input/output"):
            ingest.commit()
    assert list(store.walk()) == [] and os.listdir(store.ingest_dir) == []


def test_no_descriptor_is_left_of_what_is_given_up(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_SYNC_BYTES", 10)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with store.ingest() as ingest:
            ingest.write(b"x" * 100)
    for _ in range(100):
        if set(os.listdir("/proc/self/fd")) == before:
            return
        time.sleep(0.02)
    raise AssertionError(set(os.listdir("/proc/self/fd")) - before)
