"""Kernel work that blocks, done in a thread and waited for; the one place where its OSErrors become ours.

A cancelled caller still waits for the end: what a thread does can only be undone when it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from naru.errors import Internal
from naru.linux import netns
from naru.linux.threads import outlast

T = TypeVar("T")


async def in_thread(what: str, work: Callable[[], T]) -> T:
    """Run work in a thread of the daemon's namespace. Raises Internal("what: …") for an OSError."""
    return await finish(what, asyncio.get_running_loop().run_in_executor(None, work))


async def in_namespace(what: str, netns_fd: int, work: Callable[[], T]) -> T:
    """Run work in a thread that has joined the namespace. Raises Internal("what: …") for an OSError."""
    return await finish(what, start_in_namespace(netns_fd, work))


def start_in_namespace(netns_fd: int, work: Callable[[], T]) -> asyncio.Future[T]:
    """Start it, to do something else meanwhile; then `finish`, and before anything is undone, `settle`."""
    return asyncio.wrap_future(netns.start_inside(netns_fd, work))


async def finish(what: str, running: asyncio.Future[T]) -> T:
    """The result of what was started. Raises Internal("what: …") for an OSError."""
    try:
        await outlast(running)
        return running.result()
    except asyncio.CancelledError:
        if running.done() and not running.cancelled():
            running.exception()  # nobody will ask any more
        raise
    except OSError as error:
        raise Internal(f"{what}: {error}") from error


async def settle(running: asyncio.Future[T]) -> None:
    """It has ended when this returns, never mind how."""
    await asyncio.wait([running])
    running.exception()
