"""Bodies by a thread, straight on the client's socket: answers that are written (`Outlet`), requests that are moved (`move`).

Everything here blocks and runs in a thread; the event loop lends the socket (`http.Connection.lend`) and waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from naru.api.framing import BadFraming, Framing
from naru.linux.lent import LentSocket

_BATCH = 1 << 17  # small writes are gathered: a chunk of its own for each would cost more than the copy
_SMALL = 1 << 16  # files up to here are read, and go with what is gathered
_CHUNK = 1 << 20  # clients may hold a chunk in memory
_AT_ONCE = 1 << 30  # clients may say they send more than the kernel can count
_PEEK = 64  # the end of a chunk and the size of the next fit in here


class _Gathering:
    """Small writes are put together; `flush` sends them on."""

    def __init__(self) -> None:
        self._gathered = bytearray()

    def write(self, data: bytes) -> None:
        self._gathered += data
        if len(self._gathered) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        data, self._gathered = self._gathered, bytearray()
        if data:
            self._send(data)

    def _send(self, data: bytearray) -> None:
        raise NotImplementedError


class Outlet(_Gathering):
    """The body of an answer, in chunks or (HTTP/1.0) bare; or of none (HEAD). A `tarstream.Sink`.

    Raises ConnectionError when the client is gone.
    """

    def __init__(self, lent: LentSocket, *, chunked: bool, silent: bool) -> None:
        super().__init__()
        self._lent = lent
        self._chunked = chunked
        self._silent = silent

    def send_file(self, fd: int, size_bytes: int) -> None:
        """Exactly that many bytes of the file, from its position; zeros for what it does not have. Raises OSError."""
        if size_bytes <= _SMALL:
            data = b""
            while len(data) < size_bytes and (piece := os.read(fd, size_bytes - len(data))):
                data += piece
            self.write(data + bytes(size_bytes - len(data)))
            return
        self.flush()
        if self._silent:
            return
        while size_bytes:
            size = min(size_bytes, _CHUNK)
            if self._chunked:
                self._lent.send([b"%x\r\n" % size])
            try:
                self._lent.send_file(fd, size)
            finally:
                if self._chunked:
                    self._lent.send([b"\r\n"])
            size_bytes -= size

    def _send(self, data: bytearray) -> None:
        if not self._silent:
            self._lent.send([b"%x\r\n" % len(data), data, b"\r\n"] if self._chunked else [data])


class LoopOutlet(_Gathering):
    """The same where the socket cannot be lent, for what is written is still to be encrypted: each piece goes through the
    event loop, which the thread waits for. A `tarstream.Sink`."""

    def __init__(self, write: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._write = write
        self._loop = asyncio.get_running_loop()

    def send_file(self, fd: int, size_bytes: int) -> None:
        """As `Outlet.send_file`."""
        while size_bytes:
            piece = os.read(fd, min(size_bytes, _BATCH)) or bytes(min(size_bytes, _BATCH))
            self.write(piece)
            size_bytes -= len(piece)

    def _send(self, data: bytearray) -> None:
        asyncio.run_coroutine_threadsafe(self._write(bytes(data)), self._loop).result()


def move(lent: LentSocket, framing: Framing, held: Iterable[bytes], pipe: int) -> None:
    """The content of a request's body into a pipe, to its end or until nobody reads the pipe any more.

    `held` is what had arrived before, without framing; `framing` knows how it goes on, and is `done` if the end was reached.
    Raises ConnectionError if the client went away in the middle or sends nonsense.
    """
    try:
        for piece in held:
            view = memoryview(piece)
            while view:
                view = view[os.write(pipe, view) :]
        while not framing.done:
            if framing.left:
                count = lent.splice(pipe, min(framing.left, _AT_ONCE))
                framing.took(count)
            else:
                data = lent.peek(_PEEK)
                count = framing.frame(data)
                lent.skip(count)
            if not count:
                raise ConnectionResetError("the client closed the connection in the middle of the request body")
    except BrokenPipeError:
        return
    except BadFraming as error:
        raise ConnectionError(f"bad request body: {error}") from error
