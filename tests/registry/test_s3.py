from __future__ import annotations

import http.server
import io
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import bucketserver
import pytest
from bucketserver import PART, answering

from naru.errors import Conflict, DataLoss, InvalidArgument, Unavailable
from naru.oci.digest import Digest
from naru.registry.blobstore import Redirect, Stream, new_key, open_store
from naru.registry.bucket import Bucket
from naru.registry.s3 import Location, S3Store, open_bucket, parse_location
from naru.registry.server import Settings, running

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


# where it is


def test_locations() -> None:
    assert parse_location("s3://bucket") == parse_location("s3://bucket/?") == Location("bucket")
    assert parse_location("s3://bucket/a/b.c/") == Location("bucket", "a/b.c")
    assert parse_location("s3://b.ck/x?endpoint=http://127.0.0.1:9000/&redirect=no") == Location(
        "b.ck", "x", "http://127.0.0.1:9000", redirect=False, path_style=True
    )
    place = "s3://bck?endpoint=https%3A%2F%2Fs3.example.com&path_style=no&region=eu-west-1&strict=no"
    assert parse_location(place) == Location(
        "bck", endpoint="https://s3.example.com", region="eu-west-1", path_style=False, strict=False
    )


@pytest.mark.parametrize(
    "place",
    [
        "s3://", "s3:///x", "s3://UPPER", "s3://a", "s3://bucket:80", "s3://buck_et", "s3://-bucket",
        "s3://bucket/a//b", "s3://bucket/../x", "s3://bucket/a b", "s3://bucket/a%2Fb", "s3://bucket#x",
        "s3://bucket?region=", "s3://bucket?region=eu west", "s3://bucket?endpoint=", "s3://bucket?endpoint=ftp://x",
        "s3://bucket?endpoint=http://x/path", "s3://bucket?endpoint=//x", "s3://bucket?redirect=maybe",
        "s3://bucket?redirect=no&redirect=no", "s3://bucket?x=y", "s3://bucket?redirect", "S4://bucket", "s3://[",
    ],
)  # fmt: skip
def test_what_is_no_location(place: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_location(place)


@pytest.mark.parametrize(
    "place",
    [
        "s3://AKIA:hunter2@bucket",
        "s3://bucket?endpoint=http://me:hunter2@host",
        "s3://bucket?endpoint=http%3A%2F%2Fme%3Ahunter2%40host",
        "s3://bucket?secret_access_key=hunter2",
        "s3://bucket?region=hunter2!",
    ],
)
def test_credentials_in_it_are_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        open_store(place)
    assert "hunter2" not in str(caught.value)


def test_opening_one(endpoint: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_store(f"s3://{bucket.name}/x?endpoint={endpoint}&region=us-east-1"), S3Store)
    with pytest.raises(Unavailable, match="does not exist"):
        open_bucket(f"s3://no-such-{new_key()}?endpoint={endpoint}&region=us-east-1")
    with pytest.raises(Unavailable, match="EndpointConnectionError"):
        open_bucket(f"s3://{bucket.name}?endpoint=http://127.0.0.1:1&region=us-east-1")
    with pytest.raises(Unavailable) as caught:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        open_bucket(f"s3://{bucket.name}?endpoint={endpoint}")
    assert "ProfileNotFound" in str(caught.value)
    monkeypatch.delenv("AWS_PROFILE")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(Unavailable, match="no credentials"):
        open_bucket(f"s3://{bucket.name}?endpoint={endpoint}&region=us-east-1")


@pytest.mark.skipif("NARU_TEST_S3" in os.environ, reason="not every server has regions")
def test_another_region_is_named(endpoint: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be signed for the wrong one could not be fetched."""
    name = f"naru-{new_key()}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with pytest.raises(InvalidArgument, match="say region=eu-west-1"):
        open_bucket(f"s3://{name}?region=us-east-1")
    open_bucket(f"s3://{name}?region=eu-west-1")


# what is there, and what is not


def test_only_ours_are_found_and_deleted(store: S3Store, bucket: Bucket, location: Location, client: Any) -> None:
    foreign = [f"{location.prefix}/{name}" for name in ("readme", "a" * 31, "a" * 33, "A" * 32, f"sub/{'a' * 32}")]
    foreign += [f"{location.prefix}{'a' * 32}", f"{location.prefix}/{'a' * 32}.tail2"]
    for name in foreign:
        client.put_object(Bucket=bucket.name, Key=name, Body=b"x")
    other = client.create_multipart_upload(Bucket=bucket.name, Key=f"{location.prefix}/{'a' * 32}b")["UploadId"]
    assert list(store.walk()) == []
    store.delete("a" * 32)
    assert len(client.list_objects_v2(Bucket=bucket.name, Prefix=location.prefix)["Contents"]) == len(foreign)
    assert [upload_id for _, upload_id, _ in bucket.unfinished(location.prefix)] == [other]


def test_a_tail_alone_is_found_once_under_its_key(store: S3Store) -> None:
    spool = store.begin(key := new_key())
    for piece in (b"x", b"y"):
        spool.write(piece)
        spool.pause()
    spool.close()
    assert [found for found, _ in store.walk()] == [key]


def test_only_new(bucket: Bucket, location: Location) -> None:
    bucket.put(key := f"{location.prefix}/x", b"1", only_new=True)
    with pytest.raises(Conflict):
        bucket.put(key, b"2", only_new=True)
    bucket.put(key, b"3")
    with bucket.open(key) as file:
        assert file.read() == b"3"


# reading


def get(url: str, **headers: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
        return response.status, response.read()


def test_a_redirect_is_fetched_without_credentials(store: S3Store) -> None:
    spool = store.begin(key := new_key())
    spool.write(DATA)
    spool.finish()
    place = store.where(key)
    assert isinstance(place, Redirect)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(place.url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"] and query["X-Amz-Expires"] == ["900"]
    assert bucketserver.ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in place.url
    assert get(place.url) == (200, DATA)
    assert get(place.url, Range="bytes=5-9") == (206, DATA[5:10])
    if "NARU_TEST_S3" in os.environ:  # moto knows no signatures
        for url in (place.url.partition("?")[0], place.url.replace(key, new_key()), place.url[:-1]):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                get(url)


def test_without_redirects_it_is_a_stream(store: S3Store, bucket: Bucket, location: Location) -> None:
    spool = store.begin(key := new_key())
    spool.write(DATA)
    spool.finish()
    apart = S3Store(bucket, Location(bucket.name, location.prefix, redirect=False), PART)
    for place in (apart.where(key), store.where(key, direct=False)):
        assert isinstance(place, Stream)
        for first, size in ((0, None), (0, 10), (100, 50), (len(DATA) - 1, 1), (7, None)):
            with place.open(first, size) as file:
                assert file.read() == DATA[first : None if size is None else first + size]
    with pytest.raises(DataLoss):
        place = apart.where(new_key())
        assert isinstance(place, Stream)
        place.open(0, None)


class Breaking(http.server.BaseHTTPRequestHandler):
    """Sends at most 1000 bytes of what it is asked for, and hangs up; nothing at all from 5000 on."""

    body = DATA[:10_000]
    asked: list[str]

    def do_GET(self) -> None:
        span = self.headers.get("Range", "bytes=0-")
        self.asked.append(span)
        first, last = span.removeprefix("bytes=").split("-")
        rest = self.body[int(first) : int(last) + 1 if last else None]
        self.send_response(206)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(rest[: min(1000, max(0, 5000 - int(first)))])
        self.close_connection = True

    def log_message(self, *_: object) -> None: ...


def test_reading_goes_on_where_it_broke_off() -> None:
    asked: list[str] = []
    with answering(Breaking, asked=asked) as url, pytest.MonkeyPatch.context() as patch:
        for name, value in bucketserver.ENVIRONMENT.items():
            patch.setenv(name, value)
        bucket = Bucket("any", endpoint=url, region="us-east-1", path_style=True)
        with bucket.open("key", 100, 3000) as file:
            assert file.read() == DATA[100:3100]
        assert asked == ["bytes=100-3099", "bytes=1100-3099", "bytes=2100-3099"]
        with bucket.open("key") as file:
            assert file.read(4096) == DATA[:4096]
            with pytest.raises(Unavailable, match="again and again"):
                file.read()


# the registry over it


@pytest.mark.parametrize("redirect", ["yes", "no"])
async def test_a_registry(endpoint: str, bucket: Bucket, tmp_path: Path, redirect: str) -> None:
    place = f"s3://{bucket.name}/registry-{redirect}?endpoint={endpoint}&region=us-east-1&redirect={redirect}"
    layer = os.urandom((16 << 20) + 4321)
    digest = Digest.of(layer)
    settings = Settings("127.0.0.1:0", str(tmp_path), blobs=place)
    async with running(settings) as registry, aiohttp.ClientSession(registry.url) as session:
        async with session.post("/v2/a/blobs/uploads/") as response:
            where = response.headers["Location"]
        for first, last in ((0, 1 << 20), (1 << 20, len(layer))):
            async with session.patch(
                where, data=io.BytesIO(layer[first:last]), headers={"Content-Range": f"{first}-{last - 1}"}
            ) as response:
                assert (response.status, response.headers["Range"]) == (202, f"0-{last - 1}")
        async with session.put(f"{where}?digest={digest}") as response:
            assert response.status == 201
        url = f"/v2/a/blobs/{digest}"
        async with session.get(url, allow_redirects=False) as response:
            assert response.status == (307 if redirect == "yes" else 200)
        async with session.get(url) as response:
            assert (response.status, await response.read()) == (200, layer)
        async with session.get(url, headers={"Range": "bytes=16777210-16777230"}) as response:
            assert (response.status, await response.read()) == (206, layer[16777210:16777231])
        async with session.get(url, headers={"Range": f"bytes={len(layer)}-"}) as response:
            assert response.status == 416
        async with session.head(url) as response:
            assert (response.status, response.content_length) == (200, len(layer))
