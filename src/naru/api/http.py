"""HTTP/1.1 as the Engine API needs it: streams both ways, upgrades, half-close, and clients that vanish.

Owns connections. Heads are parsed by httptools (llhttp), imported here only, bodies told apart by `framing`; a general
framework would hide the transport, which hijacking and bulk transfers need bare.

 - Requests of one connection are answered one after the other; a body is read as fast as its handler reads it.
 - A client that goes away while its answer is being produced cancels the handler. What a handler asked an owner task to
   do is done all the same.
 - An answer is given back-pressure: `write` waits while the client does not read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import httptools

from naru.api.exchange import HIGH_WATER, Body, Duplex, Exchange
from naru.api.framing import BadFraming, Chunked, Framing, Sized
from naru.api.heads import BadRequest, check_head, head_end, verdict
from naru.linux.lent import LentSocket
from naru.linux.sockets import unread_bytes

if TYPE_CHECKING:
    from naru.api.server import Server

log = logging.getLogger(__name__)

_HEAD_LIMIT = 1 << 20
_TAKEN_S, _LOOK_S = 0.1, 0.001
# Into which all connections read, one after the other. asyncio else allocates as much for each read, and gives nearly all of it back:
# in the heap that leaves holes, and some hundred bytes a request until it has enough of them.
_BUFFER = memoryview(bytearray(1 << 18))
Handler = Callable[[Exchange], Awaitable[None]]


class Connection(asyncio.BufferedProtocol, asyncio.Protocol):
    """One client connection: bytes → exchanges, one at a time. A bare socket's come by the buffer, what TLS had in it by
    `data_received`."""

    def __init__(self, server: Server, handler: Handler) -> None:
        self._server = server
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._bare = True  # what is written goes out as it is
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._tail = b""  # of a head that has not ended yet
        self._incoming: Exchange | None = None
        self._framing: Framing | None = None  # of the body that comes in
        self._lent: list[LentSocket] = []
        self._deaf = False  # what came was not HTTP, and nobody looks at what follows
        self._queue: list[Exchange] = []
        self._task: asyncio.Task[None] | None = None
        self._duplex: Duplex | None = None
        self._early = b""
        self._upgraded = False
        self._body_left = 0  # of a request that offers an upgrade
        self._expect = False
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._eof = False
        self.keep_alive = True
        self.cancel_on_close = False

    # -- transport ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._fd = self._transport.get_extra_info("socket").fileno()
        self._bare = self._transport.get_extra_info("ssl_object") is None
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._server.hangups.forget(self._fd)
        self._transport = None
        self._writable.set()
        for lent in self._lent:
            lent.stop()
        if self._duplex is not None:
            self._duplex.lost()
        elif self._incoming is not None:
            self._incoming.body.end(broken=True)
        if self._task is not None and self._duplex is None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, size: int) -> None:
        self.data_received(bytes(_BUFFER[:size]))

    def data_received(self, data: bytes) -> None:
        if self._duplex is not None:
            self._duplex.feed(data)
        elif self._upgraded:
            self._after_upgrade(data)
        elif not self._deaf:
            self._take(data)

    def eof_received(self) -> bool:
        self._eof = True
        if self._duplex is not None:
            self._duplex.feed_eof()
            self._server.hangups.watch(self._fd, self._vanish)
            return True
        if self._incoming is not None:
            self._incoming.body.end(broken=True)
        if self._task is None:
            return False
        if self.cancel_on_close:
            self._task.cancel()
        return True

    async def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client has closed the connection")
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()
            if self._transport is None:
                raise ConnectionResetError("the client has closed the connection")

    def pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def lend(self) -> LentSocket | None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has closed the connection")
        if not self._bare:
            return None
        transport.set_write_buffer_limits(high=0)  # "writable" now means: it is empty
        try:
            await self._writable.wait()
        finally:
            transport.set_write_buffer_limits(high=HIGH_WATER)
        if self._transport is None:
            raise ConnectionResetError("the client has closed the connection")
        return self._lend()

    def _lend(self) -> LentSocket:
        assert self._transport is not None
        lent = LentSocket(self._transport.get_extra_info("socket"))
        self._lent = [lent, *(other for other in self._lent if not other.closed)]
        return lent

    def lend_body(self, body: Body) -> tuple[LentSocket, Framing] | None:
        if (
            self._transport is None
            or not self._bare
            or self._framing is None
            or self._incoming is None
            or self._incoming.body is not body
        ):
            return None
        self.pause()
        return self._lend(), self._framing

    def body_taken(self, body: Body) -> None:
        if self._framing is not None and self._framing.done:
            self._end_body()
            self.resume()
        else:
            body.end(broken=True)

    def become_duplex(self) -> Duplex:
        self._duplex = Duplex(self, self._early)
        self._early = b""
        if self._eof:
            self._duplex.feed_eof()
            self._server.hangups.watch(self._fd, self._vanish)
        return self._duplex

    def _vanish(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def wait_taken(self) -> None:
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        deadline_s = time.monotonic() + _TAKEN_S
        while sock is not None and self._transport is not None and unread_bytes(sock) and time.monotonic() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)  # nothing tells when the other end reads

    async def continue_if_expected(self) -> None:
        if self._expect:
            self._expect = False
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def end(self) -> None:
        """The server goes: the connection is closed, and a handler cancelled."""
        self.close()
        if self._task is not None:
            self._task.cancel()

    @property
    def brief_task(self) -> asyncio.Task[None] | None:
        """The handler at work on a request that will be answered at once, when it is; None for streams."""
        return None if self._duplex is not None or self.cancel_on_close else self._task

    # -- parser -------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Heads, and bodies, as they come."""
        at = 0
        while at < len(data) and not self._upgraded and not self._deaf:
            at = self._take_head(data, at) if self._framing is None else self._take_body(data, at)

    def _take_head(self, data: bytes, at: int) -> int:
        """The parser gets to see nothing behind a head; where that is."""
        end = head_end(self._tail, data, at)
        self._tail = b"" if end >= 0 else (self._tail + data[at:][-3:])[-3:]
        end = end if end >= 0 else len(data)
        try:
            self._parser.feed_data(data[at:end])
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded = True
            self._after_upgrade(data[at + upgrade.args[0] :])
        except httptools.HttpParserError as error:
            log.debug("bad request: %s", error)
            ours, unknown_method = error.__context__, isinstance(error, httptools.HttpParserInvalidMethodError)
            self._refuse(ours if isinstance(ours, BadRequest) else verdict(data[at:end], unknown_method=unknown_method))
        return end

    def _take_body(self, data: bytes, at: int) -> int:
        assert self._framing is not None and self._incoming is not None
        framing, body = self._framing, self._incoming.body
        try:
            while at < len(data) and not framing.done:
                if framing.left:
                    piece = data[at : at + framing.left]
                    framing.took(len(piece))
                    body.feed(piece)
                    at += len(piece)
                else:
                    at += framing.frame(data, at)
        except BadFraming as error:
            log.debug("bad request: %s", error)
            self.keep_alive, self._deaf = False, True
            body.end(fault=str(error))
        if framing.done:
            self._end_body()
        return at

    def _end_body(self) -> None:
        """The body of the request that comes in is complete; a head comes next."""
        assert self._incoming is not None
        self._incoming.body.end()
        self._incoming = self._framing = None
        self._parser = httptools.HttpRequestParser(self)

    def _after_upgrade(self, data: bytes) -> None:
        """llhttp stops at the headers of a request that offers an upgrade; its body is still to be told from the stream."""
        if self._incoming is not None:
            body, data = data[: self._body_left], data[self._body_left :]
            self._body_left -= len(body)
            if body:
                self._incoming.body.feed(body)
            if self._body_left == 0:
                self._incoming.body.end()
                self._incoming = None
        self._early += data

    def _refuse(self, why: BadRequest) -> None:
        """Nothing that comes after it is looked at."""
        self.keep_alive, self._deaf = False, True
        if self._transport is not None and self._task is None:
            self._transport.write(
                f"HTTP/1.1 {why.status}\r\nContent-Type: {why.kind}\r\nConnection: close\r\n\r\n{why.body}".encode()
            )
            self._transport.close()
        elif self._incoming is not None:
            self._incoming.body.end(broken=True)

    def on_message_begin(self) -> None:
        self._target, self._headers, self._head_size = b"", [], 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        self._grow(len(name) + len(value))

    def _grow(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _HEAD_LIMIT:
            raise BadRequest("431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        exchange = Exchange(
            self, self._parser.get_method().decode(), self._target, self._headers, self._parser.get_http_version()
        )
        check_head(exchange.version, self._headers)
        self._expect = exchange.headers.get("expect", "").lower() == "100-continue"
        length = exchange.headers.get("content-length", "0")
        self._body_left = int(length) if length.isdigit() else 0
        self._incoming = exchange
        if not self._parser.should_upgrade():
            if "transfer-encoding" in exchange.headers:
                self._framing = Chunked()
            elif self._body_left:
                self._framing = Sized(self._body_left)
        self._queue.append(exchange)
        if self._task is None:
            self.keep_alive = self._parser.should_keep_alive()
            self._next()

    def on_message_complete(self) -> None:
        if self._incoming is not None and not (self._parser.should_upgrade() and self._body_left):
            self._incoming.body.end()
            self._incoming = None

    # -- handling -------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._queue and self._transport is not None:
            self._task = self._server.spawn(self._handle(self._queue.pop(0)))

    async def _handle(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
            if not exchange.hijacked:
                await exchange.end()
        except ConnectionError:
            self.close()  # nobody is there to be told
        except asyncio.CancelledError:
            self.close()
        except Exception:  # the root of a task: a handler's fault ends its connection and no other
            log.exception("%s %s", exchange.method, exchange.target.decode("latin-1"))
            self.close()
        finally:
            self._after(exchange)

    def _after(self, exchange: Exchange) -> None:
        self._task = None
        self.cancel_on_close = False
        self._expect = False
        if exchange.hijacked:
            self.close()
            return
        if not self.keep_alive or self._eof or not exchange.body.is_complete:
            self.close()
            return
        if self._upgraded:  # an upgrade was offered and not taken: what follows is HTTP again
            self._upgraded, early, self._early = False, self._early, b""
            self._parser = httptools.HttpRequestParser(self)
            self.resume()
            self._take(early)
        self.resume()
        self._next()
