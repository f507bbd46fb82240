"""Blocking work in threads: in one of the pool's that is not abandoned, or in a fresh one that may change what it is in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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
    return await asyncio.shield(asyncio.wrap_future(_start("naru-look", work, daemon=True)[1]))


def in_fresh_thread(name: str, work: Callable[[], T]) -> Future[T]:
    """Start work in a thread that ends with it: for what changes the thread, such as the namespaces it is in."""
    return _start(name, work)[1]


def outlast_fresh_thread(name: str, work: Callable[[], T]) -> T:
    """The result of work in such a thread, which is gone when this returns or raises, with what it was in; blocks."""
    thread, future = _start(name, work)
    thread.join()
    return future.result()


def _start(name: str, work: Callable[[], T], *, daemon: bool = False) -> tuple[threading.Thread, Future[T]]:
    future: Future[T] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=body, name=name, daemon=daemon)
    thread.start()
    return thread, future
