"""Reading a log over all its parts: from a tail or a time on, and for a live one along with its growth.

Reading is in blocks of bounded size. What comes out are batches of (stream, lines), ready to be sent; one that follows is
woken by the log's `Live` and ends when that has ended and all is read. Rotation meanwhile costs and repeats nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from naru.logs.cri import Piece, Reader, Window, count_ends, counts_alike, last_lines, skip_ends
from naru.logs.files import BLOCK_BYTES, LogFiles, Opened, Part, Plain
from naru.logs.live import Live

_LINE_LIMIT_BYTES = 1 << 20  # conmon's longest are some 32 KiB: what has no end by then is damage
_FIRST_LOOK_BYTES = 1 << 16  # a tail is mostly a short one


class Blocks:
    """What was opened, as blocks of whole lines. `position` is the offset of the line that comes next."""

    def __init__(self, opened: Opened, limit: int | None = None) -> None:
        self._opened = opened
        self._left = limit
        self._rest = b""
        self._damaged = False  # in the middle of a line without end
        self.position = 0

    def skip(self, position: int) -> None:
        """Go on from an offset at which a line begins."""
        self.position = position
        if self._left is not None:
            self._left -= position
        if isinstance(self._opened, Plain):
            self._opened.seek(position)
            return
        while position > 0 and (data := self._opened.read()):
            self._rest = data[position:]
            position -= len(data)

    def next(self) -> bytes:
        """b"" when there is no whole line (yet)."""
        data, self._rest = self._rest, b""
        while True:
            cut = data.rfind(b"\n") + 1
            if cut:
                self._rest = data[cut:]
                self.position += cut
                return self._mended(data[:cut])
            if len(data) > _LINE_LIMIT_BYTES:
                self.position += len(data)
                data, self._damaged = b"", True
            more = self._read()
            if not more:
                self._rest = data
                return b""
            data = data + more if data else more

    def _mended(self, block: bytes) -> bytes:
        if self._damaged:
            self._damaged = False
            return block[block.index(b"\n") + 1 :] or b"\n"
        return block

    def _read(self) -> bytes:
        data = self._opened.read()
        if self._left is not None:
            data = data[: max(0, self._left)]
            self._left -= len(data)
        return data


async def read(files: LogFiles, window: Window, live: Live | None = None) -> AsyncIterator[list[Piece]]:
    """Batches in the order they were written; with `live`, also what is still to come until it ends."""
    reader = Reader(window)
    number, position = await asyncio.to_thread(start, files, window)
    last, size = _end(files)
    while (part := following(files, number)) is not None and (live is not None or part.number <= last):
        number = part.number + 1
        opened = None if _is_older(part, window.since) else files.open(part)
        if opened is None:
            continue
        blocks = Blocks(opened, size if live is None and part.number == last else None)
        try:
            await asyncio.to_thread(blocks.skip, position) if part.packed else blocks.skip(position)
            while True:
                seen = live.changes if live is not None else 0
                complete = live is None or live.ended or live.number > part.number
                while block := await asyncio.to_thread(blocks.next) if part.packed else blocks.next():
                    if pieces := reader.pieces(block):
                        yield pieces
                    if reader.past_until:
                        return
                    await asyncio.sleep(0)  # others get their turn between two blocks
                if complete or live is None:
                    break
                await live.wait_change(seen)
        finally:
            opened.close()
        position = 0


def following(files: LogFiles, number: int) -> Part | None:
    """The first part from this number on."""
    return next((part for part in files.parts() if part.number >= number), None)


def _end(files: LogFiles) -> tuple[int, int]:
    """(number of the newest part, its size now)."""
    parts = files.parts()
    if not parts:
        return 0, 0
    try:
        return parts[-1].number, os.stat(parts[-1].path).st_size
    except FileNotFoundError:
        return parts[-1].number, 0


def _is_older(part: Part, since: str) -> bool:
    """Its last line, which is no younger than the file, is from before the window."""
    if not since:
        return False
    try:
        changed = os.stat(part.path).st_mtime
    except FileNotFoundError:
        return False
    return datetime.fromtimestamp(changed + 1, UTC).strftime("%Y-%m-%dT%H:%M:%S") < since


# -- tails --------------------------------------------------------------------------------------------------------------


def start(files: LogFiles, window: Window) -> tuple[int, int]:
    """(number of a part, offset in it) where the window's tail begins; (0, 0) is the beginning."""
    if window.tail is None:
        return 0, 0
    parts = files.parts()
    if window.tail <= 0:
        return (parts[-1].number, _last_line_end(files, parts[-1])) if parts else (0, 0)
    left, later = window.tail, set[int]()
    for part in reversed(parts):
        opened = files.open(part)
        if opened is None:
            break
        try:
            find = _in_plain if isinstance(opened, Plain) else _in_packed
            position, left = find(files, part, opened, window, left, later)
        finally:
            opened.close()
        if position is not None:
            return part.number, position
    return 0, 0


def _last_line_end(files: LogFiles, part: Part) -> int:
    opened = files.open(part)
    if not isinstance(opened, Plain):
        return 0
    try:
        end = os.fstat(opened.fd).st_size
        begin = max(0, end - _LINE_LIMIT_BYTES)
        return begin + os.pread(opened.fd, end - begin, begin).rfind(b"\n") + 1
    finally:
        opened.close()


def _in_plain(
    files: LogFiles, part: Part, opened: Opened, window: Window, left: int, later: set[int]
) -> tuple[int | None, int]:
    """(where the tail begins, None if in an earlier part; lines still wanted), read backwards."""
    assert isinstance(opened, Plain)
    end, rest, size = os.fstat(opened.fd).st_size, b"", _FIRST_LOOK_BYTES
    whole = False  # the end of the file may be half a line
    while end > 0:
        begin = max(0, end - size)
        block = os.pread(opened.fd, end - begin, begin) + rest
        cut = block.find(b"\n") + 1 if begin > 0 else 0
        if begin > 0 and cut == 0:
            rest, end = block[:_LINE_LIMIT_BYTES], begin
            continue
        stop = len(block) if whole else block.rfind(b"\n") + 1
        whole = True
        lines, rest = block[cut:stop], block[:cut] if cut <= _LINE_LIMIT_BYTES else b"\n"  # so long is damage
        count = count_ends(lines, window) if size == BLOCK_BYTES else left
        if count < left and counts_alike(lines, window, later):
            left -= count
        else:
            position, left = last_lines(lines, window, left, later)
            if left < 0:
                return begin + cut + position, 0
        end, size = begin, BLOCK_BYTES
    return None, left


def _in_packed(
    files: LogFiles, part: Part, opened: Opened, window: Window, left: int, later: set[int]
) -> tuple[int | None, int]:
    """The same, counted from the beginning."""
    blocks, total = Blocks(opened), 0
    while block := blocks.next():
        total += count_ends(block, window)
    if total <= left:
        return None, left - total
    again = files.open(part)
    if again is None:
        return None, left
    try:
        blocks, skip = Blocks(again), total - left
        while block := blocks.next():
            count = count_ends(block, window)
            if count >= skip:
                return blocks.position - len(block) + skip_ends(block, window, skip), 0
            skip -= count
        return None, left
    finally:
        again.close()
