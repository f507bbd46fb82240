"""The logs of all containers: which are being written, who tidies them up, and that nothing of a removed one is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from naru.linux.inotify import Notifier
from naru.linux.threads import finish_in_thread
from naru.logs.destination import Destination
from naru.logs.files import LogFiles
from naru.logs.live import Live, tidy
from naru.logs.shipping import Shipper
from naru.logs.values import Policy

log = logging.getLogger(__name__)
LAST_WORDS_S = 5.0


class Logs:
    """`spawn` gives a parent to its tasks: one in which old parts are compressed and thrown away, and one for each log that
    is shipped."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._spawn = spawn
        self._shipping: dict[str, tuple[Shipper, asyncio.Task[None]]] = {}
        self._notifier = Notifier()
        self._live: dict[str, Live] = {}
        self._untidy: dict[str, tuple[LogFiles, Policy]] = {}
        self._work = asyncio.Event()
        self._tidying: tuple[str, asyncio.Future[None]] | None = None
        self._complained: set[str] = set()
        spawn(self._tidy_up())

    def close(self) -> None:
        self._notifier.close()

    def live(self, id: str) -> Live | None:
        """The log that this container's run is writing; None if it does not run, or keeps none."""
        return self._live.get(id)

    def begin(
        self, id: str, files: LogFiles, policy: Policy, control: str, destination: Destination | None = None
    ) -> None:
        """A run has begun, or one that went on without us is taken up; `control` is its conmon's fifo. Where it is to be
        shipped elsewhere too, that has a destination."""
        live = self._live[id] = Live(files, policy, control, self._notifier, lambda: self._later(id, files, policy))
        live.begin()
        if destination is not None:
            self.ship(id, files, destination)

    def ship(self, id: str, files: LogFiles, destination: Destination) -> None:
        """Hand over what has not been yet, and what is to come of the run under way."""
        if (known := self._shipping.get(id)) is not None and not known[1].done():
            known[0].live = self._live.get(id)
            destination.close()
            return
        shipper = Shipper(id, files, destination)
        shipper.live = self._live.get(id)
        self._shipping[id] = shipper, self._spawn(shipper.run())

    def end(self, id: str) -> None:
        """The run is over, and conmon has ended."""
        if (live := self._live.pop(id, None)) is not None:
            live.end()

    async def forget(self, id: str) -> None:
        """The container is being removed: nothing touches its files when this returns. What it said last is still shipped, if
        its log server takes it."""
        self.end(id)
        if (shipping := self._shipping.pop(id, None)) is not None:
            shipper, task = shipping
            away = asyncio.ensure_future(shipper.away.wait())
            await asyncio.wait((task, away), timeout=LAST_WORDS_S, return_when=asyncio.FIRST_COMPLETED)
            away.cancel()
            task.cancel()
            await asyncio.wait((task,))
        self._untidy.pop(id, None)
        self._complained.discard(id)
        if self._tidying is not None and self._tidying[0] == id:
            await asyncio.wait((self._tidying[1],))

    def _later(self, id: str, files: LogFiles, policy: Policy) -> None:
        self._untidy[id] = files, policy
        self._work.set()

    async def _tidy_up(self) -> None:
        """One log after the other, so that rotation takes one core at most."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._untidy:
                id = next(iter(self._untidy))
                files, policy = self._untidy.pop(id)
                done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._tidying = id, done
                try:
                    await finish_in_thread(tidy, files, policy)
                except OSError as error:  # a full disk, say: the next rotation tries again
                    self._complain(id, error)
                finally:
                    self._tidying = None
                    done.set_result(None)

    def _complain(self, id: str, error: OSError) -> None:
        if id not in self._complained:
            self._complained.add(id)
            log.error("container %s: its old logs cannot be tidied up: %s: %s", id[:12], error.filename, error.strerror)
