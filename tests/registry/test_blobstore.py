"""What holds for every blob store: a folder, and a bucket."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bucketserver
import pytest
from bucketserver import PART, content

from naru.errors import DataLoss, InvalidArgument
from naru.registry.blobstore import BlobStore, File, Folder, Redirect, new_key, open_store
from naru.registry.bucket import Bucket
from naru.registry.s3 import Location, S3Store

DATA = random.Random(1).randbytes(2 * PART + 12345)

Opened = Callable[[], BlobStore]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with bucketserver.server() as endpoint:
        yield bucketserver.make_bucket(endpoint)


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def opened(request: Any, tmp_path: Path) -> Opened:
    """Opens the same store each time, as another process would."""
    if request.param == "folder":
        return lambda: Folder(str(tmp_path))
    bucket = request.getfixturevalue("bucket")
    location = Location(bucket.name, f"tests/{new_key()}")
    return lambda: S3Store(bucket, location, PART)


@pytest.fixture
def store(opened: Opened) -> BlobStore:
    return opened()


def put(store: BlobStore, data: bytes, piece_bytes: int = 1 << 20) -> str:
    key = new_key()
    spool = store.begin(key)
    for first in range(0, len(data), piece_bytes):
        spool.write(memoryview(data)[first : first + piece_bytes])
    assert spool.size_bytes == len(data)
    spool.finish()
    return key


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, len(DATA)])
def test_what_was_written_is_read(store: BlobStore, size: int) -> None:
    assert content(store, put(store, DATA[:size])) == DATA[:size]


def test_one_write_may_be_many_parts_or_a_byte(store: BlobStore) -> None:
    assert content(store, put(store, DATA, len(DATA))) == DATA
    assert content(store, put(store, DATA[:300], 1)) == DATA[:300]


def test_it_is_read_piece_by_piece(store: BlobStore) -> None:
    with store.open(put(store, DATA)) as file:
        assert file.read(7) == DATA[:7]
        rest = b"".join(iter(lambda: file.read(1 << 20), b""))
    assert rest == DATA[7:]


@pytest.mark.parametrize("cut", [0, 1, PART - 1, PART, PART + 1, 2 * PART + 77])
def test_an_upload_goes_on_elsewhere(opened: Opened, cut: int) -> None:
    key = new_key()
    spool = opened().begin(key)
    spool.write(DATA[:cut])
    state = spool.pause()
    spool.close()
    store = opened()
    spool = store.resume(key, state, cut)
    assert spool.size_bytes == cut
    spool.write(DATA[cut:])
    spool.finish()
    assert content(store, key) == DATA


def test_it_goes_on_again_and_again_also_where_it_was(opened: Opened) -> None:
    key, store = new_key(), opened()
    spool, at = store.begin(key), 0
    for step, size in enumerate((10, 0, 3 << 20, 3 << 20, 1, 0, 3 << 20)):
        spool.write(DATA[at : at + size])
        at += size
        state = spool.pause()
        if step % 2:
            spool.close()
            store = opened()
            spool = store.resume(key, state, at)
    spool.finish()
    assert content(store, key) == DATA[:at]


def test_finishing_right_after_it_was_resumed(opened: Opened) -> None:
    for size in (0, 5, PART, PART + 5):
        key = new_key()
        spool = opened().begin(key)
        spool.write(DATA[:size])
        state = spool.pause()
        spool.close()
        spool = opened().resume(key, state, size)
        spool.finish()
        assert content(opened(), key) == DATA[:size]


def test_what_came_after_the_pause_is_forgotten(opened: Opened) -> None:
    """The process died: what counts is what the database has noted."""
    key = new_key()
    for noted in (100, PART + 100):
        spool = opened().begin(key)
        spool.write(DATA[:noted])
        state = spool.pause()
        spool.write(b"never noted" * (1 << 19))
        spool.pause()
        spool.close()
        store = opened()
        spool = store.resume(key, state, noted)
        spool.write(DATA[noted : noted + 10])
        spool.finish()
        assert content(store, key) == DATA[: noted + 10]
        store.delete(key)


def test_with_fewer_bytes_than_were_noted_it_cannot_go_on(opened: Opened) -> None:
    store = opened()
    with pytest.raises(DataLoss):
        store.resume(new_key(), "", 1)
    for size in (10, PART + 10):
        key = new_key()
        spool = store.begin(key)
        spool.write(DATA[:size])
        state = spool.pause()
        spool.close()
        with pytest.raises(DataLoss):
            opened().resume(key, state, size + 1)
        store.delete(key)
        with pytest.raises(DataLoss):
            opened().resume(key, state, size)


def test_deleting(store: BlobStore) -> None:
    key, other = put(store, b"x"), put(store, b"y")
    for _ in range(2):
        store.delete(key)
        with pytest.raises(DataLoss):
            store.open(key)
    store.delete(new_key())
    assert content(store, other) == b"y"


@pytest.mark.parametrize("size", [0, 10, PART, PART + 10])
def test_an_upload_that_is_given_up_leaves_nothing(store: BlobStore, size: int) -> None:
    key = new_key()
    spool = store.begin(key)
    spool.write(DATA[:size])
    spool.pause()
    spool.write(b"more")
    spool.pause()
    spool.close()
    assert {found for found, _ in store.walk()} == {key}
    store.delete(key)
    assert list(store.walk()) == []
    with pytest.raises(DataLoss):
        store.open(key)


def test_the_walk_meets_all_with_their_times(store: BlobStore) -> None:
    assert list(store.walk()) == []
    keys = sorted(put(store, b"") for _ in range(5))
    found = list(store.walk())
    assert sorted(key for key, _ in found) == keys
    assert all(abs(time_s - time.time()) < 60 for _, time_s in found)


def test_where_it_is(store: BlobStore) -> None:
    key = put(store, b"there")
    match store.where(key):
        case File(path):
            assert Path(path).read_bytes() == b"there"
        case Redirect(url):
            assert url.startswith("http") and key in url
        case place:
            pytest.fail(f"{place}")


def test_places(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path / "blobs")), Folder) and os.path.isdir(tmp_path / "blobs" / "00")
    for place in ("ftp://x/y", "gs://bucket", "s3://"):
        with pytest.raises(InvalidArgument):
            open_store(place)
