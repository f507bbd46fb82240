"""A byte stream of the event loop as a file descriptor: what reads tars and compressed files, a thread or a child, reads
one of those."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from naru.images.together import single_failure

T = TypeVar("T")
_PIPE_BYTES = 1 << 20  # the default of 64 KiB costs a change of threads for each piece


async def through_pipe(stream: AsyncIterator[bytes], consume: Callable[[int], Awaitable[T]]) -> T:
    """The result of consume(fd), which reads from fd what stream gives; it need not read it to the end.

    Raises what stream or consume raises; consume sees an early end of file if stream fails or we are cancelled.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(write_end, False)
        with single_failure():
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(_pump(stream, write_end))
                try:
                    return await consume(read_end)
                finally:
                    pump.cancel()
    finally:
        os.close(read_end)


async def _pump(stream: AsyncIterator[bytes], fd: int) -> None:
    try:
        async for piece in stream:
            view = memoryview(piece)
            while view:
                try:
                    view = view[os.write(fd, view) :]
                except BlockingIOError:
                    await _wait_writable(fd)
    finally:
        os.close(fd)


async def _wait_writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(fd, on_ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)
