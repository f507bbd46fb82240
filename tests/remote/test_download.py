"""Fetching URLs, over real sockets, into real files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from handmade import RawServer, Seen, reply
from yarl import URL

from naru.errors import Forbidden, InvalidArgument, NaruError, NotFound, Unavailable
from naru.remote.download import _next, modified_ns
from naru.remote.fetch import Fetched, Fetcher, FetchLimits

DATA = os.urandom(3_000_000)
Answer = Callable[[Seen], bytes | AsyncIterator[bytes]]


def fetch(
    tmp_path: Path, answer: Answer, path: str = "/f", limits: FetchLimits | None = None
) -> tuple[Fetched, bytes, list[Seen]]:
    async def main() -> tuple[Fetched, bytes, list[Seen]]:
        file = tmp_path / "file"
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        try:
            async with RawServer(answer) as server:
                fetched = await Fetcher("naru-test", limits=limits)(server.url + path, fd)
                return fetched, file.read_bytes(), server.seen
        finally:
            os.close(fd)

    return asyncio.run(main())


def test_what_the_url_holds_is_written_as_it_is_on_the_wire(tmp_path: Path) -> None:
    modified = "Sun, 13 Sep 2020 12:26:40 GMT"
    answer = reply(200, DATA, last_modified=modified, content_encoding="gzip", set_cookie="a=b")
    fetched, written, (seen,) = fetch(tmp_path, lambda _: answer, "/a%2Fb c?x=%2B#f")
    assert fetched == Fetched(1_600_000_000 * 10**9) and written == DATA
    assert seen.target == "/a%2Fb%20c?x=%2B" and seen.headers["user-agent"] == "naru-test"
    assert fetch(tmp_path, lambda _: reply(200))[:2] == (Fetched(0), b"")


def test_redirects_are_followed(tmp_path: Path) -> None:
    def answer(request: Seen) -> bytes:
        return reply(302, location="/there?sig=a%2Bb") if request.target == "/f" else reply(200, b"x")

    _, written, seen = fetch(tmp_path, answer)
    assert written == b"x" and [s.target for s in seen] == ["/f", "/there?sig=a%2Bb"]


async def dripping(_: Seen) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\nx"
    await asyncio.Event().wait()


async def endless(_: Seen) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield b"x" * 65536


async def silent(_: Seen) -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def always(raw: bytes) -> Answer:
    return lambda _: raw


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (always(reply(404)), NotFound, r'^Get "http://127.0.0.1:\d+/f": invalid response status 404$'),
        (always(reply(500)), Unavailable, "invalid response status 500"),
        (always(reply(302)), Unavailable, "invalid response status 302"),
        (always(reply(302, location="/f")), Unavailable, "stopped after 10 redirects"),
        (always(reply(302, location="file:///etc/passwd")), Unavailable, "invalid location"),
        (always(reply(302, location="http://[bad")), Unavailable, "invalid location"),
        (always(reply(302, location="http://h:port/")), Unavailable, "invalid location"),
        (always(reply(302, location="http://me:pw@127.0.0.1/")), Unavailable, "invalid location"),
        (always(reply(200, b"abc", content_length="10")), Unavailable, "unexpected EOF"),
        (always(reply(200, b"x" * 2_000_001)), Unavailable, "larger than 2000000 bytes"),
        (always(b"SSH-2.0-OpenSSH\r\n\r\n"), Unavailable, "malformed HTTP response"),
        (endless, Unavailable, "larger than 2000000 bytes"),
    ],
)
def test_what_cannot_be_had(tmp_path: Path, answer: Answer, kind: type[NaruError], text: str) -> None:
    with pytest.raises(kind, match=text):
        fetch(tmp_path, answer, limits=FetchLimits(size_bytes=2_000_000))


@pytest.mark.parametrize(
    ("answer", "limits", "text"),
    [
        (silent, FetchLimits(answer_s=0.05), "deadline exceeded"),
        (dripping, FetchLimits(piece_s=0.05), "deadline exceeded"),
        (dripping, FetchLimits(total_s=0.05), r"not finished within 0\.05 s"),
    ],
)
def test_slow_servers_end(tmp_path: Path, answer: Answer, limits: FetchLimits, text: str) -> None:
    with pytest.raises(Unavailable, match=text):
        fetch(tmp_path, answer, limits=limits)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ftp://h/x", r'Get "ftp://h/x": unsupported protocol scheme "ftp"'),
        ("/x", "unsupported protocol scheme"),
        ("http:///x", "invalid URL|no Host"),
        ("http://[bad/x", "invalid URL"),
        ("http://h:99999/x", "invalid URL"),
        ("http://h:port/x", "invalid URL"),
        ("http://a..b/x", "invalid URL"),
        ("https://me:hush@h/x?q", r'Get "https://h/x": a user and password in a URL are not supported'),
        ("http://me:hush@[bad?q", r'Get "\[bad": invalid URL'),
    ],
)
def test_bad_urls_are_refused_without_telling_secrets(url: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text) as caught:
        asyncio.run(Fetcher("naru-test")(url, -1))
    assert "hush" not in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(Unavailable) as caught:
        asyncio.run(Fetcher("naru-test")("http://127.0.0.1:9/x?secret", -1))
    assert str(caught.value) == 'Get "http://127.0.0.1:9/x": dial tcp 127.0.0.1:9: connect: connection refused'


def test_a_disk_that_does_not_take_it_is_told() -> None:
    async def main() -> None:
        fd = os.open("/dev/full", os.O_WRONLY | os.O_CLOEXEC)
        try:
            async with RawServer(lambda _: reply(200, DATA)) as server:
                await Fetcher("naru-test")(server.url, fd)
        finally:
            os.close(fd)

    with pytest.raises(Unavailable, match="failed to write: no space left on device"):
        asyncio.run(main())


def test_https_is_not_left_for_http() -> None:
    with pytest.raises(Forbidden, match="refusing to go on at h by http"):
        _next(URL("https://h/x"), "http://h/x", "Get")
    assert _next(URL("http://h/x"), "https://h/y", "Get") == URL("https://h/y")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("Thu, 01 Jan 1970 00:00:01 GMT", 10**9),
        ("Thu, 01 Jan 1970 00:00:01 -0000", 10**9),
        ("", 0),
        ("soon", 0),
        ("Thu, 01 Jan 1960 00:00:01 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 0),
        ("Mon, 99 Jan 99999999999 00:00:00 GMT", 0),
    ],
)
def test_times_of_modification(text: str, ns: int) -> None:
    assert modified_ns(text) == ns


def test_aiohttp_is_loaded_by_the_first_fetch_and_not_before() -> None:
    script = "import sys, naru.remote.fetch as f; f.Fetcher('x'); assert 'aiohttp' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
