"""Lines of a log put together into the messages that log servers get. Pure.

A line of up to 16 KiB is one message, however many pieces conmon saw it in; a longer one is several, each with the line's
own id and its place in it, as Docker has it. What has begun and not ended is kept, a piece per stream, and can be stored.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from naru.logs.cri import STDERR, STDOUT, entries

MESSAGE_LIMIT_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Partial:
    """One of the messages that a long line became."""

    id: str
    ordinal: int  # from 1
    last: bool


@dataclass(frozen=True, slots=True)
class Message:
    time: str  # RFC 3339, nine digits, without an offset
    stream: int
    text: bytes  # without the newline
    partial: Partial | None = None

    @property
    def time_ns(self) -> int:
        return _second(self.time[:19]) * 1_000_000_000 + int(self.time[20:])


@lru_cache(maxsize=64)
def _second(text: str) -> int:
    """Raises ValueError."""
    when = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(when.timetuple())


@dataclass(slots=True)
class _Line:
    """A line under way: what has not been sent of it."""

    time: str = ""
    text: bytes = b""
    ordinal: int = 0  # of the last message sent
    begun: bool = False


@dataclass(slots=True)
class Assembler:
    container: str
    lines: dict[int, _Line] = field(default_factory=lambda: {STDOUT: _Line(), STDERR: _Line()})

    def messages(self, block: bytes) -> Iterator[Message]:
        """Of a block of whole lines of the file."""
        for entry in entries(block):
            line = self.lines[entry.stream]
            if not line.begun:
                try:
                    when = entry.time.decode("ascii")
                    Message(when, entry.stream, b"").time_ns  # noqa: B018 - raises
                except ValueError:
                    continue  # no time: damage
                if entry.full and len(entry.data) <= MESSAGE_LIMIT_BYTES:
                    yield Message(when, entry.stream, entry.data[:-1])
                    continue
                line.time, line.begun = when, True
            line.text += entry.data
            yield from self._send(entry.stream, line, ended=entry.full)

    def flush(self) -> Iterator[Message]:
        """The run is over: what there is of a line without newline is sent as a piece of which nothing follows."""
        for stream, line in self.lines.items():
            if line.begun:
                yield from self._send(stream, line, ended=False)
                if line.text:
                    yield self._piece(stream, line, last=False)
                self.lines[stream] = _Line()

    def _send(self, stream: int, line: _Line, *, ended: bool) -> Iterator[Message]:
        if ended:
            line.text = line.text.removesuffix(b"\n")
        while len(line.text) > MESSAGE_LIMIT_BYTES:
            yield self._piece(stream, line, last=False)
        if ended:
            yield self._piece(stream, line, last=True)
            self.lines[stream] = _Line()

    def _piece(self, stream: int, line: _Line, *, last: bool) -> Message:
        text, line.text = line.text[:MESSAGE_LIMIT_BYTES], line.text[MESSAGE_LIMIT_BYTES:]
        line.ordinal += 1
        whole = last and line.ordinal == 1
        id = sha256(f"{self.container} {stream} {line.time}".encode()).hexdigest()  # the same if it is sent again
        partial = None if whole else Partial(id, line.ordinal, last)
        return Message(line.time, stream, text, partial)

    # -- stored beside the position -----------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {
            str(stream): {**asdict(line), "text": line.text.decode("latin-1")}
            for stream, line in self.lines.items()
            if line.begun
        }

    def restore(self, value: dict[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError for what `to_json` did not make."""
        for stream, line in value.items():
            self.lines[int(stream)] = _Line(**{**line, "text": line["text"].encode("latin-1")})
