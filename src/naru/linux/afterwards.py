"""Work that nobody waits for, put off for a moment.

Who ends a container is mostly about to start the next one. So what is left to do is not done beside that, where it would take
the disk and the interpreter from it, but a little later, all at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Afterwards(Generic[T]):
    """A thread that does `work`, which raises nothing, with one item after the other, `delay_s` after the first came in."""

    def __init__(self, name: str, work: Callable[[T], object], delay_s: float) -> None:
        self._work = work
        self._delay_s = delay_s
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def add(self, item: T) -> None:
        self._items.put(item)

    def _serve(self) -> None:
        while (item := self._items.get()) is not None:
            self._closing.wait(self._delay_s)
            self._work(item)
            while not self._items.empty():
                if (item := self._items.get()) is None:
                    return
                self._work(item)

    def close(self) -> None:
        """Everything that came in has been done when this returns."""
        self._closing.set()
        self._items.put(None)
        self._thread.join()
