"""The event bus: what happened, in order, to whoever listens, and the last thousand for those who come late.

Owns nothing but memory. Publishing never waits: a listener that does not keep up loses its oldest events, not the
publisher's time. Names and attributes are Docker's (Engine API, `GET /events`); services publish, nobody else does.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

RING = 1024
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Event:
    kind: str  # container, image, network, volume, builder, daemon
    action: str  # create, start, die, …; some carry text: "exec_create: ls /"
    id: str
    time_ns: int
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward of a pull, push, load, import or build, as its user sees it (`status`, or free text in `stream`)."""

    status: str = ""
    id: str = ""
    current: int = 0
    total: int = 0
    stream: str = ""
    aux: Mapping[str, object] | None = None


Report = Callable[[Progress], None]  # never blocks; safe to call from the event loop's thread only


class Subscription:
    """Events from the moment it was made (after those of the ring, if asked for): no gap and no repeat between the two."""

    def __init__(self, bus: Bus, replay: list[Event]) -> None:
        self._bus = bus
        self._queue: asyncio.Queue[Event] = asyncio.Queue(BACKLOG + len(replay))
        for event in replay:
            self._queue.put_nowait(event)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self._bus.unsubscribe(self)

    def offer(self, event: Event) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(event)

    async def wait_next(self) -> Event:
        return await self._queue.get()


class Bus:
    def __init__(self) -> None:
        self._ring: deque[Event] = deque(maxlen=RING)
        self._subscriptions: set[Subscription] = set()
        self.published: Counter[tuple[str, str]] = Counter()  # by (kind, action without its text), since the beginning

    def publish(self, event: Event) -> None:
        self.published[event.kind, event.action.partition(":")[0]] += 1
        self._ring.append(event)
        for subscription in self._subscriptions:
            subscription.offer(event)

    def past(self, since_ns: int = 0) -> list[Event]:
        """What the ring still holds from since_ns on, oldest first."""
        return [event for event in self._ring if event.time_ns >= since_ns]

    def subscribe(self, since_ns: int | None = None) -> Subscription:
        """Use it in a `with`, which ends it."""
        subscription = Subscription(self, [] if since_ns is None else self.past(since_ns))
        self._subscriptions.add(subscription)
        return subscription

    @property
    def listeners(self) -> int:
        return len(self._subscriptions)

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
