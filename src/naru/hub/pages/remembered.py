"""What would be counted again and again, and may be a little old, or is known to be unchanged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
_MOST = 512


class Remembered:
    """Belongs to one event loop. Two who ask at once may both compute."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, Any]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[T]], now_s: float, for_s: float) -> T:
        """What `compute` said at most so many seconds ago."""
        kept = self._kept.get(key)
        if kept is not None and now_s - kept[0] < for_s:
            value: T = kept[1]
            return value
        value = await compute()
        while len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (now_s, value)
        return value
