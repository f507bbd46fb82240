from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from naru.errors import Conflict
from naru.images.feed import poured, through_pipe
from naru.images.together import OneAtATime, together
from naru.linux.threads import finish_in_thread


def test_the_first_failure_is_raised_itself_and_ends_the_others() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def fails() -> None:
        raise Conflict("first")

    with pytest.raises(Conflict, match="first"):
        asyncio.run(together(waits(), fails(), waits()))
    assert ended == [True, True]


def test_one_at_a_time_and_nothing_is_left() -> None:
    alone = OneAtATime()
    inside: list[str] = []

    async def enter(key: str) -> None:
        async with alone(key):
            assert key not in inside
            inside.append(key)
            await asyncio.wait_for(asyncio.to_thread(int), None)
            inside.remove(key)

    async def all_of_them() -> None:
        await together(*(enter(key) for key in "abcabcabc"))

    asyncio.run(all_of_them())
    assert alone._locks == {}


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(100_000)


def test_a_stream_through_a_pipe() -> None:
    async def count(fd: int) -> int:
        return await finish_in_thread(lambda: sum(len(piece) for piece in iter(lambda: os.read(fd, 1 << 16), b"")))

    assert asyncio.run(through_pipe(poured(pieces(50)), count)) == 5_000_000


def test_who_reads_the_pipe_may_stop_early() -> None:
    async def one(fd: int) -> int:
        return len(await finish_in_thread(os.read, fd, 10))

    assert asyncio.run(through_pipe(poured(pieces(50)), one)) == 10


def test_a_thread_has_ended_when_its_caller_is_cancelled() -> None:
    read_end, write_end = os.pipe()
    ended = []

    def work() -> None:
        os.read(read_end, 1)
        ended.append(True)

    async def cancelled() -> None:
        task = asyncio.get_running_loop().create_task(finish_in_thread(work))
        asyncio.get_running_loop().call_soon(task.cancel)
        asyncio.get_running_loop().call_soon(task.cancel)
        asyncio.get_running_loop().call_later(0.02, os.write, write_end, b"x")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]

    asyncio.run(cancelled())
    os.close(read_end)
    os.close(write_end)
