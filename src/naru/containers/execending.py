"""The end of an exec that nobody wants any more: its client has vanished, or it is a probe that takes too long.

A signal for the runtime's process is not enough, which may pass it on or not; the process in the container is signalled itself, with
its process group: what a script has started goes with the script. What has taken a session or group of its own (a daemon, the
jobs of an interactive shell) is left to itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from naru.linux.process import ended_within

GRACE_S = 10.0
_KILL_S = 5.0


# What one hears whose terminal is gone, and one that is to end. (Interactive shells do not heed SIGTERM.) What is stopped goes on,
# so that it hears it.
HANG_UP, TERMINATE = (signal.SIGHUP, signal.SIGCONT), (signal.SIGTERM, signal.SIGCONT)


async def end(pid: int, runtime_pid: int, ended: asyncio.Event, numbers: Sequence[int] = ()) -> None:
    """End the process `pid` that the runtime's process `runtime_pid` has executed; `ended` is set at its end.

    With signals it is asked first, and has GRACE_S until SIGKILL.
    """
    if numbers:
        _signal(pid, runtime_pid, numbers)
        if await ended_within(ended.wait(), GRACE_S):
            return
    _signal(pid, runtime_pid, (signal.SIGKILL,))
    if not await ended_within(
        ended.wait(), _KILL_S
    ):  # a grandchild has the runtime's pipes, or it never came to execute anything
        with suppress(ProcessLookupError):
            os.kill(runtime_pid, signal.SIGKILL)


def _signal(pid: int, runtime_pid: int, numbers: Sequence[int]) -> None:
    """To the process and its group, if it is still the runtime's child: a pid may have gone to somebody else."""
    if _parent(pid) != runtime_pid:
        pid = runtime_pid  # the process has not begun, or has ended
    with suppress(ProcessLookupError):
        group = os.getpgid(pid)
        for number in numbers:
            if group == pid:
                os.killpg(pid, number)
            else:
                _signal_members(group, runtime_pid, number)


def _signal_members(group: int, spared: int, number: int) -> None:
    """To everybody in a process group but one: crun 1.8 leaves what it executes in the group that it is in itself."""
    for name in os.listdir("/proc"):
        with suppress(ProcessLookupError):
            if name.isdigit() and os.getpgid(int(name)) == group and int(name) != spared:
                os.kill(int(name), number)


def _parent(pid: int) -> int:
    """0 for a process that does not exist."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
