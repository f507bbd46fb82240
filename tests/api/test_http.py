"""The server, byte by byte, over a real unix socket: HTTP/1.1 with all that Docker's clients do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from naru.api.exchange import Exchange
from naru.errors import InvalidArgument

Site = Any
Run = Callable[..., None]
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(exchange: Exchange) -> None:
    """Answers with method, target and body."""
    body = await exchange.body.read()
    await exchange.send(
        200, [("Content-Type", "text/plain")], exchange.method.encode() + b" " + exchange.target + b" " + body
    )


# -- requests -------------------------------------------------------------------------------------------------------------


def test_keep_alive(site: Run) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        for number in range(3):
            status, headers, body = await client.ask(GET % f"/{number}".encode())
            assert (status, body) == (200, f"GET /{number} ".encode())
            assert "connection" not in headers and headers["date"].endswith("GMT")

    site(echo, work)


def test_pipelined_requests_are_answered_in_order(site: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        for _ in range(5 if exchange.target == b"/0" else 0):
            await asyncio.sleep(0)
        await echo(exchange)

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(
            b"".join(GET % f"/{n}".encode() for n in range(20))
            + b"POST /20 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
            + GET % b"/21"
        )
        bodies = [(await client.answer())[2] for _ in range(22)]
        assert bodies == [*(f"GET /{n} ".encode() for n in range(20)), b"POST /20 abc", b"GET /21 "]

    site(handler, work)


def test_a_request_in_single_bytes(site: Run) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        for byte in b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody":
            await client.send(bytes([byte]))
        assert (await client.answer())[2] == b"POST /x body"

    site(echo, work)


def test_chunked_request_body(site: Run) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n"
        )
        assert (await client.answer())[2] == b"POST / abcdefgh"
        assert (await client.ask(GET % b"/next"))[2] == b"GET /next "

    site(echo, work)


def test_a_body_that_nobody_read_does_not_become_a_request(site: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.send(400, body=b"no")

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + GET % b"/smuggled")
        assert (await client.answer())[0] == 400
        assert await client.rest() == b""

    site(handler, work)


def test_large_bodies_arrive_whole_and_slowly_read_ones_wait(site: Run) -> None:
    sizes: list[int] = []

    async def handler(exchange: Exchange) -> None:
        total = 0
        async for piece in exchange.body.pieces():
            sizes.append(len(piece))
            total += len(piece)
            await asyncio.sleep(0)
        await exchange.send(200, body=str(total).encode())

    async def work(made: Site) -> None:
        client = await made.connect()
        data = b"x" * (8 << 20)
        assert (await client.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data))[
            2
        ] == str(len(data)).encode()

    site(handler, work)
    assert max(sizes) < 1 << 20  # what the reader did not take stayed with the client


def test_expect_continue_is_answered_when_the_body_is_wanted(site: Run) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(b"abc"))[2] == b"POST / abc"

    site(echo, work)


def test_http_1_0_closes_unless_asked(site: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.begin(200)
        await exchange.write(b"piece")

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        status, headers = await client.head()
        assert status == 200 and "transfer-encoding" not in headers
        assert await client.rest() == b"piece"

    site(handler, work)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/3.7\r\nHost: x\r\n\r\n", 505),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * (1 << 20) + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(145_000)) + b"\r\n", 431),
    ],
)
def test_malformed_requests_are_refused_and_the_connection_closed(site: Run, request_: bytes, status: int) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        client.writer.write(request_)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        assert b"Connection: close" in answer

    site(echo, work)


def test_a_body_that_is_none_is_told_to_who_reads_it(site: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        with pytest.raises(InvalidArgument, match="invalid byte in chunk length"):
            await exchange.body.read()
        await exchange.send(400)

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n")
        assert (await client.answer())[0] == 400
        assert await client.rest() == b""  # nobody knows where the next request begins

    site(handler, work)


def test_a_bad_request_after_a_good_one_does_not_spoil_its_answer(site: Run) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(GET % b"/good" + b"nonsense\r\n\r\n")
        assert (await client.answer())[2] == b"GET /good "
        assert not (await client.rest()).startswith(b"HTTP/1.1 200")

    site(echo, work)


# -- answers --------------------------------------------------------------------------------------------------------------


def test_an_answer_in_pieces_is_chunked(site: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.begin(200, [("X", "y")])
        for piece in (b"a", b"", b"bc" * 1000):
            await exchange.write(piece)

    async def work(made: Site) -> None:
        client = await made.connect()
        for _ in range(2):
            await client.send(GET % b"/")
            status, headers = await client.head()
            assert (status, headers["x"], headers["transfer-encoding"]) == (200, "y", "chunked")
            assert [piece async for piece in client.chunks()] == [b"a", b"bc" * 1000]

    site(handler, work)


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_answers_without_a_body(site: Run, method: bytes, status: int) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.send(status, body=b"not sent")

    async def work(made: Site) -> None:
        client = await made.connect()
        for _ in range(2):
            await client.send(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
            found, headers = await client.head()
            assert found == status
            assert headers.get("content-length") == ("8" if method == b"HEAD" else None)

    site(handler, work)


def test_a_slow_reader_holds_up_its_own_answer_only(site: Run) -> None:
    written = 0
    blocked = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        nonlocal written
        if exchange.target == b"/quick":
            await exchange.send(200, body=b"quick")
            return
        await exchange.begin(200)
        for _ in range(1000):
            write = asyncio.ensure_future(exchange.write(b"x" * 65536))
            done, _ = await asyncio.wait([write], timeout=0.2)
            if not done:
                blocked.set()
            await write
            written += 1

    async def work(made: Site) -> None:
        slow, quick = await made.connect(), await made.connect()
        slow.reader._limit = 1  # type: ignore[attr-defined]  # reads nothing ahead
        await slow.send(GET % b"/slow")
        await blocked.wait()
        at = written
        assert at < 100
        assert (await quick.ask(GET % b"/quick"))[2] == b"quick"
        assert written == at
        await slow.close()

    site(handler, work)


def test_a_client_that_vanishes_cancels_its_handler(site: Run) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.begin(200)
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(GET % b"/")
        await began.wait()
        await client.close()
        await ended.wait()

    site(handler, work)


def test_half_close_after_a_request_still_gets_the_answer(site: Run) -> None:
    shut = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await shut.wait()
        await asyncio.sleep(0)  # the end is on its way: it is seen before this goes on
        await echo(exchange)

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(GET % b"/half")
        client.shut()
        shut.set()
        assert (await client.answer())[2] == b"GET /half "
        assert await client.rest() == b""

    site(handler, work)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_an_error_to_the_reader(site: Run) -> None:
    seen: list[BaseException] = []
    done = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.body.read()
        except (ConnectionError, asyncio.CancelledError) as error:
            seen.append(error)
            raise
        finally:
            done.set()

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        client.shut()
        await done.wait()
        assert seen

    site(handler, work)


def test_a_handler_that_fails_ends_its_own_connection_only(site: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.target == b"/fault":
            raise ZeroDivisionError
        await echo(exchange)

    async def work(made: Site) -> None:
        other, client = await made.connect(), await made.connect()
        await client.send(GET % b"/fault")
        assert await client.rest() == b""
        assert (await other.ask(GET % b"/fine"))[2] == b"GET /fine "

    site(handler, work)
    assert "GET /fault" in caplog.text and "ZeroDivisionError" in caplog.text
