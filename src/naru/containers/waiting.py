"""Those who wait for a container: for its end or removal, and for the streams of its next start."""

from __future__ import annotations

import asyncio
from weakref import WeakSet

from naru.containers.records import State, Status
from naru.containers.streams import ConmonStdio
from naru.linux.process import ended_within

_UNDER_WAY_S = 0.1


def moment_left_s(ran_ns: int) -> float:
    """What is left of a run's first moment. Docker takes that moment to start a container, and clients have come to rely on it."""
    return max(0.0, _UNDER_WAY_S - ran_ns / 1e9)


async def wait_under_way(ended: asyncio.Event, ran_ns: int) -> None:
    """Return when a run's first moment is over, or it has ended: then a short command's output is in the log."""
    if left_s := moment_left_s(ran_ns):
        await ended_within(ended.wait(), left_s)


class Waiters:
    """Futures of a container's exit code, settled when its run has ended, or when it has been removed."""

    def __init__(self) -> None:
        self._for_end: set[asyncio.Future[int]] = set()
        self._for_removal: set[asyncio.Future[int]] = set()

    def add(self, condition: str, state: State) -> asyncio.Future[int]:
        """One for `not-running`, `next-exit` or `removed`; drop it with `forget`."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if condition == "removed":
            self._for_removal.add(future)
        elif condition == "not-running" and not state.status.is_live and state.status is not Status.RESTARTING:
            future.set_result(state.exit_code)
        else:
            self._for_end.add(future)
        return future

    @property
    def for_removal(self) -> bool:
        """Somebody waits for the removal."""
        return bool(self._for_removal)

    def forget(self, future: asyncio.Future[int]) -> None:
        self._for_end.discard(future)
        self._for_removal.discard(future)

    def ended(self, code: int) -> None:
        _settle(self._for_end, code)

    def removed(self, code: int) -> None:
        _settle(self._for_end, code)
        _settle(self._for_removal, code)


def _settle(futures: set[asyncio.Future[int]], code: int) -> None:
    while futures:
        future = futures.pop()
        if not future.done():
            future.set_result(code)


class PendingAttach:
    """Streams asked for before the container runs; the launch connects them before its first process does."""

    def __init__(self) -> None:
        self.connected: asyncio.Future[ConmonStdio | None] = asyncio.get_running_loop().create_future()

    def settle(self, stdio: ConmonStdio | None) -> None:
        if not self.connected.done():
            self.connected.set_result(stdio)
        elif stdio is not None:
            stdio.close()


class Attaches:
    """Those who are, or will be, attached to one container."""

    def __init__(self) -> None:
        self._pending: list[PendingAttach] = []
        self._open: WeakSet[ConmonStdio] = WeakSet()

    def add(self) -> PendingAttach:
        self._pending.append(PendingAttach())
        return self._pending[-1]

    def drop(self, pending: PendingAttach) -> None:
        if pending in self._pending:
            self._pending.remove(pending)
        pending.settle(None)

    async def now(self, bundle: str) -> ConmonStdio:
        """Streams of the run in this bundle. Raises ConnectionError, FileNotFoundError, TimeoutError."""
        stdio = await ConmonStdio.connect(bundle)
        self._open.add(stdio)
        return stdio

    async def connect(self, bundle: str) -> None:
        """Give each that is pending its streams."""
        waiting, self._pending = self._pending, []
        for attach in waiting:
            attach.settle(await self.now(bundle))

    def release(self) -> None:
        """There will be none."""
        waiting, self._pending = self._pending, []
        for attach in waiting:
            attach.settle(None)

    def drain(self) -> None:
        """The run has ended: its last words are taken from conmon, whoever reads them or not."""
        for stdio in list(self._open):
            stdio.drain()
