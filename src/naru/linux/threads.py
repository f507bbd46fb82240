"""Blocking work in threads: in one of the pool's that is not abandoned, or in a fresh one that may change what it is in."""

from __future__ import annotations

import _thread
import asyncio
import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_M_ARENA_MAX = -8


def share_memory() -> None:
    """Threads allocate from one arena (mallopt(3), M_ARENA_MAX): short-lived ones would leave one each behind, in pieces.
    Nothing happens where the C library knows no arenas."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, 1)


async def finish_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of work, which has ended when this returns or raises, CancelledError included: what comes after
    (cleaning up, mostly) does not run beside it."""
    future = asyncio.get_running_loop().run_in_executor(None, lambda: work(*args, **kwargs))
    try:
        await outlast(future)
    except asyncio.CancelledError as cancelled:
        if not future.cancelled() and (failure := future.exception()) is not None:
            raise cancelled from failure
        raise
    return future.result()


async def outlast(future: asyncio.Future[Any]) -> None:
    """The future is done, never mind how, when this returns or, cancelled however often meanwhile, raises."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait((future,))  # cancels nothing
        except asyncio.CancelledError as error:  # the thread ends no sooner for that
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def in_own_thread(work: Callable[[], T]) -> T:
    """The result of work that may never end, as a look at a file system whose server is away: it takes no thread of the pool,
    a cancelled caller leaves it behind, and so does the end of the process."""
    return await asyncio.shield(asyncio.wrap_future(in_fresh_thread(work)))


def in_fresh_thread(work: Callable[[], T]) -> Future[T]:
    """Start work in a thread that ends with it: for what changes the thread, such as the namespaces it is in.

    Not a `threading.Thread`, whose start waits until it runs: a tenth of what the event loop does for a container.
    """
    future: Future[T] = Future()
    _thread.start_new_thread(_settle, (future, work))
    return future


def outlast_fresh_thread(work: Callable[[], T]) -> T:
    """The result of work in such a thread, which is gone when this returns or raises, with what it was in; blocks."""
    future: Future[T] = Future()
    thread = threading.Thread(target=_settle, args=(future, work))
    thread.start()
    thread.join()
    return future.result()


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
