"""A container's log as conmon writes it, one line each: `<RFC 3339 time> stdout|stderr F|P <text>`. Pure.

F is a full line (its newline was cut), P a piece of one that goes on. Text comes back exactly as it was printed, whatever
bytes it holds; a line that is not of this form (a write cut short by a full disk or a power cut) is left out.
Format: the Kubernetes CRI log format, with conmon's nine digits and its offset, always +00:00 here.

`Reader.pieces` turns a block of whole lines into pieces. A block in which all lines are of one stream, which is most of
them, is stripped by two searches at C speed and checked by its length; any other goes line by line. Both give the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

STDOUT, STDERR = 1, 2
_TIME = len("2026-11-25T16:45:21.177688212+00:00")
_SORTED = _TIME - len("+00:00")  # so much of it compares as text
_STREAM = _TIME + 4  # the `o` of stdout or the `e` of stderr
_TAG = _TIME + 8
_TEXT = _TIME + 10
_FULL = {STDOUT: re.compile(rb".{35} stdout F (.*\n)"), STDERR: re.compile(rb".{35} stderr F (.*\n)")}
_TIMED = {STDOUT: re.compile(rb"(.{29}).{6} stdout F (.*\n)"), STDERR: re.compile(rb"(.{29}).{6} stderr F (.*\n)")}
_PARTIAL = {STDOUT: b" stdout P ", STDERR: b" stderr P "}
_FULL_MARK = {STDOUT: b" stdout F ", STDERR: b" stderr F "}
_HEADS = {b" stdout F ": (STDOUT, True), b" stdout P ": (STDOUT, False), b" stderr F ": (STDERR, True), b" stderr P ": (STDERR, False)}  # fmt: skip
_ENDS = {
    (True, True): re.compile(rb"(?m)^.{35} std(?:out|err) F "),
    (True, False): re.compile(rb"(?m)^.{35} stdout F "),
    (False, True): re.compile(rb"(?m)^.{35} stderr F "),
}
_WHOLE_BYTES = 16384  # what is shorter is one piece, as from Docker; conmon writes it down in pieces of half that size
Piece = tuple[int, list[bytes]]  # stream, lines or parts of lines


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a log is wanted, and how. Times are RFC 3339 in UTC, nine digits, Z ("" for no bound)."""

    since: str = ""
    until: str = ""
    tail: int | None = None
    stdout: bool = True
    stderr: bool = True
    times: bool = False  # each line begins with its time and a space
    details: bytes = b""  # each line begins with this (after the time)

    @property
    def decorated(self) -> bool:
        return self.times or bool(self.details)

    def wants(self, stream: int) -> bool:
        return self.stdout if stream == STDOUT else self.stderr


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file."""

    time: bytes  # RFC 3339 without its offset, which is UTC's
    stream: int
    data: bytes  # with the newline if it is full
    full: bool


def entries(block: bytes) -> Iterator[Entry]:
    """Every line of the block that is whole and well-formed, in order."""
    for line in block.split(b"\n")[:-1]:
        head = _HEADS.get(line[_TIME:_TEXT])
        if head is not None:
            stream, full = head
            yield Entry(line[:_SORTED], stream, line[_TEXT:] + b"\n" if full else line[_TEXT:], full)


class Reader:
    """Blocks of whole lines, in order → pieces of what was printed, neighbours of one stream together."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._since, self._until = window.since[:_SORTED].encode(), window.until[:_SORTED].encode()
        self._open = {STDOUT: False, STDERR: False}  # whether the last line of the stream so far goes on
        self.past_until = False

    def pieces(self, block: bytes) -> list[Piece]:
        """`past_until` is set once a line is later than the window; nothing after it counts."""
        window = self._window
        if self._since and not window.decorated and b"" < _last_time(block) < self._since:
            return []
        if not self._inside(block):
            return self._line_by_line(block)
        first = STDERR if block[_STREAM : _STREAM + 1] == b"e" else STDOUT
        texts = strip(block, first, window, self._open[first])
        if texts is None:
            return self._line_by_line(block)
        self._open[first] = _is_partial(block)
        return [(first, texts)] if texts and window.wants(first) else []

    def _inside(self, block: bytes) -> bool:
        """The first and last line are in the window, and so are, times being what they are, all in between."""
        if not (self._since or self._until):
            return True
        return block[:_SORTED] >= self._since and (not self._until or _last_time(block) <= self._until)

    def _line_by_line(self, block: bytes) -> list[Piece]:
        window, since, until, opened = self._window, self._since, self._until, self._open
        out: list[Piece] = []
        texts: list[bytes] = []
        current = 0
        for entry in entries(block):
            begins, opened[entry.stream] = not opened[entry.stream], not entry.full
            if until and entry.time > until:
                self.past_until = True
                break
            if (since and entry.time < since) or not window.wants(entry.stream):
                continue
            if entry.stream != current:
                texts, current = [], entry.stream
                out.append((current, texts))
            decorated = begins and window.decorated
            if text := _decoration(entry.time, window) + entry.data if decorated else entry.data:
                _append(texts, text)
        return [piece for piece in out if piece[1]]


def strip(block: bytes, stream: int, window: Window, continues: bool = False) -> list[bytes] | None:
    """What each of the block's lines says, if every one of them is whole, well-formed and of this stream; else None. `continues`:
    the first one goes on with a line that has begun."""
    mark, out, begin, search = _PARTIAL[stream], list[bytes](), 0, 0
    while True:
        at = block.find(mark, search)
        start = at - _TIME
        if at >= 0 and (start < begin or (start > 0 and block[start - 1] != 0x0A) or block.find(b"\n", start, at) >= 0):
            search = at + 1  # somebody printed this
            continue
        segment = block[begin:start] if at >= 0 else block[begin:]
        full = _strip_full(segment, stream, window, continues)
        if full is None:
            return None
        if full and out:
            _append(out, full[0])
            del full[0]
        out += full
        if at < 0:
            return out
        end = block.find(b"\n", at)
        text = block[at + len(mark) : end]
        goes_on = continues and not segment
        decorated = window.decorated and not goes_on
        if text := _decoration(block[start : start + _SORTED], window) + text if decorated else text:
            _append(out, text)
        begin = search = end + 1
        continues = True


def _strip_full(block: bytes, stream: int, window: Window, continues: bool) -> list[bytes] | None:
    """All of it in matches means: they are whole lines, one after the other."""
    if not window.decorated:
        texts = _FULL[stream].findall(block)
        return texts if sum(map(len, texts)) + len(texts) * _TEXT == len(block) else None
    found = _TIMED[stream].findall(block)
    if sum([len(text) for _, text in found]) + len(found) * _TEXT != len(block):
        return None
    if window.times:
        lines = [time + b"Z " + window.details + text for time, text in found]
    else:
        lines = [window.details + text for _, text in found]
    if continues and lines:
        lines[0] = found[0][1]
    return lines


def _append(texts: list[bytes], text: bytes) -> None:
    """As a piece of its own, or at the end of the last one, as far as there is room, if it goes on with that."""
    if texts and not texts[-1].endswith(b"\n"):
        room = _WHOLE_BYTES - len(texts[-1])
        if len(text) > room + 1:
            texts[-1] += text[:room]
            text = text[room:]
        else:
            texts[-1] += text
            return
    texts.append(text)


def _decoration(time: bytes, window: Window) -> bytes:
    return (time + b"Z " if window.times else b"") + window.details


def _is_partial(block: bytes) -> bool:
    last = block.rfind(b"\n", 0, -1) + 1
    return block[last + _TAG : last + _TAG + 1] == b"P"


def _last_time(block: bytes) -> bytes:
    """b"" if its last line is damaged."""
    last = block.rfind(b"\n", 0, -1) + 1
    return block[last : last + _SORTED] if block[last + _TIME : last + _TEXT] in _HEADS else b""


def count_ends(block: bytes, window: Window) -> int:
    """Full lines of the wanted streams in a block of whole lines."""
    return len(_ENDS[window.stdout, window.stderr].findall(block))


def skip_ends(block: bytes, window: Window, count: int) -> int:
    """Where the line after the first `count` full ones begins, of which there are so many."""
    if count <= 0:
        return 0
    matches = _ENDS[window.stdout, window.stderr].finditer(block)
    for _ in range(count):
        position = next(matches).end()
    return block.find(b"\n", position) + 1


def counts_alike(block: bytes, window: Window, later: set[int]) -> bool:
    """Its lines of the wanted streams are its full ones, whatever comes later: then `later` is brought up to date too."""
    missing = [stream for stream in (STDOUT, STDERR) if window.wants(stream) and stream not in later]
    if any(_PARTIAL[stream] in block for stream in missing):
        return False
    later.update(stream for stream in missing if _FULL_MARK[stream] in block and _FULL[stream].search(block))
    return True


def last_lines(block: bytes, window: Window, count: int, later: set[int]) -> tuple[int, int]:
    """(where the last `count` lines begin, how many of them an older block has still to give).

    `later` holds the streams of which a later line of the file has been seen: the last one of a stream counts as a line
    even if it goes on. With nothing left to give the position is that of the line after the last full one.
    """
    position = len(block)
    while position > 0:
        begin = block.rfind(b"\n", 0, position - 1) + 1
        head = _HEADS.get(block[begin + _TIME : min(begin + _TEXT, position)])
        if head is not None and window.wants(head[0]):
            stream, full = head
            if full or stream not in later:
                if count == 0:
                    return position, -1
                count -= 1
            later.add(stream)
        position = begin
    return 0, count
