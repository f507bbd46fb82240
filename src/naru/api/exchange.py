"""One request and its answer, and what a hijacked connection becomes: the values that handlers work with.

A handler answers an `Exchange` in one of three ways: `send` (a whole answer), `begin` (headers now, a chunked body piece
by piece) or `hijack` (the connection becomes a plain duplex stream). Bytes reach and leave them through a `Link`, which
`http.Connection` is; nothing here knows sockets. Bodies in bulk do not pass through the event loop: a thread has the
link's socket meanwhile (`Exchange.produce`, `Body.pour`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from naru.api.bulk import LoopOutlet, Outlet, move
from naru.api.framing import Framing
from naru.errors import Internal, InvalidArgument
from naru.images.feed import pump
from naru.linux.lent import LentSocket, use_lent
from naru.linux.threads import finish_in_thread

if TYPE_CHECKING:
    from naru.snapshots.tarstream import Sink

HIGH_WATER = 1 << 18
_REASONS = {status.value: status.phrase for status in HTTPStatus}
Headers = Iterable[tuple[str, str]]


class Link(Protocol):
    """A connection as exchanges see it."""

    keep_alive: bool
    cancel_on_close: bool  # a client that goes away cancels the handler

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None: ...

    def become_duplex(self) -> Duplex: ...

    async def wait_taken(self) -> None:
        """Return when the client has read what was written, or was given time to."""
        ...

    async def write(self, data: bytes) -> None:
        """Returns when the client has taken enough of what was written. Raises ConnectionError when it is gone."""
        ...

    async def continue_if_expected(self) -> None: ...

    async def lend(self) -> LentSocket | None:
        """The socket, for a thread that writes to it: all that was written before has left. None if what is written to it
        has to be encrypted. Raises ConnectionError."""
        ...

    def lend_body(self, body: Body) -> tuple[LentSocket, Framing] | None:
        """The socket, for a thread that reads this body's rest from it, and where that ends; None if it has arrived, or
        comes encrypted."""
        ...

    def body_taken(self, body: Body) -> None:
        """The body's end is behind us, or never comes: the framing that `lend_body` gave says so."""
        ...


class Body:
    """A request's body: read it whole, or piece by piece, at the reader's pace."""

    def __init__(self, connection: Link) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._size = 0
        self._done = False
        self._broken = False
        self._fault = ""  # why what came is no body
        self._ready = asyncio.Event()

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER:
            self._connection.pause()
        self._ready.set()

    def end(self, *, broken: bool = False, fault: str = "") -> None:
        self._done, self._broken, self._fault = True, broken or bool(fault), fault
        self._ready.set()

    @property
    def is_complete(self) -> bool:
        return self._done and not self._broken

    async def pieces(self) -> AsyncIterator[bytes]:
        """What has arrived, until the body ends. Raises ConnectionError if the client went away in the middle, and
        InvalidArgument for what is no body."""
        await self._connection.continue_if_expected()
        while True:
            if self._pieces:
                data = b"".join(self._pieces)
                self._pieces.clear()
                self._size = 0
                self._connection.resume()
                yield data
            elif self._done:
                if self._fault:
                    raise InvalidArgument(self._fault)
                if self._broken:
                    raise ConnectionError("the client closed the connection in the middle of the request body")
                return
            else:
                self._ready.clear()
                await self._ready.wait()

    async def pour(self, pipe: int) -> None:
        """Move it into a pipe, at the pace of who reads the pipe, and not all of it if they close it (a `feed.Pour`).

        Raises ConnectionError if the client went away in the middle.
        """
        await self._connection.continue_if_expected()
        lent = self._connection.lend_body(self)
        if lent is None:  # it is here, or nearly
            await pump(self.pieces(), pipe)
            return
        held, self._pieces, self._size = self._pieces, [], 0
        try:
            await use_lent(lent[0], lambda: move(*lent, held, pipe))
        finally:
            self._connection.body_taken(self)

    async def read(self, limit_bytes: int = 16 << 20) -> bytes:
        """All of it. Raises InvalidArgument if it is longer than the limit, or no body."""
        out = bytearray()
        async for piece in self.pieces():
            out += piece
            if len(out) > limit_bytes:
                raise InvalidArgument("request body too large")
        return bytes(out)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class Exchange:
    """One request and its answer."""

    def __init__(
        self, connection: Link, method: str, target: bytes, headers: list[tuple[bytes, bytes]], version: str
    ) -> None:
        self.connection = connection
        self.method = method
        self.target = target
        self.version = version
        self.headers: dict[str, str] = {}
        for name, value in headers:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        self.body = Body(connection)
        self.answer_headers: list[tuple[str, str]] = []  # sent with every answer but a hijack's
        self.begun = False
        self.hijacked = False
        self._chunked = False

    def _head(self, status: int, headers: Headers, reason: str | None = None) -> bytes:
        lines = [f"HTTP/1.1 {status} {reason or _REASONS.get(status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _connection_header(self) -> list[tuple[str, str]]:
        """Said only where it is not what this HTTP version does by itself."""
        if self.version == "1.0":
            return [("Connection", "keep-alive")] if self.connection.keep_alive else []
        return [] if self.connection.keep_alive else [("Connection", "close")]

    async def send(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        """The whole answer at once."""
        self.begun = True
        extra = [*self.answer_headers, *headers, ("Date", _date(int(time.time())))]
        if status not in (204, 304) and status >= 200:
            extra.append(("Content-Length", str(len(body))))
        extra += self._connection_header()
        payload = b"" if self.method == "HEAD" or status in (204, 304) else body
        await self.connection.write(self._head(status, extra) + payload)

    async def begin(self, status: int, headers: Headers = ()) -> None:
        """Send the headers now; the body follows by `write` and ends with `end` (or the handler's end)."""
        self.begun = True
        self.connection.cancel_on_close = True
        extra = [*self.answer_headers, *headers, ("Date", _date(int(time.time())))]
        if self.version == "1.0":
            self.connection.keep_alive = False
        else:
            self._chunked = True
            extra.append(("Transfer-Encoding", "chunked"))
        extra += self._connection_header()
        await self.connection.write(self._head(status, extra))

    async def write(self, data: bytes) -> None:
        """A piece of the body; waits while the client is slow. Raises ConnectionError when it is gone."""
        if not data or self.method == "HEAD":
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        await self.connection.write(data)

    async def produce(self, work: Callable[[Sink], None]) -> None:
        """The body, written by work in a thread, straight to the client and at its pace. After `begin`.

        Raises what work raises, an OSError as Internal; ConnectionError when the client is gone.
        """
        lent = await self.connection.lend()
        outlet = LoopOutlet(self.write) if lent is None else self._outlet(lent)

        def body() -> None:
            try:
                work(outlet)
            finally:
                outlet.flush()

        try:
            if lent is None:
                await finish_in_thread(body)
            else:
                await use_lent(lent, body)
        except ConnectionError:
            raise
        except OSError as error:
            raise Internal(str(error)) from error

    def _outlet(self, lent: LentSocket) -> Outlet:
        lent.widen()
        return Outlet(lent, chunked=self._chunked, silent=self.method == "HEAD")

    async def end(self) -> None:
        if self._chunked:
            self._chunked = False
            if self.method != "HEAD":
                await self.connection.write(b"0\r\n\r\n")

    async def hijack(self, status: int, headers: Headers, reason: str | None = None) -> Duplex:
        """Answer, and take the connection: from here on it carries plain bytes. 101 says so, 200 is the old way."""
        self.begun = self.hijacked = True
        duplex = self.connection.become_duplex()
        await self.connection.write(self._head(status, headers, reason))
        return duplex


class Duplex:
    """A hijacked connection: `read` until b"" (the client closed its half), `write`, `close`."""

    def __init__(self, connection: Link, early: bytes) -> None:
        self._connection = connection
        self._buffer = bytearray(early)
        self._eof = False
        self._begun = False
        self._ready = asyncio.Event()
        self.closed = asyncio.Event()  # the client is gone altogether

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > HIGH_WATER:
            self._connection.pause()
        self._ready.set()

    def feed_eof(self) -> None:
        self._eof = True
        self._ready.set()

    def lost(self) -> None:
        self.feed_eof()
        self.closed.set()

    async def read(self) -> bytes:
        while not self._buffer and not self._eof:
            self._ready.clear()
            await self._ready.wait()
        data = bytes(self._buffer)
        self._buffer.clear()
        self._connection.resume()
        return data

    async def write(self, data: bytes) -> None:
        if not self._begun:
            # docker-py reads the head through a buffer, and then goes on without it: what came together with the head is lost.
            await self._connection.wait_taken()
            self._begun = True
        await self._connection.write(data)

    def close(self) -> None:
        self._connection.close()
