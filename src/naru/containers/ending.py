"""The end of one run: what its monitor left is read, and what is left of it is killed; and what follows, by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from naru.containers.monitor import Exit
from naru.containers.records import Container
from naru.containers.restarts import Ended, restart_delay_ns, short_runs
from naru.containers.surroundings import Surroundings


def how_it_ended(around: Surroundings, record: Container) -> Exit:
    """Of a run that has ended: nothing of it runs on."""
    end = around.runtime.read_exit(record.id)
    if end is None:  # the monitor was killed: nobody holds the streams any more, so the rest goes too
        around.cgroup(record).kill()
        end = Exit(137, around.now_ns(), False)
    elif record.host.pid_mode:  # its first process was not the end of its namespace: there may be more
        around.cgroup(record).kill()
    return end


class Alarm:
    """Something that is to be done later, once, unless it is cancelled."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._ring: Callable[[], object] = lambda: None

    def arm(self, delay_s: float, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.hasten)

    def hasten(self) -> None:
        """Do it now, if it is still to be done."""
        if self._timer is not None:
            self.cancel()
            self._ring()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Restarting:
    """The next start of a container by its policy: what decides about it beside the record, and its timer."""

    def __init__(self) -> None:
        self.stopped_by_user = False  # a user wants it down
        self.for_health = False  # its run is being ended, to be followed by another one
        self._short_runs = 0  # restarts in a row that were followed by no good run
        self._alarm = Alarm()

    def begin_anew(self) -> None:
        """A user has started it."""
        self.cancel()
        self.stopped_by_user, self._short_runs = False, 0

    def decide(self, record: Container, end: Exit) -> int | None:
        """Nanoseconds until the next start, after this end of its run; None for no restart."""
        ran_ns = end.ran_ns(record.state.started_ns)
        ended = Ended(
            end.code, ran_ns, record.state.restart_count, self._short_runs, self.stopped_by_user, self.for_health
        )
        self._short_runs, self.for_health = short_runs(ended) + 1, False
        return restart_delay_ns(record.host.restart_policy, ended)

    def is_still_due(self, record: Container) -> bool:
        """Of one that waits for a restart, under a policy that may be new."""
        ended = Ended(record.state.exit_code, 0, record.state.restart_count, stopped_by_user=self.stopped_by_user)
        return restart_delay_ns(record.host.restart_policy, ended) is not None

    def arm(self, delay_ns: int, restart: Callable[[], object]) -> None:
        self._alarm.arm(delay_ns / 1e9, restart)

    def cancel(self) -> None:
        self._alarm.cancel()
