"""A container or an exec in the foreground: terminal, signals and detach keys around `pump.py`."""

from __future__ import annotations

import os

from naru.cli.pump import Detached, Pump
from naru.cli.signals import FORWARDED, SIGWINCH, Signals
from naru.errors import Conflict, InvalidArgument, NaruError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from naru.cli.session import Session
    from naru.client.http import Stream


def check_terminal(*, tty: bool, stdin: bool) -> None:
    """Raises InvalidArgument when a terminal is wanted for the container's input and there is none here."""
    if tty and stdin and not os.isatty(0):
        raise InvalidArgument("the input device is not a TTY")


def detach_keys(session: Session, text: str) -> bytes:
    """The keys of --detach-keys, or of config.json, or Docker's. Raises InvalidArgument."""
    from naru.cli.terminal import DETACH_KEYS, read_keys

    chosen = text or str(session.config().get("detachKeys") or "") or DETACH_KEYS
    try:
        return read_keys(chosen)
    except ValueError as error:
        raise InvalidArgument(str(error)) from error


def detached() -> Conflict:
    """What attach and exec end with after the detach keys (run and start end quietly)."""
    return Conflict("read escape sequence")


class Foreground:
    """What stays the same while one stream is pumped: `resize(rows, columns)` and `kill(signal)` reach its other end."""

    def __init__(
        self,
        session: Session,
        stream: Stream,
        *,
        tty: bool,
        stdin: bool,
        keys: bytes = b"",
        resize: Callable[[int, int], None] | None = None,
        kill: Callable[[str], None] | None = None,
    ) -> None:
        self._session, self._stream = session, stream
        self._tty, self._stdin, self._keys = tty, stdin, keys
        self._resize, self._kill = resize, kill

    def run(self, started: Callable[[], None] | None = None) -> bool:
        """Call `started` once everything is ready, pump to the end; False if the user detached. Restores the terminal."""
        self._session.flush()
        numbers = [SIGWINCH] if self._tty and self._resize else []
        if self._kill is not None:
            numbers += FORWARDED
        signals = Signals(numbers) if numbers else None
        try:
            if self._tty and self._stdin and os.isatty(0):
                from naru.cli.terminal import RawMode

                with RawMode(0):
                    return self._pump(signals, started)
            return self._pump(signals, started)
        finally:
            if signals is not None:
                signals.close()
            self._stream.close()

    def _pump(self, signals: Signals | None, started: Callable[[], None] | None) -> bool:
        keys = None
        if self._tty and self._stdin and self._keys:
            from naru.cli.terminal import DetachKeys

            keys = DetachKeys(self._keys)
        pump = Pump(
            self._stream, framed=not self._tty, stdin=self._stdin,
            detach_keys=keys, on_resize=self._send_size, on_signal=self._send_signal,
        )  # fmt: skip
        if started is not None:
            started()
        if self._tty:
            self._send_size()
        try:
            pump.run(signals)
        except Detached:
            return False
        return True

    def _send_size(self) -> None:
        from naru.cli.terminal import size

        rows, columns = size(1)
        if self._resize is not None and rows and columns:
            try:
                self._resize(rows, columns)
            except (NotFound, Conflict):  # it has ended already: the stream will say so
                return

    def _send_signal(self, name: str) -> None:
        if self._kill is None:
            return
        try:
            self._kill(name)
        except (NotFound, Conflict):
            return
        except NaruError as error:
            self._session.warn(f"Error forwarding signal: {error}")
