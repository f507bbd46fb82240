"""Health checks: one task per checked container, which runs its command every so often while it runs.

Probes come every `start_interval` during the start period and every `interval` after it. A check is an exec like any
other, so its events are those of an exec; a change of status is one more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from naru.containers.execs import Execs
from naru.containers.health import Health, Probe, command, judge
from naru.containers.owner import Owner
from naru.containers.records import Status
from naru.containers.streams import PipeStdio
from naru.errors import NaruError
from naru.wire.container import ExecRequest, Healthcheck

_S = 1_000_000_000
_INTERVAL_NS, _TIMEOUT_NS, _START_INTERVAL_NS, _RETRIES = 30 * _S, 30 * _S, 5 * _S, 3
_OUTPUT_BYTES = 4096
_CUT = b"..."


class Checks:
    def __init__(self, execs: Execs, group: asyncio.TaskGroup, on_unhealthy: Callable[[Owner], None]) -> None:
        self._execs = execs
        self._group = group
        self._on_unhealthy = on_unhealthy
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.probes = self.failures = 0  # since the beginning, of all containers

    def begin(self, owner: Owner) -> None:
        """The container has started (or has been taken up)."""
        argv = command(owner.record)
        check = owner.record.config.healthcheck
        if argv is not None and check is not None:
            owner.health = Health()
            self._tasks[owner.record.id] = self._group.create_task(self._run(owner, owner.health, argv, check))

    def end(self, owner: Owner) -> None:
        """It has ended; what was known stays until the next start, but a check under way is given up."""
        task = self._tasks.pop(owner.record.id, None)
        if task is not None:
            task.cancel()
        if owner.health is not None and owner.health.status == "starting":
            owner.health.status = "unhealthy"

    async def _run(self, owner: Owner, health: Health, argv: list[str], check: Healthcheck) -> None:
        retries = check.retries or _RETRIES
        while True:
            elapsed_ns = time.time_ns() - owner.record.state.started_ns
            starting = health.status == "starting" and elapsed_ns < check.start_period
            wait_ns = (check.start_interval or _START_INTERVAL_NS) if starting else (check.interval or _INTERVAL_NS)
            await asyncio.sleep(wait_ns / _S)
            if owner.record.state.status is Status.PAUSED:
                continue  # nobody there can answer; Docker does not ask either
            probe = await self._probe(owner, argv, (check.timeout or _TIMEOUT_NS) / _S)
            if probe.exit_code != 0 and owner.cgroup().is_frozen():
                continue  # it was frozen in the middle of this
            self.probes += 1
            self.failures += probe.exit_code != 0
            in_start_period = probe.start_ns - owner.record.state.started_ns < check.start_period
            before = health.status
            health.status, health.streak = judge(
                before, health.streak, probe.exit_code, retries=retries, in_start_period=in_start_period
            )
            health.log.append(probe)
            if health.status != before:
                owner.announce(f"health_status: {health.status}")
                if health.status == "unhealthy":
                    self._on_unhealthy(owner)

    async def _probe(self, owner: Owner, argv: list[str], timeout_s: float) -> Probe:
        start_ns = time.time_ns()
        try:
            item = await self._execs.create(owner, ExecRequest(cmd=argv, attach_stdout=True, attach_stderr=True))
            stdio = await self._execs.start(item)
        except NaruError as error:
            return Probe(start_ns, time.time_ns(), -1, str(error))
        output = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                await _collect(stdio, output)
                await item.ended.wait()
        except TimeoutError:
            self._execs.abandon(item, at_once=True)
            text = f"Health check exceeded timeout ({timeout_s:g}s)"
            return Probe(
                start_ns, time.time_ns(), -1, f"{text}: {output.decode('utf-8', 'replace')}" if output else text
            )
        finally:
            stdio.close()
        code = item.state.exit_code if item.state.exit_code is not None else -1
        return Probe(start_ns, time.time_ns(), code, item.failure or output.decode("utf-8", "replace"))


async def _collect(stdio: PipeStdio, output: bytearray) -> None:
    while (piece := await stdio.read()) is not None:
        room = _OUTPUT_BYTES - len(output)
        if room >= 0:
            output += piece[1][:room]
            if len(piece[1]) > room:
                output += _CUT  # and nothing after it
