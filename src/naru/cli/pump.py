"""The bytes between our stdin, stdout, stderr and a container's stream, until the stream ends.

One loop over poll: neither side can block the other, signals arrive as bytes on a descriptor. It does not know what is at
the other end (attach or exec): resizing and forwarding signals are the caller's, called from here.
"""

from __future__ import annotations

import os
import select

from naru.cli.outfile import write_all
from naru.cli.signals import FORWARDED, SIGWINCH, Signals
from naru.client.stdcopy import STDERR, Demultiplexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from naru.cli.terminal import DetachKeys
    from naru.client.http import Stream

_READ_BYTES = 32768
_READY = select.POLLIN | select.POLLHUP | select.POLLERR
_STDIN, _STDOUT, _STDERR = 0, 1, 2


class Detached(Exception):
    """The detach keys were typed."""


class Pump:
    """`framed`: the stream carries stdout and stderr (no terminal). `stdin`: send ours."""

    def __init__(
        self,
        stream: Stream,
        *,
        framed: bool,
        stdin: bool,
        detach_keys: DetachKeys | None = None,
        on_resize: Callable[[], None] | None = None,
        on_signal: Callable[[str], None] | None = None,
    ) -> None:
        self._stream = stream
        self._frames = Demultiplexer() if framed else None
        self._keys = detach_keys
        self._on_resize, self._on_signal = on_resize, on_signal
        self._pending = b""  # typed, and not yet taken by the daemon
        self._stdin_open = stdin
        self._poller = select.poll()

    def run(self, signals: Signals | None = None) -> None:
        """Returns when the stream has ended and all of it is printed. Raises Detached, Internal (the daemon's own error)."""
        if self._stdin_open:
            self._poller.register(_STDIN, select.POLLIN)
        if signals is not None:
            self._poller.register(signals.fd, select.POLLIN)
        self._poller.register(self._stream.fileno(), select.POLLIN)
        while self._receive():  # what came with the answer's head is not seen by poll
            for fd, events in self._poller.poll():
                if signals is not None and fd == signals.fd:
                    self._take_signals(signals)
                elif fd == _STDIN and self._stdin_open and events & _READY:
                    self._read_stdin()
                elif fd == self._stream.fileno() and events & select.POLLOUT:
                    self._send()

    def _receive(self) -> bool:
        """Print what is there; False at the end of the stream."""
        while (data := self._stream.receive()) is not None:
            if not data:
                return False
            if self._frames is None:
                write_all(_STDOUT, data)
                continue
            for kind, payload in self._frames.feed(data):
                write_all(_STDERR if kind == STDERR else _STDOUT, payload)
        return True

    def _read_stdin(self) -> None:
        data = os.read(_STDIN, _READ_BYTES)
        detach = False
        if self._keys is not None and data:
            typed, detach = self._keys.feed(data)
            self._pending += typed
        else:
            self._pending += data
        if not data:
            self._stdin_open = False
            self._poller.unregister(_STDIN)
        self._send()
        if detach:
            raise Detached

    def _send(self) -> None:
        """Hand over what is pending; while some is left, read no more of stdin but wait until the stream takes it."""
        try:
            while self._pending and (sent := self._stream.send(self._pending)):
                self._pending = self._pending[sent:]
        except (BrokenPipeError, ConnectionResetError):
            self._pending = b""  # nobody reads any more, but there may still be output
            if self._stdin_open:
                self._poller.unregister(_STDIN)
                self._stdin_open = False
        blocked = bool(self._pending)
        self._poller.modify(self._stream.fileno(), select.POLLIN | (select.POLLOUT if blocked else 0))
        if self._stdin_open:
            self._poller.modify(_STDIN, 0 if blocked else select.POLLIN)
        elif not blocked:
            self._stream.close_write()

    def _take_signals(self, signals: Signals) -> None:
        for number in signals.read():
            if number == SIGWINCH and self._on_resize is not None:
                self._on_resize()
            elif number in FORWARDED and self._on_signal is not None:
                self._on_signal(FORWARDED[number])
