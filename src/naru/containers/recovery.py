"""What is done about a container that has become unhealthy, if its label says that something is (`naru.health.on-failure`).

none      nothing, as with Docker
kill      SIGKILL; then its restart policy decides, as after a crash
restart   it is stopped, and started again as a restart policy would: after its back-off, and counted
stop      it is stopped, and stays so
"""

from __future__ import annotations

import asyncio
import logging
import signal

from naru.containers import restarts
from naru.containers.owner import Owner
from naru.containers.service import Containers
from naru.errors import Conflict, InvalidArgument, NaruError, NotModified

log = logging.getLogger(__name__)


class Recovery:
    def __init__(self, containers: Containers, group: asyncio.TaskGroup) -> None:
        self._containers = containers
        self._group = group

    def begin(self, owner: Owner) -> None:
        """It has just become unhealthy."""
        try:
            action = restarts.on_failure(owner.record.config.labels)
        except InvalidArgument as error:  # of a container that was made before labels were checked
            log.warning("container %s: %s", owner.record.name, error)
            return
        if action != "none":
            self._group.create_task(self._act(owner, action))

    async def _act(self, owner: Owner, action: str) -> None:
        record = owner.record
        log.info("container %s (%s) is unhealthy: %s", record.id[:12], record.name, action)
        try:
            if action == "kill":
                await owner.ask(lambda: owner.signal(signal.SIGKILL, by_user=False))
            elif action == "stop":
                await self._containers.stop(record.id)
            else:
                await self._containers.stop_for_health(owner)
        except (Conflict, NotModified):
            return  # it has ended on its own meanwhile
        except NaruError as error:
            log.error("container %s (%s) is unhealthy and could not be ended: %s", record.id[:12], record.name, error)
