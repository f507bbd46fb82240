"""A container's log as conmon writes it, one line each: `<RFC 3339 time> stdout|stderr F|P <text>`.

F is a full line (its newline was cut), P a piece of one that goes on. Lines come back exactly as they were written,
whatever bytes they hold. Reading is in blocks of bounded size; a reader that follows is woken by inotify and ends after
the container has, when all is read. Format: the Kubernetes CRI log format, with conmon's times in UTC.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from naru.linux.inotify import Watch

_BLOCK = 1 << 20
_TIME = len("2026-11-25T16:45:21.177688212+00:00")
_STREAM = _TIME + 4  # the `o` of stdout or the `e` of stderr
_TAG = _TIME + 8
_TEXT = _TIME + 10


@dataclass(frozen=True, slots=True)
class Entry:
    time: str  # RFC 3339, nine digits, Z
    stream: int  # 1 stdout, 2 stderr
    data: bytes
    begins: bool  # False for the rest of a line that began in an earlier entry


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a log is wanted; times in the log's own form ("" for no bound)."""

    since: str = ""
    until: str = ""
    tail: int | None = None
    stdout: bool = True
    stderr: bool = True


class _Parser:
    """Lines of the file → entries; remembers per stream whether a line is under way."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._open = {1: False, 2: False}
        self.past_until = False

    def entries(self, lines: list[bytes]) -> Iterator[Entry]:
        window = self._window
        for line in lines:
            if len(line) < _TEXT or line[_TIME : _TIME + 4] != b" std":
                continue  # damaged: a write cut short by a full disk or a power cut
            stream = 1 if line[_STREAM : _STREAM + 1] == b"o" else 2
            full = line[_TAG : _TAG + 1] == b"F"
            begins = not self._open[stream]
            self._open[stream] = not full
            time = line[: _TIME - 6].decode("ascii", "replace") + "Z"
            if window.until and time > window.until:
                self.past_until = True
                return
            if (window.since and time < window.since) or not (window.stdout if stream == 1 else window.stderr):
                continue
            yield Entry(time, stream, line[_TEXT:] + (b"\n" if full else b""), begins)


def _tail_offset(fd: int, lines: int, wanted: Callable[[bytes], bool]) -> int:
    """Where the last `lines` whole lines of the wanted streams begin."""
    end = os.fstat(fd).st_size
    if lines <= 0:
        return end
    rest = b""
    seen: set[bytes] = set()  # streams of which a later entry has been seen
    while end > 0:
        start = max(0, end - _BLOCK)
        block = os.pread(fd, end - start, start) + rest
        cut = block.find(b"\n") + 1 if start > 0 else 0
        position = len(block)
        while position > cut:
            begin = block.rfind(b"\n", cut, position - 1) + 1 or cut
            line = block[begin:position]
            # A full line ends there, and so does the last one of a stream without its newline: what comes before it is
            # older, and enough once the count is reached.
            stream = line[_STREAM : _STREAM + 1]
            if line.endswith(b"\n"):  # else it is still being written
                if (line[_TAG : _TAG + 1] == b"F" or stream not in seen) and wanted(line):
                    if lines == 0:
                        return start + position
                    lines -= 1
                seen.add(stream)
            position = begin
        rest, end = block[:cut], start
    return 0


async def read(path: str, window: Window, *, ended: asyncio.Event | None = None) -> AsyncIterator[list[Entry]]:
    """Batches of entries in the order they were written; with `ended`, also what is still to come until it is set."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if window.tail is not None:
            names = {name for name, on in ((b"o", window.stdout), (b"e", window.stderr)) if on}
            os.lseek(fd, _tail_offset(fd, window.tail, lambda line: line[_STREAM : _STREAM + 1] in names), os.SEEK_SET)
        parser = _Parser(window)
        if ended is None:
            async for batch in _drain(fd, parser):
                yield batch
            return
        with Watch(path) as watch:
            while True:
                last = ended.is_set()
                async for batch in _drain(fd, parser):
                    yield batch
                if last or parser.past_until:
                    return
                await _wait_either(watch, ended)
    finally:
        os.close(fd)


async def _drain(fd: int, parser: _Parser) -> AsyncIterator[list[Entry]]:
    """All whole lines from the descriptor's position on; it is left at the first line that is not whole yet."""
    rest = b""
    while not parser.past_until:
        block = os.read(fd, _BLOCK)
        if not block:
            break
        *lines, rest = (rest + block).split(b"\n")
        if batch := list(parser.entries(lines)):
            yield batch
        await asyncio.sleep(0)  # others get their turn between two blocks
    if rest:
        os.lseek(fd, -len(rest), os.SEEK_CUR)


async def _wait_either(watch: Watch, ended: asyncio.Event) -> None:
    change = asyncio.ensure_future(watch.wait_change())
    end = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((change, end), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (change, end):
            task.cancel()
        await asyncio.gather(change, end, return_exceptions=True)
