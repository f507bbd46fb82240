"""At start: take up what ran on without us, settle what ended meanwhile, and clear away what was half-made.

Truth is read from the kernel and from what monitors wrote, never from what we remember: a record that says "running" is
believed only if its monitor lives. A damaged record is put aside under its id and reported; it stops nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress

from naru.containers import monitor, survivors
from naru.containers.bringup import BringUp
from naru.containers.monitor import KILL_GRACE_S
from naru.containers.owner import Owner
from naru.containers.records import Container, Status, from_json
from naru.containers.surroundings import Surroundings
from naru.errors import NaruError
from naru.linux.cgroup import Cgroup
from naru.linux.erase import remove_tree
from naru.linux.files import write_atomic
from naru.linux.identity import Process

log = logging.getLogger(__name__)
BURIAL_S = 2.0  # the start does not wait longer for processes that do not end


class Adoption:
    def __init__(self, around: Surroundings, spawn: Callable[[Owner], None], bring_up: BringUp) -> None:
        self._around = around
        self._spawn = spawn
        self._bring_up = bring_up
        self._burials: list[asyncio.Future[None]] = []  # kept, or the loop would forget those that take long

    async def adopt(self) -> None:
        """Every container has its owner, and nothing runs that has no record, when this returns."""
        around = self._around
        monitors, creating = survivors.find(around.runtime.root)
        records = self._load()
        for record in records:
            owner = Owner(around, record)
            around.owners[record.id] = owner
            around.names[record.name] = record.id
        await self._end_creation(creating)
        for owner in list(around.owners.values()):
            process = monitors.pop(owner.record.id, None)
            self._spawn(owner)
            try:
                await self._settle(owner, process)
            except (NaruError, OSError) as error:
                log.error("container %s: it could not be taken up as it was: %s", owner.record.id[:12], error)
        for id, process in monitors.items():
            await self._end_stray(id, process)
        await self._bury()
        self._clear_directories()
        await self._bring_up.begin(self._due())

    async def _bury(self) -> None:
        """What earlier runs have left is gone when this returns, but where processes do not end: that goes on beside us."""
        around = self._around
        for id in around.runtime.runs():
            owner = around.owners.get(id)
            if owner is None:
                self._burials.append(asyncio.ensure_future(around.runtime.bury(id, self._group(id))))
            elif not owner.record.state.status.is_live:
                self._burials.append(owner.bury_soon())
        if self._burials:
            done, _ = await asyncio.wait(self._burials, timeout=BURIAL_S)
            for each in done:
                if (error := each.exception()) is not None:
                    log.error("what an earlier run has left cannot be cleared: %s", error)

    def _load(self) -> list[Container]:
        around, out = self._around, []
        for id, text in around.db.rows("SELECT id, record FROM container"):
            try:
                out.append(from_json(text))
            except (ValueError, KeyError, TypeError) as error:
                log.error("container %s: its record is damaged and is put aside: %s", id[:12], error)
                self._put_aside(id, text)
        return out

    def _put_aside(self, id: str, text: str) -> None:
        try:
            path = os.path.join(self._around.data_root, f"damaged-container-{id}.json")
            write_atomic(path, str(text).encode("utf-8", "replace"))
        except OSError as error:  # a full disk: it stays where it is until the next start
            log.error("%s: %s", error.filename, error.strerror)
            return
        self._around.db.write("DELETE FROM container WHERE id = ?", id)

    async def _settle(self, owner: Owner, process: Process | None) -> None:
        around, record = self._around, owner.record
        state = record.state
        if not state.status.is_live:
            if process is not None:  # we died in the middle of a start: it never was acknowledged
                await self._end_stray(record.id, process)
            await around.networking.leave(record)
            if state.status is Status.REMOVING:  # finish what was begun
                await owner.ask(owner.finish_removal)
            return
        if process is not None and (process.pid, process.start) == (state.monitor_pid, state.monitor_start):
            try:
                await around.networking.restore(around.effective(record))
            except (NaruError, OSError) as error:
                log.error("container %s: its network could not be taken up: %s", record.id[:12], error)
            owner.agree_on_pause()
            owner.watch(process)
            around.after_start(owner)
            log.info("container %s (%s): taken up, pid %d", record.id[:12], record.name, state.pid)
        else:
            await owner.ask(owner.settle_missed_end)

    async def _end_creation(self, creating: list[tuple[str, Process]]) -> None:
        """What is still being created was never acknowledged. The runtime ends first: it would go on making cgroups, and
        does so even where its monitor has died of the daemon's death."""
        for id, process in creating:
            owner = self._around.owners.get(id)
            if owner is None or not owner.record.state.status.is_live:
                process.kill()
                await process.wait_end_within(KILL_GRACE_S)

    async def _end_stray(self, id: str, process: Process) -> None:
        """A monitor without a running record: its container was never acknowledged, or is not ours any more."""
        await monitor.end(process, self._group(id), 5.0)
        log.info("container %s: a start that was cut short has been taken back", id[:12])

    def _group(self, id: str) -> Cgroup:
        owner = self._around.owners.get(id)  # a container may have a cgroup parent of its own
        return owner.cgroup() if owner is not None else Cgroup(self._around.host, f"/{self._around.cgroup_parent}/{id}")

    def _clear_directories(self) -> None:
        root = os.path.join(self._around.data_root, "containers")
        for id in os.listdir(root):
            if id not in self._around.owners:
                with suppress(OSError):
                    remove_tree(os.path.join(root, id))
        runtime = self._around.runtime
        live = {id for id, owner in self._around.owners.items() if owner.record.state.status.is_live}
        # of execs that ended with the daemon; exit codes that have been read; states of runs that nobody knows
        for folder, kept in (
            (runtime.execs.folder, set[str]()),
            (runtime.exits.folder, live),
            (f"{runtime.root}/runtime", live | {".cache"}),
        ):
            for name in set(os.listdir(folder)) - kept:
                with suppress(OSError):
                    remove_tree(os.path.join(folder, name))

    def _due(self) -> list[Owner]:
        """Policies at boot: `always`, `unless-stopped` that no user stopped, and what was about to be restarted."""
        return [owner for owner in self._around.owners.values() if _is_due(owner.record)]


def _is_due(record: Container) -> bool:
    status, policy = record.state.status, record.host.restart_policy.name
    if status is not Status.EXITED:
        return status is Status.RESTARTING
    return policy == "always" or (policy == "unless-stopped" and not record.state.stopped_by_user)
