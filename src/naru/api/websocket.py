"""A hijacked connection that speaks WebSocket (RFC 6455), as a stream of bytes like any other. Framing is wsproto's."""

from __future__ import annotations

import asyncio

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from naru.api.exchange import Duplex, Exchange
from naru.errors import InvalidArgument


class WebSocket:
    """Messages in, whatever their kind, are bytes; bytes out are binary messages. The peer's close is the end of `read`."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._frames = Connection(ConnectionType.SERVER)
        self.closed: asyncio.Event = duplex.closed

    async def read(self) -> bytes:
        while True:
            data = await self._duplex.read()
            if not data:
                return b""
            out = bytearray()
            try:
                self._frames.receive_data(data)
                for event in self._frames.events():
                    if isinstance(event, Message):
                        out += event.data if isinstance(event.data, bytes | bytearray) else event.data.encode()
                    elif isinstance(event, Ping | CloseConnection):
                        await self._duplex.write(self._frames.send(event.response()))
                        if isinstance(event, CloseConnection):
                            self._duplex.close()
                            return bytes(out)
            except RemoteProtocolError as error:
                await self._duplex.write(self._frames.send(error.event_hint or CloseConnection(code=1002)))
                self._duplex.close()
                return bytes(out)
            if out:
                return bytes(out)

    async def write(self, data: bytes) -> None:
        """Raises ConnectionResetError once either side has closed."""
        try:
            frame = self._frames.send(BytesMessage(data=data))
        except LocalProtocolError as error:
            raise ConnectionResetError("the client has closed the connection") from error
        await self._duplex.write(frame)

    async def finish(self) -> None:
        """Say that nothing more will come."""
        try:
            frame = self._frames.send(CloseConnection(code=1000))
        except LocalProtocolError:
            return  # it was said
        await self._duplex.write(frame)


async def upgrade(exchange: Exchange) -> WebSocket:
    """Take the connection. Raises InvalidArgument, with nothing answered, for a request that is no WebSocket's."""
    headers = exchange.headers
    key = headers.get("sec-websocket-key", "")
    if headers.get("upgrade", "").lower() != "websocket" or not key:
        raise InvalidArgument("not websocket protocol")
    if headers.get("sec-websocket-version") != "13":
        raise InvalidArgument("missing or bad WebSocket Version")
    answer = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", generate_accept_token(key.encode()).decode())]  # fmt: skip
    return WebSocket(await exchange.hijack(101, answer, "Switching Protocols"))
