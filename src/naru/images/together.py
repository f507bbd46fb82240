"""Tasks side by side: structured, and one at a time for what must not be done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def single_failure() -> Iterator[None]:
    """Around a TaskGroup: its first failure is raised itself, not as a group."""
    try:
        yield
    except BaseExceptionGroup as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from first.__cause__


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Run all; the results in order. The first failure cancels the others and is raised."""
    with single_failure():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]


class OneAtATime:
    """`async with each(key)`: of all who ask for the same key, one is inside; the others wait, and look again then."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}  # with how many hold it or wait for it

    @asynccontextmanager
    async def __call__(self, key: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(key) or (asyncio.Lock(), 0)
        self._locks[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = lock, users - 1
