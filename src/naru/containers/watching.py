"""How the beginning of an exec and the end of a run are noticed: by the files that the runtime and monitors leave.

The exit code of a run is there some milliseconds before its monitor has ended (the kernel takes its mounts down
meanwhile), and is all that anybody waits for. A monitor that was killed leaves none; then its end is what tells.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from naru.linux.identity import Process
from naru.linux.inotify import Arrivals
from naru.linux.process import ended_within, reap


class Files:
    """The files of one directory, each of which somebody may expect, by name."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._arrivals = Arrivals(folder)
        self._expected: dict[str, Callable[[], None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def expect(self, name: str, tell: Callable[[], None]) -> None:
        """Call `tell` once when the file is there, whole; if it is there already, soon."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._arrivals.fd, self._arrived)
        self._expected[name] = tell
        if os.path.exists(f"{self.folder}/{name}"):
            self._loop.call_soon(self._tell, name)

    def forget(self, name: str) -> None:
        self._expected.pop(name, None)

    def _arrived(self) -> None:
        for name in self._arrivals.names():
            if os.path.exists(f"{self.folder}/{name}"):  # else it was of an earlier run, and has been cleared since
                self._tell(name)

    def _tell(self, name: str) -> None:
        if (tell := self._expected.pop(name, None)) is not None:
            tell()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._arrivals.fd)
        self._arrivals.close()


class Watch:
    """One run at a time of one container. Owns pidfds of its monitor, which it reaps, and of its first process."""

    def __init__(
        self, exits: Files, id: str, on_end: Callable[[], object], on_first_end: Callable[[], object] | None = None
    ) -> None:
        """`on_first_end` is called when the first process has ended, which its monitor need not have noticed yet."""
        self._exits = exits
        self._id = id
        self._on_end = on_end
        self._on_first_end = on_first_end
        self._monitor: Process | None = None
        self._monitor_fd = -1
        self._init_fd = -1
        self._ended = asyncio.Event()
        self._gone = asyncio.Event()
        self._gone.set()

    def begin(self, monitor: Process, init_pid: int) -> None:
        """`on_end` is called once when the run has ended; for one that has ended already, at once or soon."""
        self._ended.clear()
        self._gone.clear()
        self._monitor = monitor
        with suppress(ProcessLookupError):
            self._init_fd = os.pidfd_open(init_pid)
            asyncio.get_running_loop().add_reader(self._init_fd, self._first_ended)
        try:
            self._monitor_fd = os.pidfd_open(monitor.pid)
        except ProcessLookupError:
            self._monitor_ended()
            return
        if not monitor.is_alive:
            self._monitor_ended()
            return
        asyncio.get_running_loop().add_reader(self._monitor_fd, self._monitor_ended)
        self._exits.expect(self._id, self._end)

    def _first_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._init_fd)
        if self._on_first_end is not None:
            self._on_first_end()

    def _end(self) -> None:
        self._exits.forget(self._id)
        if not self._ended.is_set():
            self._ended.set()
            self._on_end()

    def _monitor_ended(self) -> None:
        if self._monitor_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._monitor_fd)
            os.close(self._monitor_fd)
            self._monitor_fd = -1
        if self._monitor is not None:
            reap(self._monitor.pid)  # a monitor of an earlier daemon is no child of ours
        if self._init_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._init_fd)
            os.close(self._init_fd)
            self._init_fd = -1
        self._gone.set()
        self._end()

    async def wait_end_within(self, timeout_s: float) -> bool:
        """True if the run has ended in time."""
        return await ended_within(self._ended.wait(), timeout_s)

    async def wait_gone(self) -> None:
        """Return when no monitor lives: then nothing of the run's mounts is left."""
        await self._gone.wait()

    def signal(self, number: int) -> None:
        """To the first process; nothing happens if it has ended."""
        if self._init_fd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_fd, number)
