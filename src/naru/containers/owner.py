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
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from naru.containers import criu, lifecycle, monitor
from naru.containers.health import Health
from naru.containers.launching import LaunchFailure, launch
from naru.containers.lifecycle import Action, Event
from naru.containers.monitor import Exit
from naru.containers.records import Container, Status, to_json
from naru.containers.restarts import Ended, asks_to_end, restart_delay_ns, short_runs
from naru.containers.surroundings import Surroundings
from naru.containers.updating import apply_limits
from naru.containers.validate import signal_number
from naru.containers.waiting import PendingAttaches, Waiters
from naru.containers.watching import Watch
from naru.errors import Conflict, Internal, NaruError
from naru.events import Event as Happening
from naru.linux.cgroup import Cgroup
from naru.linux.identity import Process

log = logging.getLogger(__name__)
_UNDER_WAY_S = 0.1
T = TypeVar("T")


class Owner:
    def __init__(self, around: Surroundings, record: Container) -> None:
        self._around = around
        self.record = record
        self.ended = asyncio.Event()  # set while no process of it lives: readers of its log stop there
        self.pending = PendingAttaches()
        self.health: Health | None = None  # of its last run, if that was checked
        self._waiters = Waiters()
        self._queue: asyncio.Queue[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = asyncio.Queue()
        self._restart: asyncio.TimerHandle | None = None
        self._watch = Watch(around.runtime.exits, record.id, on_end=lambda: self._submit(self._on_exit))
        self._burial: asyncio.Future[None] | None = None  # of the last run, under way
        self._removed = False
        self._user_stopped = False
        self._for_health = False  # its run is being ended, to be followed by another one
        self._short_runs = 0  # restarts in a row that were followed by no good run
        if not record.state.status.is_live:
            self.ended.set()

    # -- for everybody ------------------------------------------------------------------------------------------

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have the owner do this, after what was asked before. It is done even if the asker is cancelled."""
        return await asyncio.shield(self._submit(work))

    def waiter(self, condition: str) -> asyncio.Future[int]:
        """The future exit code for `not-running`, `next-exit` or `removed`; drop it with `forget`."""
        return self._waiters.add(condition, self.record.state)

    def forget(self, waiter: asyncio.Future[int]) -> None:
        self._waiters.forget(waiter)

    async def wait_under_way(self) -> None:
        """Return when it has run for a moment, or has ended. Docker takes that moment to start it, and clients have come to
        rely on finding a short command's output in the log right after."""
        started_s = (self._around.now_ns() - self.record.state.started_ns) / 1e9
        if self.record.state.status.is_live and started_s < _UNDER_WAY_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(_UNDER_WAY_S - started_s):
                    await self.ended.wait()

    async def run(self) -> None:
        """The owner's life; ends when the container has been removed."""
        while not self._removed:
            work, future = await self._queue.get()
            try:
                result = await work()
            except NaruError as error:
                _fail(future, error)
            except Exception as error:
                log.exception("container %s: %s", self.record.id[:12], error)
                _fail(future, Internal(f"container {self.record.id}: {error}"))
            else:
                if not future.done():
                    future.set_result(result)
        await self._wait_buried()
        while not self._queue.empty():
            _, future = self._queue.get_nowait()
            _fail(future, Conflict(f"container {self.record.id} is marked for removal and cannot be changed"))

    # -- commands: run inside `ask` -----------------------------------------------------------------------------

    def _step(self, event: Event) -> lifecycle.Step:
        return lifecycle.step(self.record.state.status, event, id=self.record.id, name=self.record.name)

    async def start(self, checkpoint: str = "") -> None:
        """From the beginning, or from the checkpoint in this directory."""
        step = self._step(Event.START)
        if Action.CANCEL_RESTART in step.actions:
            self._cancel_restart()
        self._user_stopped, self._short_runs = False, 0
        await self._launch(restarts=0, checkpoint=checkpoint)

    async def signal(self, number: int, *, by_user: bool = True) -> None:
        step = self._step(Event.SIGNAL)
        if Action.CANCEL_RESTART in step.actions:
            if by_user:
                self._give_up_restart()
            return
        if by_user and asks_to_end(number, signal_number(self.record.config.stop_signal or "TERM")):
            self._user_stopped = True
        self._send(number)
        self.announce("kill", signal=str(number))

    async def want_restart(self) -> None:
        """Whoever asks is going to end it for its health; it is to be started again whatever its policy says."""
        self._step(Event.SIGNAL)
        self._for_health = True

    async def pause(self) -> None:
        step = self._step(Event.PAUSE)
        await asyncio.to_thread(self.cgroup().freeze, True)
        self._publish(status=step.then)
        self.announce("pause")

    async def unpause(self) -> None:
        step = self._step(Event.UNPAUSE)
        await asyncio.to_thread(self.cgroup().freeze, False)
        self._publish(status=step.then)
        self.announce("unpause")

    def check(self, event: Event) -> None:
        """Raises the refusal if its state does not allow this."""
        self._step(event)

    async def checkpoint(self, directory: str, *, exit: bool) -> None:
        """Dump its processes into an empty directory; with `exit` they have ended when this returns, for good. Raises
        Conflict, RuntimeFailure."""
        self._step(Event.CHECKPOINT)
        await criu.dump(self._around.runtime, self.record, directory, leave_running=not exit)
        self.announce("checkpoint")
        if exit:
            self._user_stopped = True
            await self._end_now(auto_remove=True)

    async def begin_stop(self) -> bool:
        """Note that a user wants it down; True if there are processes to end."""
        step = self._step(Event.STOP)
        self._user_stopped = True
        if Action.CANCEL_RESTART in step.actions:
            self._give_up_restart()
            self.announce("stop")
            return False
        return True

    async def remove(self, *, force: bool, volumes: bool) -> None:
        step = self._step(Event.FORCE_REMOVE if force else Event.REMOVE)
        was_live = self.record.state.status.is_live
        if Action.CANCEL_RESTART in step.actions:
            self._cancel_restart()
        if was_live:
            self._user_stopped = True
            self.announce("kill", signal="9")
            await self._end_now()
        await self._delete(volumes)

    async def rename(self, name: str) -> None:
        old = self.record.name
        self.record = replace(self.record, name=name)
        self._store()
        self.announce("rename", oldName=f"/{old}")

    async def change(self, change: Callable[[Container], Container]) -> None:
        """Replace what the user asked for; the state stays the owner's."""
        self.record = change(self.record)
        self._store()

    async def update(self, change: Callable[[Container], Container]) -> None:
        """New limits, at once if it runs. Raises Internal in the runtime's words; then the old ones stand."""
        changed = change(self.record)
        if self.record.state.status.is_live:
            await apply_limits(self._around, changed)
        self.record = changed
        state = changed.state
        ended = Ended(state.exit_code, 0, state.restart_count, stopped_by_user=self._user_stopped)
        if state.status is Status.RESTARTING and restart_delay_ns(changed.host.restart_policy, ended) is None:
            self._cancel_restart()
            self.record = changed.with_state(status=Status.EXITED)
            self._waiters.ended(state.exit_code)
        self._store()
        self.announce("update")

    async def finish_removal(self) -> None:
        """Go on with a removal that a dead daemon had begun."""
        await self._delete(volumes=True)

    async def settle_missed_end(self) -> None:
        """It ended while no daemon watched. A restart that is due is left to who brings up all of them."""
        await self._settle()
        self._cancel_restart()

    async def hold_restart(self) -> None:
        """Its policy wants it to run, but it has to wait for others."""
        self._publish(status=Status.RESTARTING)

    async def restart_held(self) -> None:
        """Unless somebody did something about it meanwhile."""
        await self._restart_now(restarts=0)

    # -- launch ---------------------------------------------------------------------------------------------------

    async def _launch(self, *, restarts: int, checkpoint: str = "") -> None:
        around = self._around
        around.runtime.moves.prepare()
        self.record = record = around.with_joined_name(self.record)
        await self._wait_buried()
        try:
            process, pid = await launch(around, record, self.pending, checkpoint)
        except LaunchFailure as failure:
            self._note_failure(failure)
            raise failure.error from failure
        self.ended.clear()
        self._publish(
            status=Status.RUNNING, pid=pid, exit_code=0, error="", oom_killed=False, started_ns=around.now_ns(), finished_ns=0,
            restart_count=restarts, stopped_by_user=False, monitor_pid=process.pid, monitor_start=process.start,
        )  # fmt: skip
        around.tell_volumes(record, "mount")
        self.announce("start")
        self.watch(process)
        around.after_start(self)

    def _note_failure(self, failure: LaunchFailure) -> None:
        self.pending.release()
        self._publish(
            error=str(failure),
            exit_code=failure.code,
            status=Status.CREATED if not self.record.state.started_ns else Status.EXITED,
        )
        if self.record.host.auto_remove:
            asyncio.get_running_loop().call_soon(self._submit, lambda: self.remove(force=True, volumes=True))

    # -- the end ----------------------------------------------------------------------------------------------------

    def watch(self, process: Process) -> None:
        """Be told when this monitor ends; for one that has ended already, at once."""
        self._watch.begin(process, self.record.state.pid)

    def _submit(self, work: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._queue.put_nowait((work, future))
        return future

    async def _on_exit(self) -> None:
        if Action.SETTLE in self._step(Event.EXITED).actions:
            await self._settle()

    async def _settle(self, *, auto_remove: bool = True) -> None:
        """The monitor has ended: take down what the run had, publish, decide about a restart."""
        around, state = self._around, self.record.state
        end = around.runtime.read_exit(self.record.id)
        if end is None:  # the monitor was killed: nobody holds the streams any more, so the rest goes too
            self.cgroup().kill()
            end = Exit(137, around.now_ns(), False)
        elif self.record.host.pid_mode:  # its first process was not the end of its namespace: there may be more
            self.cgroup().kill()
        await around.networking.leave(self.record)
        ran_ns = max(0, end.finished_ns - state.started_ns)
        ended = Ended(end.code, ran_ns, state.restart_count, self._short_runs, self._user_stopped, self._for_health)
        delay_ns = restart_delay_ns(self.record.host.restart_policy, ended)
        self._short_runs, self._for_health = short_runs(ended) + 1, False
        around.before_end(self)
        self._publish(
            status=Status.EXITED if delay_ns is None else Status.RESTARTING, pid=0, exit_code=end.code,
            oom_killed=end.oom_killed, finished_ns=end.finished_ns, monitor_pid=0, monitor_start=0,
            stopped_by_user=self._user_stopped,
        )  # fmt: skip
        self.ended.set()
        around.tell_volumes(self.record, "unmount")
        if end.oom_killed:
            self.announce("oom")
        self.announce("die", exitCode=str(end.code), execDuration=str(ran_ns // 1_000_000_000))
        if delay_ns is not None:
            restarts = state.restart_count + 1
            self._restart = asyncio.get_running_loop().call_later(
                delay_ns / 1e9, self._submit, lambda: self._restart_now(restarts)
            )
        self._waiters.ended(end.code)
        self._burial = asyncio.ensure_future(self._remove_run())
        if auto_remove and self.record.host.auto_remove and delay_ns is None:
            await self._delete(volumes=True)

    async def _restart_now(self, restarts: int) -> None:
        self._restart = None
        if Action.LAUNCH in self._step(Event.RESTART_DUE).actions:
            await self._launch(restarts=restarts)

    def _give_up_restart(self) -> None:
        self._cancel_restart()
        self._user_stopped = True
        self._publish(status=Status.EXITED, stopped_by_user=True)
        self._waiters.ended(self.record.state.exit_code)

    def _cancel_restart(self) -> None:
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None

    async def _end_now(self, *, auto_remove: bool = False) -> None:
        state = self.record.state
        process = Process(state.monitor_pid, state.monitor_start)
        self.cgroup().kill()
        if not await self._watch.wait_end_within(monitor.KILL_GRACE_S):
            process.kill()
            if not await self._watch.wait_end_within(1.0):
                raise Internal(f"container {self.record.id}: its processes do not end")
        await self._settle(auto_remove=auto_remove)

    async def _wait_buried(self) -> None:
        """Nothing of an earlier run is left: its mounts stand on the same directories."""
        await self._watch.wait_gone()
        if self._burial is not None:
            await self._burial
            self._burial = None

    async def _remove_run(self) -> None:
        await self._around.runtime.bury(self.record.id, self.cgroup())

    async def _delete(self, volumes: bool) -> None:
        self._publish(status=Status.REMOVING)
        try:
            await self._around.delete_files(self.record, volumes)
        except OSError as error:
            self._publish(status=Status.DEAD, error=f"{error.strerror}: {error.filename}")
            raise Internal(f"container {self.record.id}: driver failed to remove root filesystem: {error}") from error
        self._around.forget(self)
        self._removed = True
        self.pending.release()
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
        self._store()

    def _store(self) -> None:
        self._around.db.write(
            "UPDATE container SET name = ?, record = ? WHERE id = ?",
            self.record.name,
            to_json(self.record),
            self.record.id,
        )

    def announce(self, action: str, **attributes: str) -> None:
        record = self.record
        labels = record.config.labels or {}
        self._around.bus.publish(
            Happening(
                "container",
                action,
                record.id,
                self._around.now_ns(),
                {**labels, "image": record.config.image, "name": record.name, **attributes},
            )
        )


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
