"""Blocking work in a thread that is not abandoned: whoever is cancelled while it runs still waits for its end, so that
what comes after (cleaning up, mostly) does not run beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finish_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of work, which has ended when this returns or raises, CancelledError included."""
    future = asyncio.get_running_loop().run_in_executor(None, lambda: work(*args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError as cancelled:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:  # asked again: the thread ends no sooner for that
                continue
        if not future.cancelled() and (failure := future.exception()) is not None:
            raise cancelled from failure
        raise
