"""Bodies moved by threads and the kernel, over a real server: what the event loop never sees must be all there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from naru.api.exchange import Exchange
from naru.errors import Internal
from naru.images.feed import through_pipe
from naru.linux.lent import LentSocket
from naru.linux.threads import finish_in_thread

if TYPE_CHECKING:
    from naru.snapshots.tarstream import Sink

Site = Any
Run = Callable[..., None]
DATA = os.urandom(3 << 20)


def sized(data: bytes) -> bytes:
    return b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def chunked(data: bytes, size: int = 32768) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    frames = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + frames + b"0\r\nSum: x\r\n\r\n"


async def digest_of_body(exchange: Exchange) -> None:
    """Answers with the digest of the body, which comes out of a pipe."""

    async def consume(fd: int) -> str:
        def work() -> str:
            with os.fdopen(os.dup(fd), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        return await finish_in_thread(work)

    await exchange.send(200, body=(await through_pipe(exchange.body.pour, consume)).encode())


@pytest.mark.parametrize("data", [b"", b"small", DATA[:300_000], DATA], ids=len)
@pytest.mark.parametrize(
    "framed", [sized, chunked, lambda data: chunked(data, 1000)], ids=["sized", "chunked", "in small chunks"]
)
def test_bodies_arrive_whole_and_the_connection_goes_on(
    site: Run, framed: Callable[[bytes], bytes], data: bytes
) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        for _ in range(2):  # the second one begins where the first one's bytes end
            await client.send(framed(data) + sized(b"next"))
            assert (await client.answer())[2] == hashlib.sha256(data).hexdigest().encode()
            assert (await client.answer())[2] == hashlib.sha256(b"next").hexdigest().encode()

    site(digest_of_body, work)


@pytest.mark.parametrize("framed", [sized, chunked])
def test_a_body_in_drops(site: Run, framed: Callable[[bytes], bytes]) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        for byte in framed(b"drops"):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.answer())[2] == hashlib.sha256(b"drops").hexdigest().encode()

    site(digest_of_body, work)


HUGE = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx" % ((1 << 64) - 1)


@pytest.mark.parametrize(
    "request_",
    [HUGE, sized(DATA)[:-1], chunked(DATA)[:-1], chunked(DATA)[:2_000_000], chunked(DATA[:9])[:-20] + b"z\r\n"],
)
def test_a_body_that_is_cut_or_nonsense_is_an_error(site: Run, request_: bytes) -> None:
    seen: list[BaseException] = []

    async def handler(exchange: Exchange) -> None:
        try:
            await digest_of_body(exchange)
        except BaseException as error:
            seen.append(error)
            raise

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(request_)
        client.shut()
        assert await client.rest() == b""

    site(handler, work)
    assert len(seen) == 1 and isinstance(seen[0], ConnectionError)


def test_a_reader_that_stops_early_is_not_waited_for(site: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        async def first(fd: int) -> bytes:
            return await finish_in_thread(os.read, fd, 5)

        await exchange.send(400, body=await through_pipe(exchange.body.pour, first))

    async def work(made: Site) -> None:
        client = await made.connect()
        client.writer.write(sized(DATA * 8))  # more than pipe and socket take
        assert (await client.answer())[2] == DATA[:5]
        with suppress(ConnectionResetError):
            assert await client.rest() == b""  # what it did not read can be no request
        client.writer.transport.abort()

    site(handler, work)


def endlessly(out: Sink) -> None:
    while True:
        out.write(DATA)


def test_the_end_of_the_server_ends_a_transfer(site: Run) -> None:
    """Both ways, with clients that neither send nor read, and one that reads as fast as it can."""

    async def handler(exchange: Exchange) -> None:
        if exchange.method == "GET":
            await exchange.begin(200)
            await exchange.produce(endlessly)
        else:
            await digest_of_body(exchange)

    async def work(made: Site) -> None:
        sending, reading, fast = await made.connect(), await made.connect(), await made.connect()
        await sending.send(sized(DATA)[:1_000_000])
        reading.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await reading.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await fast.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await fast.reader.readexactly(100_000_000)

    site(handler, work)  # returns: nobody was waited for


def tree(out: Sink, path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        out.write(b"head")
        out.send_file(fd, len(DATA))
        out.write(b"between")
        out.send_file(fd, 5)  # beyond its end
        os.lseek(fd, 0, os.SEEK_SET)
        out.send_file(fd, 10)
        os.lseek(fd, -100_000, os.SEEK_END)
        out.send_file(fd, 200_000)
    finally:
        os.close(fd)


WRITTEN = b"head" + DATA + b"between" + bytes(5) + DATA[:10] + DATA[-100_000:] + bytes(100_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(DATA)
    return tmp_path / "file"


def test_what_a_thread_writes_is_the_body(site: Run, file: Path) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.begin(200)
        await exchange.produce(lambda out: tree(out, file))

    async def work(made: Site) -> None:
        client = await made.connect()
        for _ in range(2):
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer())[2] == WRITTEN
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        await client.head()
        assert (await client.head())[1].get("transfer-encoding") is None
        assert await client.rest() == WRITTEN

    site(handler, work)


def test_over_tcp(site: Run, file: Path) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.method == "PUT":
            await digest_of_body(exchange)
        else:
            await exchange.begin(200)
            await exchange.produce(lambda out: tree(out, file))

    async def work(made: Site) -> None:
        client = await made.connect()
        for framed in (sized, chunked):
            assert (await client.ask(framed(DATA)))[2] == hashlib.sha256(DATA).hexdigest().encode()
            assert (await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))[2] == WRITTEN

    site(handler, work, socket.AF_INET)


def test_clients_may_hold_each_chunk(site: Run, file: Path) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.begin(200)
        await exchange.produce(lambda out: tree(out, file))

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
        assert max([len(piece) async for piece in client.chunks()]) <= 1 << 20

    site(handler, work)


def test_an_error_of_the_thread_is_the_handlers(site: Run) -> None:
    seen: list[str] = []

    async def handler(exchange: Exchange) -> None:
        def work(out: Sink) -> None:
            out.write(b"begun")
            raise OSError(5, "Input/output error", "f")

        await exchange.begin(200)
        try:
            await exchange.produce(work)
        except Internal as error:
            seen.append(str(error))
            await exchange.write(b"; failed")

    async def work(made: Site) -> None:
        client = await made.connect()
        assert (await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))[2] == b"begun; failed"

    site(handler, work)
    assert seen == ["[Errno 5] Input/output error: 'f'"]


def test_a_client_that_vanishes_ends_the_thread(site: Run) -> None:
    ended = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.begin(200)
        try:
            await exchange.produce(endlessly)
        finally:
            ended.set()

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
        await client.close()
        await ended.wait()

    site(handler, work)


def test_what_has_no_pages_to_give_is_read(tmp_path: Path) -> None:
    """An eventfd can be read, and not spliced."""
    here, there = socket.socketpair()
    counter = os.eventfd(7)
    lent = LentSocket(here)
    try:
        lent.send_file(counter, 8)
        assert there.recv(100) == (7).to_bytes(8, "little")
    finally:
        lent.close()
        os.close(counter)
        here.close()
        there.close()
