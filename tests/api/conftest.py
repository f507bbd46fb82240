"""A real server on a unix socket, in process, and clients that speak bytes."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import pytest

from naru.api.exchange import Exchange
from naru.api.server import Server

PATIENCE_S = 10


class Client:
    """A connection; what is read is checked by its bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ", 2)[1]), {name.lower(): value for name, value in headers.items()}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, its body put together."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join([piece async for piece in self.chunks()])
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
            if size == 0:
                return
            yield data[:-2]

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await self.reader.read()

    def shut(self) -> None:
        """Close our half."""
        self.writer.write_eof()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Site:
    """A server under test; `connect` as often as needed."""

    def __init__(self, sock: socket.socket, server: Server) -> None:
        self.address, self.server = sock.getsockname(), server
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        unix = isinstance(self.address, str)
        opened = asyncio.open_unix_connection(self.address) if unix else asyncio.open_connection(*self.address)
        client = Client(*await opened)
        self.clients.append(client)
        return client


Handler = Callable[[Exchange], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, family: socket.AddressFamily) -> AsyncIterator[Site]:
    with tempfile.TemporaryDirectory() as folder:
        sock = socket.socket(family)
        sock.bind(os.path.join(folder, "s") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        sock.listen(10)
        sock.setblocking(False)
        server, stop = Server(handler), asyncio.Event()
        with closing(sock):
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                await server.listen(sock)
                site = Site(sock, server)
                try:
                    yield site
                finally:
                    stop.set()
                    for client in site.clients:
                        await client.close()


@pytest.fixture
def site() -> Callable[[Handler, Callable[[Site], Coroutine[Any, Any, None]]], None]:
    """site(handler, work): run work against a server with this handler."""

    def run(
        handler: Handler, work: Callable[[Site], Coroutine[Any, Any, None]],
        family: socket.AddressFamily = socket.AF_UNIX,
    ) -> None:  # fmt: skip
        async def main() -> None:
            async with asyncio.timeout(PATIENCE_S), serving(handler, family) as made:
                await work(made)

        asyncio.run(main())

    return run
