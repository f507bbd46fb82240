"""The owner task of one container: the only one that changes its record, or touches its processes.

Everybody else reads `record`, the last published frozen value, or sends work with `ask`, which the owner does one after
the other. A command is looked up in the lifecycle table; its actions are performed here in order, each with its undo;
the new record is stored, published and announced. Long waits (stop's grace period, wait) happen outside, on `watch`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from naru.containers import criu, lifecycle, monitor
from naru.containers.ending import Alarm, Restarting, how_it_ended
from naru.containers.happening import happening
from naru.containers.health import Health
from naru.containers.inbox import Inbox
from naru.containers.launching import LaunchFailure, launch
from naru.containers.lifecycle import Action, Event
from naru.containers.records import Container, Status, to_json
from naru.containers.restarts import asks_to_end
from naru.containers.surroundings import Surroundings
from naru.containers.updating import apply_limits
from naru.containers.validate import signal_number
from naru.containers.waiting import Attaches, Waiters, moment_left_s, wait_under_way
from naru.containers.watching import Watch
from naru.errors import Conflict, Internal, NaruError
from naru.linux.cgroup import Cgroup
from naru.linux.identity import Process

log = logging.getLogger(__name__)
T = TypeVar("T")


class Owner:
    def __init__(self, around: Surroundings, record: Container) -> None:
        self._around = around
        self.record = record
        around.runtime.programs.choose(record.id, record.host.runtime)
        self.ended = asyncio.Event()  # set while no process of it lives: readers of its log stop there
        self.attaches = Attaches()
        self.health: Health | None = None  # of its last run, if that was checked
        self._waiters = Waiters()
        self._inbox = Inbox(record.id)
        self._watch = Watch(
            around.runtime.exits, record.id, on_end=lambda: self._inbox.submit(self._on_exit), on_first_end=self.attaches.drain
        )  # fmt: skip
        self._burial: asyncio.Future[None] | None = None  # of the last run, under way
        self._removed = False
        self._restarting = Restarting()
        self._auto_removal = Alarm()
        if not record.state.status.is_live:
            self.ended.set()

    # -- for everybody ------------------------------------------------------------------------------------------

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have the owner do this, after what was asked before. It is done even if the asker is cancelled."""
        return await asyncio.shield(self._inbox.submit(work))

    def waiter(self, condition: str) -> asyncio.Future[int]:
        """The future exit code for `not-running`, `next-exit` or `removed`; drop it with `forget`."""
        future = self._waiters.add(condition, self.record.state)
        if self._waiters.for_removal:
            self._auto_removal.hasten()
        return future

    def forget(self, waiter: asyncio.Future[int]) -> None:
        self._waiters.forget(waiter)

    async def wait_under_way(self) -> None:
        """Return when it has run for a moment, or has ended."""
        if self.record.state.status.is_live:
            await wait_under_way(self.ended, self._around.now_ns() - self.record.state.started_ns)

    async def run(self) -> None:
        """The owner's life; ends when the container has been removed."""
        while not self._removed:
            await self._inbox.serve_next()
        await self._wait_buried()
        self._inbox.refuse(Conflict(f"container {self.record.id} is marked for removal and cannot be changed"))

    # -- commands: run inside `ask` -----------------------------------------------------------------------------

    def step(self, event: Event) -> lifecycle.Step:
        """Raises the refusal if its state does not allow this."""
        return lifecycle.step(self.record.state.status, event, id=self.record.id, name=self.record.name)

    async def start(self, checkpoint: str = "") -> None:
        """From the beginning, or from the checkpoint in this directory."""
        self.step(Event.START)
        self._auto_removal.cancel()
        self._restarting.begin_anew()
        await self._around.wait_sources(self.record.mounts)
        await self._launch(restarts=0, checkpoint=checkpoint)

    async def signal(self, number: int, *, by_user: bool = True) -> None:
        step = self.step(Event.SIGNAL)
        if Action.CANCEL_RESTART in step.actions:
            if by_user:
                self._give_up_restart()
            return
        if by_user and asks_to_end(number, signal_number(self.record.config.stop_signal or "TERM")):
            self._restarting.stopped_by_user = True
        self._send(number)
        self.announce("kill", signal=str(number))

    async def want_restart(self) -> None:
        """Whoever asks is going to end it for its health; it is to be started again whatever its policy says."""
        self.step(Event.SIGNAL)
        self._restarting.for_health = True

    async def pause(self) -> None:
        step = self.step(Event.PAUSE)
        await asyncio.to_thread(self.cgroup().freeze, True)
        self._publish(status=step.then)
        self.announce("pause")

    async def unpause(self) -> None:
        step = self.step(Event.UNPAUSE)
        await asyncio.to_thread(self.cgroup().freeze, False)
        self._publish(status=step.then)
        self.announce("unpause")

    async def checkpoint(self, directory: str, *, exit: bool) -> None:
        """Dump its processes into an empty directory; with `exit` they have ended when this returns, for good. Raises
        Conflict, RuntimeFailure."""
        self.step(Event.CHECKPOINT)
        await criu.dump(self._around.runtime, self.record, directory, leave_running=not exit)
        self.announce("checkpoint")
        if exit:
            self._restarting.stopped_by_user = True
            await self._end_now(auto_remove=True)

    async def begin_stop(self) -> bool:
        """Note that a user wants it down; True if there are processes to end."""
        step = self.step(Event.STOP)
        self._restarting.stopped_by_user = True
        if Action.CANCEL_RESTART in step.actions:
            self._give_up_restart()
            self.announce("stop")
            return False
        return True

    async def remove(self, *, force: bool, volumes: bool) -> None:
        step = self.step(Event.FORCE_REMOVE if force else Event.REMOVE)
        was_live = self.record.state.status.is_live
        if Action.CANCEL_RESTART in step.actions:
            self._restarting.cancel()
        if was_live:
            self._restarting.stopped_by_user = True
            self.announce("kill", signal="9")
            await self._end_now()
        await self._delete(volumes)

    async def rename(self, name: str) -> None:
        old = self.record.name
        renamed = replace(self.record, name=name)
        self._keep(renamed.with_state(renamed=True) if renamed.state.status.is_live else renamed)
        self.announce("rename", oldName=f"/{old}")

    async def change(self, change: Callable[[Container], Container]) -> None:
        """Replace what the user asked for; the state stays the owner's."""
        self._keep(change(self.record))

    async def update(self, change: Callable[[Container], Container]) -> None:
        """New limits, at once if it runs. Raises Internal in the runtime's words; then the old ones stand."""
        changed = change(self.record)
        if self.record.state.status.is_live:
            await apply_limits(self._around, changed)
        if changed.state.status is Status.RESTARTING and not self._restarting.is_still_due(changed):
            self._restarting.cancel()
            changed = changed.with_state(status=Status.EXITED)
            self._waiters.ended(changed.state.exit_code)
        self._keep(changed)
        self.announce("update")

    async def finish_removal(self) -> None:
        """Go on with a removal that a dead daemon had begun."""
        await self._delete(volumes=True)

    async def settle_missed_end(self) -> None:
        """It ended while no daemon watched. A restart that is due is left to who brings up all of them."""
        await self._settle()
        self._restarting.cancel()

    async def hold_restart(self) -> None:
        """Its policy wants it to run, but it has to wait for others."""
        self._publish(status=Status.RESTARTING)

    async def restart_held(self) -> None:
        """Unless somebody did something about it meanwhile."""
        await self._restart_now(restarts=0)

    def agree_on_pause(self) -> None:
        """A daemon may have died between the freezing of the processes, or their thawing, and its note of it."""
        frozen = self.cgroup().is_frozen()
        if frozen != (self.record.state.status is Status.PAUSED):
            self._publish(status=Status.PAUSED if frozen else Status.RUNNING)

    def bury_soon(self) -> asyncio.Future[None]:
        """What a run has left is cleared in the background; the next start waits for that."""
        if self._burial is None or self._burial.done():
            self._burial = asyncio.ensure_future(self._remove_run())
        return self._burial

    # -- launch ---------------------------------------------------------------------------------------------------

    async def _launch(self, *, restarts: int, checkpoint: str = "") -> None:
        around = self._around
        around.runtime.moves.prepare()
        self.record = around.with_joined_name(self.record)
        record = around.effective(self.record)
        await self._wait_buried()
        try:
            process, pid = await launch(around, record, self.attaches, checkpoint)
        except LaunchFailure as failure:
            self._note_failure(failure)
            raise failure.error from failure
        self.ended.clear()
        self._publish(
            status=Status.RUNNING, pid=pid, exit_code=0, error="", oom_killed=False, started_ns=around.now_ns(),
            restart_count=restarts, stopped_by_user=False, monitor_pid=process.pid, monitor_start=process.start,
        )  # fmt: skip
        around.tell_volumes(record, "mount")
        self.announce("start")
        self.watch(process)
        around.after_start(self)

    def _note_failure(self, failure: LaunchFailure) -> None:
        self.attaches.release()
        status = Status.EXITED if self.record.state.started_ns else Status.CREATED
        self._publish(error=str(failure), exit_code=failure.code, status=status)
        if self.record.host.auto_remove:
            asyncio.get_running_loop().call_soon(self._inbox.submit, lambda: self.remove(force=True, volumes=True))

    # -- the end ----------------------------------------------------------------------------------------------------

    def watch(self, process: Process) -> None:
        """Be told when this monitor ends; for one that has ended already, at once."""
        self._watch.begin(process, self.record.state.pid)

    async def _on_exit(self) -> None:
        if Action.SETTLE in self.step(Event.EXITED).actions:
            await self._settle()

    async def _settle(self, *, auto_remove: bool = True) -> None:
        """The monitor has ended: take down what the run had, publish, decide about a restart."""
        around, state = self._around, self.record.state
        end = how_it_ended(around, self.record)
        delay_ns = self._restarting.decide(self.record, end)
        around.before_end(self)
        self.record = self.record.with_state(
            status=Status.EXITED if delay_ns is None else Status.RESTARTING, pid=0, exit_code=end.code,
            oom_killed=end.oom_killed, finished_ns=end.finished_ns, monitor_pid=0, monitor_start=0,
            stopped_by_user=self._restarting.stopped_by_user,
        )  # fmt: skip
        self._waiters.ended(end.code)
        await asyncio.sleep(0)  # who waits is answered first: until the run is buried, a next daemon finds the same end
        await around.networking.leave(self.record)
        self._write_down()
        self.ended.set()
        around.tell_volumes(self.record, "unmount")
        if end.oom_killed:
            self.announce("oom")
        self.announce("die", exitCode=str(end.code), execDuration=str(end.ran_ns(state.started_ns) // 10**9))
        if delay_ns is not None:
            restarts = state.restart_count + 1
            self._restarting.arm(delay_ns, lambda: self._inbox.submit(lambda: self._restart_now(restarts)))
        self.bury_soon()
        if auto_remove and self.record.host.auto_remove and delay_ns is None:
            left_s = moment_left_s(around.now_ns() - state.started_ns)
            # clients start a container before they ask to be told of its removal
            if left_s and not self._waiters.for_removal:
                self._auto_removal.arm(left_s, lambda: self._inbox.submit(self._remove_itself))
            else:
                await self._delete(volumes=True)

    async def _remove_itself(self) -> None:
        if not self.record.state.status.is_live:  # a user may have started it again
            await self._delete(volumes=True)

    async def _restart_now(self, restarts: int) -> None:
        self._restarting.cancel()
        if Action.LAUNCH in self.step(Event.RESTART_DUE).actions:
            await self._around.wait_sources(self.record.mounts)
            await self._launch(restarts=restarts)

    def _give_up_restart(self) -> None:
        self._restarting.cancel()
        self._restarting.stopped_by_user = True
        self._publish(status=Status.EXITED, stopped_by_user=True)
        self._waiters.ended(self.record.state.exit_code)

    async def _end_now(self, *, auto_remove: bool = False) -> None:
        state = self.record.state
        self.cgroup().kill()
        if not await self._watch.wait_end_within(monitor.KILL_GRACE_S):
            if not self.cgroup().pids():  # it is the monitor that does not end
                Process(state.monitor_pid, state.monitor_start).kill()
            if not await self._watch.wait_end_within(1.0):
                why = "could not kill: tried to kill container, but did not receive an exit event"
                raise Internal(f'cannot remove container "{self.record.name}": {why}')
        await self._settle(auto_remove=auto_remove)

    async def _wait_buried(self) -> None:
        """Nothing of an earlier run is left: its mounts stand on the same directories."""
        await self._watch.wait_gone()
        burial, self._burial = self._burial, None
        if burial is not None:
            await burial

    async def _remove_run(self) -> None:
        await self._around.runtime.bury(self.record.id, self.cgroup())

    async def _delete(self, volumes: bool) -> None:
        self._auto_removal.cancel()
        self._publish(status=Status.REMOVING)
        try:
            await self._around.delete_files(self.record, volumes)
            self._around.forget(self)
        except (OSError, NaruError) as error:
            self._publish(status=Status.DEAD, error=str(error))
            raise Internal(f"container {self.record.id}: driver failed to remove root filesystem: {error}") from error
        self._removed = True
        self.attaches.release()
        self.announce("destroy")
        self._waiters.removed(self.record.state.exit_code)

    # -- small things ------------------------------------------------------------------------------------------------

    def _send(self, number: int) -> None:
        if number == signal.SIGKILL and self.record.state.status is Status.PAUSED:
            self.cgroup().kill()
        else:
            self._watch.signal(number)

    def cgroup(self) -> Cgroup:
        return self._around.cgroup(self.record)

    def _publish(self, **changes: Any) -> None:
        self.record = self.record.with_state(**changes)
        self._write_down()

    def _write_down(self) -> None:
        """What is so is so, even where it cannot be written down: the next daemon asks the kernel and the monitor's files."""
        try:
            self._store()
        except Internal as error:
            log.error("container %s: that it is %s: %s", self.record.id[:12], self.record.state.status.value, error)

    def _keep(self, record: Container) -> None:
        """Raises Internal, and then nothing has changed."""
        old, self.record = self.record, record
        try:
            self._store()
        except Internal:
            self.record = old
            raise

    def _store(self) -> None:
        record = self.record
        self._around.db.write(
            "UPDATE container SET name = ?, record = ? WHERE id = ?", record.name, to_json(record), record.id
        )

    def announce(self, action: str, **attributes: str) -> None:
        self._around.bus.publish(happening(self.record, action, self._around.now_ns(), attributes))
