"""A byte stream as a file descriptor: what reads tars and compressed files, a thread or a child, reads one of those.

What comes from a client need not pass through here to get there: a `Pour` is whatever can fill a pipe, and the API moves
the bodies of its requests in the kernel. `pump` does it for a stream of the event loop.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from naru.images.together import single_failure

T = TypeVar("T")
# Fills the pipe whose write end it is given, and returns when all is in it or nobody reads it any more.
Pour = Callable[[int], Awaitable[None]]
_PIPE_BYTES = 1 << 20  # the default of 64 KiB costs a change of threads for each piece


async def through_pipe(pour: Pour, consume: Callable[[int], Awaitable[T]]) -> T:
    """The result of consume(fd), which reads from fd what is poured; it need not read it to the end.

    Raises what pour or consume raises; consume sees an early end of file if pour fails or we are cancelled.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    with single_failure():
        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(_until_nobody_reads(pour, write_end))
            pouring.add_done_callback(lambda _: os.close(write_end))
            try:
                return await consume(read_end)
            finally:
                os.close(read_end)  # before we wait for who pours, who may be waiting for room in the pipe
                pouring.cancel()


async def _until_nobody_reads(pour: Pour, pipe: int) -> None:
    try:
        await pour(pipe)
    except BrokenPipeError:
        return


def poured(stream: AsyncIterator[bytes]) -> Pour:
    return lambda pipe: pump(stream, pipe)


async def pump(stream: AsyncIterator[bytes], pipe: int) -> None:
    """Write what stream gives. Raises BrokenPipeError when nobody reads it any more; what stream raises."""
    os.set_blocking(pipe, False)
    async for piece in stream:
        view = memoryview(piece)
        while view:
            try:
                view = view[os.write(pipe, view) :]
            except BlockingIOError:
                await _wait_writable(pipe)


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
