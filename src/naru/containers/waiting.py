"""Those who wait for a container: for its end or removal, and for the streams of its next start."""

from __future__ import annotations

import asyncio

from naru.containers.streams import ConmonStdio


class Waiter:
    """Somebody waiting for the end (or the removal) of a container."""

    def __init__(self) -> None:
        self.future: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def settle(self, code: int, error: str) -> None:
        if not self.future.done():
            self.future.set_result((code, error))


class PendingAttach:
    """Streams asked for before the container runs; the launch connects them before its first process does."""

    def __init__(self) -> None:
        self.connected: asyncio.Future[ConmonStdio | None] = asyncio.get_running_loop().create_future()

    def settle(self, stdio: ConmonStdio | None) -> None:
        if not self.connected.done():
            self.connected.set_result(stdio)
        elif stdio is not None:
            stdio.close()
