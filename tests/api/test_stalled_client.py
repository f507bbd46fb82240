"""A client that stops reading holds up the process that it reads from, but not for ever."""

from __future__ import annotations

import asyncio
import os

from naru.api.streams import pump
from naru.containers.streams import PipeStdio


class Stalled:
    """Takes the first piece and nothing more."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.began = asyncio.Event()
        self.taken: list[bytes] = []

    async def read(self) -> bytes:
        await self.closed.wait()
        return b""

    async def write(self, data: bytes) -> None:
        if self.taken:
            await self.closed.wait()
        self.taken.append(data)
        self.began.set()


def test_it_counts_as_gone_in_the_end() -> None:
    asyncio.run(stall())


async def stall() -> None:
    read, write = os.pipe()
    stdio, client = PipeStdio(-1, {1: read}), Stalled()
    try:
        os.write(write, b"one")
        running = asyncio.ensure_future(
            pump(client, stdio, tty=True, stdin=False, outputs=frozenset({1}), detach=b"", stalled_s=0.05)
        )
        await client.began.wait()
        os.write(write, b"two")
        async with asyncio.timeout(5):
            assert await running is False
        assert client.taken == [b"one"]
    finally:
        stdio.close()
        os.close(write)
