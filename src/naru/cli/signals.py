"""Signals as numbers on a descriptor, to be waited for together with sockets.

Uses `_signal`, the C module: `signal` wraps its numbers in enumerations, which takes as long as starting a container's
first process. Owns the process's signal handlers between `open` and `close`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SIGWINCH = 28
# what a terminal, a supervisor or a user sends to a program that is meant for the program in the container
FORWARDED = {1: "HUP", 2: "INT", 3: "QUIT", 10: "USR1", 12: "USR2", 14: "ALRM", 15: "TERM", 18: "CONT"}


def _ignore_here(number: int, frame: object) -> None:
    """The number arrives on the descriptor; nothing else happens."""


class Signals:
    """`numbers` are caught from now on and written to `fd`, until `close`, which restores what was before."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.fd, self._write_fd = os.pipe()
        for fd in (self.fd, self._write_fd):
            os.set_blocking(fd, False)
        self._before: dict[int, Any] = {number: _signal.signal(number, _ignore_here) for number in numbers}
        self._wakeup_before = _signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def read(self) -> bytes:
        """The numbers that came, one a byte."""
        try:
            return os.read(self.fd, 64)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        _signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            _signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._write_fd)
