"""The work that one container's owner is asked to do, one after the other, each with its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from naru.errors import Internal, NaruError

log = logging.getLogger(__name__)
T = TypeVar("T")


class Inbox:
    def __init__(self, id: str) -> None:
        self._id = id
        self._queue: asyncio.Queue[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = asyncio.Queue()

    def submit(self, work: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        """Its answer; nobody need look at it."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._queue.put_nowait((work, future))
        return future

    async def serve_next(self) -> None:
        """Wait for work and do it. What fails is the asker's, as one of our kinds of error."""
        work, future = await self._queue.get()
        try:
            result = await work()
        except NaruError as error:
            _fail(future, error)
        except OSError as error:  # of the host's disk or kernel, which is not a fault of ours
            log.error("container %s: %s", self._id[:12], error)
            _fail(future, Internal(f"container {self._id}: {error.filename or ''}: {error.strerror}"))
        except Exception as error:
            log.exception("container %s: %s", self._id[:12], error)
            _fail(future, Internal(f"container {self._id}: {error}"))
        else:
            if not future.done():
                future.set_result(result)

    def refuse(self, error: NaruError) -> None:
        """What is left is not done any more."""
        while not self._queue.empty():
            _, future = self._queue.get_nowait()
            _fail(future, error)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
