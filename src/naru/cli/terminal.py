"""The terminal on the other side of stdin and stdout: its size, raw mode, and the keys that detach from a container."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DETACH_KEYS = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31} | {chr(97 + n): n + 1 for n in range(26)}


def size(fd: int) -> tuple[int, int]:
    """(rows, columns), (0, 0) if fd is not a terminal."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return rows, columns


class RawMode:
    """Inside `with`, the terminal passes every key on, unechoed; afterwards it is as it was, whatever happened."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None

    def __enter__(self) -> RawMode:
        import termios as t

        self._before = t.tcgetattr(self._fd)
        mode = t.tcgetattr(self._fd)
        mode[0] &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
        mode[1] &= ~t.OPOST  # the container's terminal has made \r\n of \n already
        mode[2] = (mode[2] & ~(t.CSIZE | t.PARENB)) | t.CS8
        mode[3] &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
        mode[6][t.VMIN], mode[6][t.VTIME] = 1, 0
        t.tcsetattr(self._fd, t.TCSANOW, mode)
        return self

    def __exit__(self, *exc: object) -> None:
        import termios as t

        if self._before is not None:
            t.tcsetattr(self._fd, t.TCSADRAIN, self._before)


def read_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,ctrl-x` as the bytes that a terminal sends. Raises ValueError."""
    keys = bytearray()
    for key in text.split(","):
        name = key.strip()
        if len(name) == 1 and name.isascii():
            keys.append(ord(name))
        elif name.startswith("ctrl-") and name[5:].lower() in _CONTROL:
            keys.append(_CONTROL[name[5:].lower()])
        else:
            raise ValueError(f"invalid detach keys ({text}): Unknown character: '{name}'")
    return bytes(keys)


class DetachKeys:
    """Watches what is typed for a sequence of keys. Pure."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0  # how many of the keys have just been typed, and are held back

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what to send on, whether the sequence is complete). Keys that turn out to be no sequence are sent after all."""
        out = bytearray()
        for byte in data:
            if byte != self._keys[self._seen]:
                out += self._keys[: self._seen]
                self._seen = 0
                if byte != self._keys[0]:
                    out.append(byte)
                    continue
            self._seen += 1
            if self._seen == len(self._keys):
                return bytes(out), True
        return bytes(out), False
