"""The daemon's start: containers whose policy wants them to run are started, those that others depend on first.

The daemon serves meanwhile. A container that waits is `restarting`, so that a user who stops it, starts it or removes it has what
he asks for. Nobody waits longer than WAIT_S in all: then it is started with a warning.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from naru.containers import bootorder
from naru.containers.bootorder import Wait
from naru.containers.owner import Owner
from naru.containers.surroundings import Surroundings
from naru.errors import NaruError, NotModified

WAIT_S = 60.0
log = logging.getLogger(__name__)


class BringUp:
    def __init__(self, around: Surroundings, group: asyncio.TaskGroup) -> None:
        self._around = around
        self._group = group
        self._tried: dict[
            str, asyncio.Event
        ] = {}  # of those that are due: set once they have been started, or could not be

    async def begin(self, due: Sequence[Owner]) -> None:
        """Every container that has to wait is `restarting` when this returns; the rest goes on by itself."""
        ids = {owner.record.id for owner in due}
        plan = bootorder.plan([owner.record for owner in self._around.owners.values()], ids)
        self._tried = {id: asyncio.Event() for id in ids}
        for owner in due:
            if waits := plan[owner.record.id]:
                try:
                    await owner.ask(owner.hold_restart)
                except NaruError as error:  # a full disk, say: it is started at once then
                    log.error("container %s cannot wait for others: %s", owner.record.name, error)
                    waits = ()
            self._group.create_task(self._start(owner, waits))

    async def _start(self, owner: Owner, waits: Sequence[Wait]) -> None:
        record = owner.record
        try:
            async with asyncio.timeout(WAIT_S):
                for wait in waits:
                    await self._wait(record.name, wait)
        except TimeoutError:
            log.warning(
                "container %s: started after %g s, though not all that it depends on is ready", record.name, WAIT_S
            )
        try:
            await owner.ask(owner.restart_held if waits else owner.start)
        except NotModified:
            pass  # a user was faster
        except NaruError as error:
            log.warning("container %s could not be started: %s", record.name, error)
        finally:
            self._tried[record.id].set()

    async def _wait(self, name: str, wait: Wait) -> None:
        """Return when the condition is met, or cannot be any more, which is told."""
        if wait.id in self._tried:
            await self._tried[wait.id].wait()
        with self._around.bus.subscribe() as events:
            while (found := self._verdict(wait)) is None:
                while (await events.wait_next()).id != wait.id:
                    pass
        if not found:
            log.warning("container %s is started, though %s is not %s", name, wait.id[:12], wait.condition)

    def _verdict(self, wait: Wait) -> bool | None:
        owner = self._around.owners.get(wait.id)
        if owner is None:
            return False
        health = owner.health.status if owner.health is not None else None
        return bootorder.verdict(wait.condition, owner.record, health)
