"""Taking the connection over: upgrades, half-close, and what comes early."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from naru.api.exchange import Exchange

Site = Any
Run = Callable[..., None]
GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


async def shout(exchange: Exchange) -> None:
    """Takes the connection and answers in capitals until the client closes its half."""
    if exchange.target == b"/plain":
        await exchange.send(200, body=b"not taken")
        return
    body = await exchange.body.read()
    upgrade = exchange.headers.get("upgrade")
    head = [("Upgrade", upgrade), ("Connection", "Upgrade")] if upgrade else [("Content-Type", "raw")]
    duplex = await exchange.hijack(101 if upgrade else 200, head, "UPGRADED" if upgrade else None)
    await duplex.write(b"[" + body + b"]")
    while data := await duplex.read():
        await duplex.write(data.upper())
    await duplex.write(b"bye")


@pytest.mark.parametrize("upgrade", [b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b""])
@pytest.mark.parametrize("body", [b"", b"{}"])
@pytest.mark.parametrize("early", [b"", b"early "])
def test_hijack(site: Run, upgrade: bytes, body: bytes, early: bytes) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        await client.send(
            b"POST /h HTTP/1.1\r\nHost: x\r\n" + upgrade + length + b"\r\n" + body + (early if upgrade else b"")
        )
        status, headers = await client.head()
        assert status == (101 if upgrade else 200)
        assert "content-length" not in headers and "transfer-encoding" not in headers
        assert await client.reader.readexactly(len(body) + 2) == b"[" + body + b"]"
        await client.send(b"late")
        client.shut()
        assert await client.rest() == ((early if upgrade else b"") + b"late").upper() + b"bye"

    site(shout, work)


def test_the_body_of_an_upgrade_may_come_later(site: Run) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(
            b"POST /h HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 6\r\n\r\nab"
        )
        await client.send(b"cd")
        await client.send(b"efxyz")
        assert (await client.head())[0] == 101
        client.shut()
        assert await client.rest() == b"[abcdef]XYZbye"

    site(shout, work)


def test_an_upgrade_that_is_not_taken_leaves_http(site: Run) -> None:
    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(
            b"GET /plain HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + GET % b"/plain"
        )
        assert (await client.answer())[2] == b"not taken"
        assert (await client.answer())[2] == b"not taken"
        assert (await client.ask(GET % b"/plain"))[2] == b"not taken"

    site(shout, work)


def test_output_does_not_come_together_with_the_head(site: Run) -> None:
    """docker-py loses what its buffered reader takes beyond the head (docker-py, APIClient._get_raw_response_socket)."""

    async def handler(exchange: Exchange) -> None:
        duplex = await exchange.hijack(101, [], "UPGRADED")
        await duplex.write(b"output")

    async def work(made: Site) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, made.address)
            await loop.sock_sendall(sock, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            await asyncio.sleep(0.02)  # a slow reader
            assert (await loop.sock_recv(sock, 65536)).endswith(b"\r\n\r\n")
            assert await loop.sock_recv(sock, 65536) == b"output"

    site(handler, work)


def test_a_client_that_does_not_read_holds_the_output_up_only_a_moment(site: Run) -> None:
    written = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        duplex = await exchange.hijack(101, [], "UPGRADED")
        await duplex.write(b"output")
        written.set()

    async def work(made: Site) -> None:
        client = await made.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET % b"/")
        await written.wait()

    site(handler, work)


@pytest.mark.parametrize("half_closed", [True, False])
def test_a_hijacked_client_that_vanishes_is_told_to_the_handler(site: Run, half_closed: bool) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        duplex = await exchange.hijack(200, [])
        if half_closed:
            while await duplex.read():
                pass
        begun.set()
        await duplex.closed.wait()  # nothing is written
        gone.set()

    async def work(made: Site) -> None:
        client = await made.connect()
        await client.send(GET % b"/")
        await client.head()
        if half_closed:
            client.shut()
        await begun.wait()
        assert not gone.is_set()
        await client.close()
        await gone.wait()

    site(handler, work)


def test_stop_closes_connections_and_cancels_handlers(site: Run) -> None:
    began, cancelled = asyncio.Event(), []

    async def handler(exchange: Exchange) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def work(made: Site) -> None:
        busy = await made.connect()
        await made.connect()
        await busy.send(GET % b"/")
        await began.wait()

    site(handler, work)
    assert cancelled == [True]
