"""Kernel work that blocks, done in a thread and waited for; the one place where its OSErrors become ours.

A cancelled caller still waits for the end: what a thread does can only be undone when it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from naru.errors import Internal
from naru.linux import netns

T = TypeVar("T")


async def in_thread(what: str, work: Callable[[], T]) -> T:
    """Run work in a thread of the daemon's namespace. Raises Internal("what: …") for an OSError."""
    return await _wait(what, asyncio.get_running_loop().run_in_executor(None, work))


async def in_namespace(what: str, netns_fd: int, work: Callable[[], T]) -> T:
    """Run work in a thread that has joined the namespace. Raises Internal("what: …") for an OSError."""
    return await _wait(what, asyncio.wrap_future(netns.start_inside(netns_fd, work)))


async def _wait(what: str, future: asyncio.Future[T]) -> T:
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        future.exception()  # how it ended is nobody's concern any more
        raise
    except OSError as error:
        raise Internal(f"{what}: {error}") from error
