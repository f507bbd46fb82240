from __future__ import annotations

import http.client
import http.server
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import bucketserver
import pytest
from bucketserver import PART, answering, content

from naru.errors import DataLoss, Unavailable
from naru.registry.blobstore import new_key
from naru.registry.bucket import Bucket
from naru.registry.s3 import Location, S3Store
from naru.registry.s3spool import Allowance, Means, S3Spool, size_of_part

DATA = os.urandom(2 * PART + 999)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with bucketserver.server() as url:
        yield url


@pytest.fixture(scope="module")
def client(endpoint: str) -> Any:
    return bucketserver.make_client(endpoint)


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> Bucket:
    return bucketserver.make_bucket(endpoint)


@pytest.fixture
def location(bucket: Bucket) -> Location:
    return Location(bucket.name, new_key())


@pytest.fixture
def store(bucket: Bucket, location: Location) -> S3Store:
    return S3Store(bucket, location, PART)


def objects(client: Any, location: Location) -> dict[str, int]:
    found = client.list_objects_v2(Bucket=location.bucket, Prefix=location.prefix).get("Contents", ())
    return {one["Key"].removeprefix(f"{location.prefix}/"): one["Size"] for one in found}


@pytest.fixture
def nowhere(bucket: Bucket) -> S3Store:
    """Each request would fail."""
    bucket = Bucket("nowhere", endpoint="http://127.0.0.1:1", region="us-east-1", path_style=True)
    return S3Store(bucket, Location("nowhere"), PART)


def test_an_upload_without_bytes_costs_nothing(nowhere: S3Store) -> None:
    spool = nowhere.begin("k")
    spool.write(b"")
    state = spool.pause()
    spool.close()
    again = nowhere.resume("k", state, 0)
    assert (again.size_bytes, again.pause()) == (0, state)
    again.close()


def test_a_small_one_is_put_once(store: S3Store, bucket: Bucket, location: Location, client: Any) -> None:
    key = new_key()
    spool = store.begin(key)
    spool.write(DATA[: PART - 1])
    assert objects(client, location) == {}
    spool.finish()
    assert objects(client, location) == {key: PART - 1}
    assert (
        bucket.head(store.path(key)).etag == client.head_object(Bucket=bucket.name, Key=store.path(key))["ETag"][1:-1]
    )


def test_a_large_one_is_made_of_parts_and_leaves_no_tail(
    store: S3Store, bucket: Bucket, location: Location, client: Any
) -> None:
    key = new_key()
    spool = store.begin(key)
    for first in range(0, len(DATA), 1 << 20):
        spool.write(DATA[first : first + (1 << 20)])
        spool.pause()
    assert sorted(objects(client, location)) == [f"{key}.tail0", f"{key}.tail1"]
    spool.finish()
    assert objects(client, location) == {key: len(DATA)}
    assert bucket.head(store.path(key)).etag.endswith("-3")
    assert list(bucket.unfinished(location.prefix)) == []


def test_pausing_twice_stores_once(store: S3Store, client: Any, location: Location) -> None:
    key = new_key()
    spool = store.begin(key)
    spool.write(b"some")
    state = spool.pause()
    client.delete_object(Bucket=location.bucket, Key=f"{location.prefix}/{key}.tail0")
    assert spool.pause() == state and objects(client, location) == {}
    spool.write(b"more")
    assert spool.pause() != state
    spool.finish()
    assert content(store, key) == b"somemore"


def test_parts_reach_a_tebibyte() -> None:
    sizes = [size_of_part(number) for number in range(1, 10_001)]
    assert sum(sizes) >= 1 << 40 and sizes == sorted(sizes) and sizes[0] == 16 << 20
    assert sizes[-1] <= 256 << 20  # two of these are what one upload has in memory
    assert sum(size for size in sizes if size == sizes[0]) >= 10 << 30


@pytest.mark.parametrize("state", ["{}", "[]", "x", '{"upload_id": "1"}', '{"upload_id":"","parts":null,"tails":0}'])
def test_a_state_that_is_none(nowhere: S3Store, state: str) -> None:
    with pytest.raises(DataLoss):
        nowhere.resume(new_key(), state, 0)


def test_two_states_back_is_too_far(store: S3Store) -> None:
    key = new_key()
    spool = store.begin(key)
    states = []
    for piece in (b"one", b"two", b"three"):
        spool.write(piece)
        states.append(spool.pause())
    spool.close()
    with pytest.raises(DataLoss, match="another instance"):
        store.resume(key, states[0], 3)
    assert store.resume(key, states[1], 6).size_bytes == 6
    assert store.resume(key, states[2], 11).size_bytes == 11


def test_idle_ones_share_an_allowance(bucket: Bucket, store: S3Store) -> None:
    allowance = Allowance(10)
    means = Means(bucket, PART, True, allowance)
    spools = {key: S3Spool(means, store.path(key)) for key in (new_key(), new_key())}
    for spool in spools.values():
        spool.write(b"12345678")
        assert spool.pause() == spool.pause()
    assert not allowance.take(3)
    for key, spool in spools.items():
        spool.write(b"9")
        spool.finish()
        assert content(store, key) == b"123456789"
    assert allowance.take(10)


def test_a_part_that_fails_is_told(store: S3Store) -> None:
    key = new_key()
    spool = store.begin(key)
    spool.write(DATA[:PART])
    spool.pause()
    store.delete(key)
    spool.write(DATA[:PART])  # on its way, and refused
    for _ in range(2):
        with pytest.raises((DataLoss, Unavailable)):
            spool.pause()
        with pytest.raises((DataLoss, Unavailable)):
            spool.write(DATA[:PART])
        with pytest.raises((DataLoss, Unavailable)):
            spool.finish()
    spool.close()


@contextmanager
def forbidden(bucket: Bucket, client: Any) -> Iterator[None]:
    everything = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket.name}/*"}
    client.put_bucket_policy(
        Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    )
    try:
        yield
    finally:
        client.delete_bucket_policy(Bucket=bucket.name)


def test_what_is_forbidden_is_told_without_names(bucket: Bucket, store: S3Store, client: Any) -> None:
    spool = store.begin(key := new_key())
    spool.write(b"x")
    with forbidden(bucket, client):
        with pytest.raises(Unavailable) as caught:
            spool.finish()
        assert "PutObject" in str(caught.value) and "arn:" not in str(caught.value)
        with pytest.raises(Unavailable):
            spool.pause()
    spool.pause()  # what was asked for may be asked for again
    spool.finish()
    assert content(store, key) == b"x"


def test_a_write_that_failed_is_the_last(bucket: Bucket, store: S3Store, client: Any) -> None:
    """Who wrote does not know how much was taken: going on would leave a hole."""
    spool = store.begin(new_key())
    with forbidden(bucket, client), pytest.raises(Unavailable, match="CreateMultipartUpload"):
        spool.write(DATA)
    for again in (spool.pause, spool.finish, lambda: spool.write(b"x")):
        with pytest.raises(Unavailable, match="broke off"):
            again()


# two instances that go on with the same upload


def twins(store: S3Store, paused: bytes) -> tuple[str, S3Spool, S3Spool]:
    spool = store.begin(key := new_key())
    spool.write(paused)
    state = spool.pause()
    spool.close()
    return key, store.resume(key, state, len(paused)), store.resume(key, state, len(paused))


@pytest.mark.parametrize("paused", [0, 10, PART + 10])
@pytest.mark.parametrize("more", [1, PART + 10])
def test_one_of_two_finishes(store: S3Store, paused: int, more: int) -> None:
    key, first, second = twins(store, DATA[:paused])
    first.write(b"a" * more)
    first.finish()
    with pytest.raises((DataLoss, Unavailable)):
        second.write(b"b" * more)
        second.finish()
    second.close()
    assert content(store, key) == DATA[:paused] + b"a" * more


def test_parts_of_two_are_never_mixed(store: S3Store) -> None:
    key, first, second = twins(store, DATA[:PART])
    first.write(b"a" * PART)
    first.pause()
    second.write(b"b" * PART)
    second.pause()
    finished = []
    for spool, byte in ((first, b"a"), (second, b"b")):
        with suppress(DataLoss, Unavailable):  # which of them, is the server's choice
            spool.finish()
            finished.append(byte)
    assert len(finished) == 1
    assert content(store, key) == DATA[:PART] + finished[0] * PART


def test_who_finishes_with_parts_that_were_replaced_is_told(store: S3Store) -> None:
    key, first, second = twins(store, DATA[:PART])
    second.write(b"b" * PART)
    second.pause()
    first.write(b"a" * PART)
    first.finish()
    with pytest.raises(DataLoss):
        second.finish()
    assert content(store, key) == DATA[:PART] + b"a" * PART


@pytest.mark.parametrize("paused", [0, 10, PART])
@pytest.mark.parametrize("more", [0, PART + 10])
def test_two_that_finish_with_the_same_bytes_do_not_disturb_one_another(store: S3Store, paused: int, more: int) -> None:
    key, *both = twins(store, DATA[:paused])
    for spool in both:
        spool.write(DATA[paused : paused + more])
    if paused < PART or not more:  # else they share parts that are gone with the first one
        for spool in both:
            spool.finish()
    else:
        both[0].finish()
    assert content(store, key) == DATA[: paused + more]


def test_tails_of_two(store: S3Store) -> None:
    key, first, second = twins(store, b"begun")
    first.write(b"a")
    of_first = first.pause()
    second.write(b"b")
    of_second = second.pause()
    with pytest.raises(DataLoss, match="another instance"):
        store.resume(key, of_first, 6)
    store.resume(key, of_second, 6).finish()
    assert content(store, key) == b"begunb"


class Forgetful(http.server.BaseHTTPRequestHandler):
    """Hands requests on to the server, and forgets the answer to the first that makes an object."""

    protocol_version = "HTTP/1.1"
    server_at: str
    forgotten: list[str]

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        onward = http.client.HTTPConnection(self.server_at)
        onward.request(self.command, self.path, body, dict(self.headers))
        with onward.getresponse() as answer:
            content = answer.read()
        onward.close()
        is_making = self.command == "PUT" and "partNumber" not in self.path and ".tail" not in self.path
        if not self.forgotten and (is_making or (self.command == "POST" and "uploadId" in self.path)):
            self.forgotten.append(self.path)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header(
            "Content-Length", answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        )  # type: ignore[arg-type]
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _hand_on

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("size", [0, 10, PART + 10])
def test_an_answer_that_got_lost(endpoint: str, store: S3Store, location: Location, size: int) -> None:
    """The request is made again, and finds what the first one has made."""
    forgotten: list[str] = []
    with answering(Forgetful, server_at=endpoint.removeprefix("http://"), forgotten=forgotten) as url:
        bucket = Bucket(location.bucket, endpoint=url, region="us-east-1", path_style=True)
        spool = S3Store(bucket, location, PART).begin(key := new_key())
        spool.write(DATA[:size])
        spool.pause()
        spool.finish()
    assert len(forgotten) == 1
    assert content(store, key) == DATA[:size]
