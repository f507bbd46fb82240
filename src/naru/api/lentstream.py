"""What is lent to a thread in place of a socket that must not be written to directly: a connection that encrypts (`tls`).

Each piece goes to the event loop, and the thread waits until the client has taken enough: as `lent.LentSocket` has it, at
the price of a copy.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

from naru.linux.lent import Stopped

_PIECE = 1 << 18
_ZEROS = bytes(_PIECE)


class LentStream:
    """`write` is the connection's own; made on the event loop, used by one thread. A `lent.Lent`."""

    def __init__(self, write: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._under_way: Future[None] | None = None
        self._stopped = self.closed = False

    def stop(self) -> None:
        self._stopped = True
        if self._under_way is not None:
            self._under_way.cancel()

    def close(self) -> None:
        self.closed = True

    def widen(self) -> None:
        """There is no buffer but the connection's."""

    def send(self, buffers: Sequence[bytes | bytearray | memoryview]) -> None:
        """All of them, in this order. Raises ConnectionError when nobody is there to read, Stopped."""
        self._under_way = asyncio.run_coroutine_threadsafe(self._write(b"".join(buffers)), self._loop)
        if self._stopped:  # said before there was anything to cancel
            self._under_way.cancel()
        try:
            self._under_way.result()
        except CancelledError as error:
            raise Stopped from error

    def send_file(self, fd: int, size_bytes: int) -> None:
        """Exactly that many bytes of the file, from its position; zeros for what it does not have, or cannot be read.

        Raises, after that, OSError if reading it failed; ConnectionError, Stopped.
        """
        left = size_bytes
        try:
            while left and (data := os.read(fd, min(left, _PIECE))):
                self.send([data])
                left -= len(data)
        finally:
            while left:
                self.send([_ZEROS[:left]])
                left -= min(left, _PIECE)
