from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import aiohttp
import pytest
from aiohttp import web

from naru.errors import Unavailable
from naru.registry.blobstore import Stream
from naru.registry.errors import Refusal
from naru.registry.streaming import parse_range, send

DATA = bytes(range(256)) * 10_000
SIZE = len(DATA)
Open = Callable[[int, int | None], BinaryIO]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        (" bytes=10-19 ", (10, 10)),
        ("bytes=99-", (99, 1)),
        ("bytes=90-5000", (90, 10)),
        ("bytes=-1", (99, 1)),
        ("bytes=-1000", (0, 100)),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=x-1", None),
        ("bytes=+1-2", None),
        ("bytes=٣-4", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_ranges(header: str, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=999999999999999999-", "bytes=-0"])
def test_ranges_beyond_the_end(header: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_range(header, 100)
    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": "bytes */100"})
    with pytest.raises(Refusal):
        parse_range("bytes=0-", 0)


def whole(first: int, size_bytes: int | None) -> BinaryIO:
    return io.BytesIO(DATA[first:] if size_bytes is None else DATA[first : first + size_bytes])


@asynccontextmanager
async def sending(open_source: Open, size_bytes: int = SIZE) -> AsyncIterator[Callable[..., Any]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await send(request, Stream(open_source), size_bytes, "sha256:abc", {"Content-Type": "a/b"})
        except Refusal as error:
            return web.Response(status=error.status, headers=error.headers)
        except Unavailable:
            return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession() as session:
            yield lambda **headers: session.get(
                url, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )
    finally:
        await runner.cleanup()


async def test_all_of_it_a_range_and_none() -> None:
    async with sending(whole) as get:
        async with get() as response:
            assert (response.status, await response.read()) == (200, DATA)
            assert response.headers["Content-Length"] == str(SIZE) and response.headers["Content-Type"] == "a/b"
            assert response.headers["Accept-Ranges"] == "bytes" and "Transfer-Encoding" not in response.headers
        for header, first, last in (("bytes=5-9", 5, 9), ("bytes=-7", SIZE - 7, SIZE - 1), ("bytes=9-", 9, SIZE - 1)):
            async with get(Range=header) as response:
                assert (response.status, await response.read()) == (206, DATA[first : last + 1])
                assert response.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
                assert response.headers["Content-Length"] == str(last - first + 1)
        async with get(Range=f"bytes={SIZE}-") as response:
            assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


async def test_conditions() -> None:
    async with sending(whole) as get:
        async with get() as response:
            etag = response.headers["ETag"]
        for held in (etag, f'"other", W/{etag}', "*"):
            async with get(If_None_Match=held) as response:
                assert (response.status, await response.read()) == (304, b"")
        async with get(If_None_Match='"other"') as response:
            assert response.status == 200
        for condition, status in ((etag, 206), ('"other"', 200), ("Mon, 01 Jan 2029 00:00:00 GMT", 200)):
            async with get(If_Range=condition, Range="bytes=0-1") as response:
                assert response.status == status


async def test_nothing() -> None:
    async with sending(lambda first, size_bytes: io.BytesIO(), 0) as get, get() as response:
        assert (response.status, response.headers["Content-Length"], await response.read()) == (200, "0", b"")


async def test_a_source_that_cannot_be_opened_is_an_answer() -> None:
    def fail(first: int, size_bytes: int | None) -> BinaryIO:
        raise Unavailable("not now")

    async with sending(fail) as get, get() as response:
        assert response.status == 503


class Breaking(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece:
            raise Unavailable("broke off")
        return piece


@pytest.mark.parametrize("kind", [Breaking, io.BytesIO])
async def test_a_source_that_breaks_off_is_no_whole_answer(kind: type[io.BytesIO]) -> None:
    """Neither does the client get fewer bytes and believe them to be all, nor an error's text among them."""
    async with sending(lambda first, size_bytes: kind(DATA[: SIZE // 2])) as get, get() as response:
        assert response.status == 200
        received = bytearray()
        with pytest.raises(aiohttp.ClientPayloadError):
            async for piece in response.content.iter_any():
                received += piece
        assert DATA.startswith(bytes(received)) and len(received) <= SIZE // 2


class Endless(io.RawIOBase):
    def __init__(self) -> None:
        self.read_bytes = 0
        self.is_closed = asyncio.Event()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        self.read_bytes += len(into)
        return len(into)

    def close(self) -> None:
        if not self.closed:
            self.is_closed.set()
        super().close()


async def test_a_client_that_reads_little_has_little_read_for_it() -> None:
    source = Endless()
    file = io.BufferedReader(source)
    async with sending(lambda first, size_bytes: file, 1 << 40) as get:
        async with get() as response:
            assert len(await response.content.readexactly(1 << 20)) == 1 << 20
            response.close()
        await asyncio.wait_for(source.is_closed.wait(), 20)
    assert source.read_bytes < 64 << 20
