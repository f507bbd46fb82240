"""Writing a blob in a thread, one piece at a time, while the next piece is being received."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from naru.linux.threads import outlast


class Sink(Protocol):
    """What content.blobs.Ingest is to us: hashing and writing, blocking."""

    def write(self, data: bytes | memoryview) -> None: ...


class PieceWriter:
    """Use it in an `async with`: when that ends, however it ends, no thread touches the sink any more."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pending: asyncio.Future[None] | None = None

    async def __aenter__(self) -> PieceWriter:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            if self._pending is not None:  # an error is under way, and is the one to report
                pending, self._pending = self._pending, None
                await outlast(pending)
                pending.exception()

    async def write(self, piece: Sequence[bytes]) -> None:
        """Begin writing the piece as soon as the one before is written. Raises that one's OSError."""
        await self.flush()
        self._pending = asyncio.get_running_loop().run_in_executor(None, self._write, piece)

    async def flush(self) -> None:
        """All is written when this returns."""
        if self._pending is not None:
            await asyncio.wait((self._pending,))
            pending, self._pending = self._pending, None
            pending.result()

    def _write(self, piece: Sequence[bytes]) -> None:
        for chunk in piece:
            self._sink.write(chunk)
