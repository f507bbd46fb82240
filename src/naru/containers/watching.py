"""Pidfds of one run: of its monitor, whose end is told, and of its first process, to which signals go."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from naru.containers.monitor import Process


class Watch:
    """Owns the two descriptors while a run lasts; between runs it has none."""

    def __init__(self, on_end: Callable[[], object]) -> None:
        self._on_end = on_end
        self._monitor = -1
        self._init = -1

    def begin(self, monitor: Process, init_pid: int) -> None:
        """`on_end` is called once when the monitor ends; for one that has ended already, at once."""
        with suppress(ProcessLookupError):
            self._init = os.pidfd_open(init_pid)
        try:
            self._monitor = os.pidfd_open(monitor.pid)
        except ProcessLookupError:
            self._on_end()
            return
        if not monitor.is_alive:
            self._ended()
            return
        asyncio.get_running_loop().add_reader(self._monitor, self._ended)

    def _ended(self) -> None:
        self.end()
        self._on_end()

    def end(self) -> None:
        """Nothing more will be told."""
        if self._monitor >= 0:
            asyncio.get_running_loop().remove_reader(self._monitor)
            os.close(self._monitor)
            self._monitor = -1
        if self._init >= 0:
            os.close(self._init)
            self._init = -1

    def signal(self, number: int) -> None:
        """To the first process; nothing happens if it has ended."""
        if self._init >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, number)
