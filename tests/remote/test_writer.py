from __future__ import annotations

import asyncio
import threading

import pytest

from naru.remote.writer import PieceWriter


class Gate:
    """A sink that writes when it is let."""

    def __init__(self) -> None:
        self.open, self.written = threading.Event(), bytearray()

    def write(self, data: bytes | memoryview) -> None:
        assert self.open.wait(5)
        self.written += data


class Full:
    def write(self, data: bytes | memoryview) -> None:
        raise OSError(28, "No space left on device")


def test_everything_is_written_in_order_at_the_end() -> None:
    async def main() -> bytes:
        gate = Gate()
        gate.open.set()
        async with PieceWriter(gate) as writer:
            for number in range(20):
                await writer.write([b"%d," % number, b""])
        return bytes(gate.written)

    assert asyncio.run(main()) == b"".join(b"%d," % n for n in range(20))


def test_no_thread_writes_after_a_cancelled_writer_has_ended() -> None:
    async def main() -> None:
        gate, started = Gate(), asyncio.Event()

        async def body() -> None:
            async with PieceWriter(gate) as writer:
                await writer.write([b"slow"])
                started.set()
                await asyncio.Event().wait()

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(body())
            await started.wait()
            for _ in range(3):  # impatience changes nothing
                task.cancel()
                await asyncio.sleep(0)
            assert not task.done()
            gate.open.set()
        assert gate.written == b"slow"

    asyncio.run(main())


def test_a_full_disk_is_told() -> None:
    async def main() -> None:
        async with PieceWriter(Full()) as writer:
            await writer.write([b"x"])

    with pytest.raises(OSError, match="No space left"):
        asyncio.run(main())
