"""A process by pid and start time, which together name it for ever: a pid alone is somebody else's one day."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass

from naru.linux.process import ended_within, wait_readable


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    start: int  # field 22 of /proc/<pid>/stat

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """None for a process that does not exist or is a zombie."""
        start = _start_time(pid)
        return None if start is None else cls(pid, start)

    @property
    def is_alive(self) -> bool:
        return _start_time(self.pid) == self.start

    async def wait_end(self) -> None:
        """Return when this process, a child of ours or not, has ended."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.is_alive:
                await wait_readable(pidfd)
        finally:
            os.close(pidfd)

    async def wait_end_within(self, timeout_s: float) -> bool:
        """True if it ended in time."""
        return await ended_within(self.wait_end(), timeout_s)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal exactly this process; one that has ended is no error."""
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(self.pid)
            try:
                if self.is_alive:
                    signal.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)


def _start_time(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
