"""Carrying a container's log to its destination: a reader of the files that remembers how far it has come.

What was handed over is noted in `<id>.log.shipped`, and the next daemon goes on there: nothing is left out, and after a kill
the last second may come twice. A server that does not answer is tried again for ever, ever less often, and is told of once;
meanwhile the container goes on, and what rotation throws away is lost. One block of the log is in memory, no more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from itertools import islice
from typing import Any

from naru.logs.destination import Destination
from naru.logs.files import LogFiles, Part
from naru.logs.live import Live
from naru.logs.messages import Assembler, Message
from naru.logs.reading import Blocks, following

log = logging.getLogger(__name__)
BATCH_MESSAGES = 256
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 30.0
_NOTE_S = 1.0  # how long what was handed over may go unnoted


class Shipper:
    def __init__(self, id: str, files: LogFiles, destination: Destination) -> None:
        self.live: Live | None = None  # of the run under way
        self._id = id
        self._files = files
        self._destination = destination
        self._note_path = f"{files.path}.shipped"
        self._assembler = Assembler(id)
        self._number, self._position = 0, 0  # what comes next
        self._lines: dict[str, Any] = {}  # what had begun there
        self._noted = True
        self.away = asyncio.Event()  # the server is
        self._complained = False

    async def run(self) -> None:
        """Until the run has ended, or the one that has begun meanwhile, and everything is handed over."""
        self._recall()
        try:
            while True:
                live = self.live
                await self._ship_parts()
                if live is None or live.ended:
                    await self._send(list(self._assembler.flush()))
                    self._lines, self._noted = {}, False
                    if self.live is live:
                        return
        finally:
            if not self._noted:
                self._note()
            self._destination.close()

    async def _ship_parts(self) -> None:
        while (part := following(self._files, self._number)) is not None:
            if part.number > self._number:
                self._number, self._position = part.number, 0
            if not await self._ship_part(part):
                return
            self._number, self._position, self._noted = part.number + 1, 0, False

    async def _ship_part(self, part: Part) -> bool:
        """False if it is the last one and the run is over: its end is what is remembered."""
        opened = self._files.open(part)
        if opened is None:
            return True
        blocks = Blocks(opened)
        try:
            await asyncio.to_thread(blocks.skip, self._position)
            while True:
                live = self.live
                seen = live.changes if live is not None else 0
                newer = following(self._files, part.number + 1) is not None
                while block := await asyncio.to_thread(blocks.next) if part.packed else blocks.next():
                    messages = self._assembler.messages(block)
                    while batch := list(islice(messages, BATCH_MESSAGES)):
                        await self._send(batch)
                        await asyncio.sleep(0)  # others get their turn: what is sent at once does not wait
                    self._position, self._lines, self._noted = blocks.position, self._assembler.to_json(), False
                if newer:
                    return True
                if live is None or live.ended:
                    if self.live is live:
                        return False
                    continue  # the next run has begun
                await self._wait_change(live, seen)
        finally:
            opened.close()

    async def _wait_change(self, live: Live, seen: int) -> None:
        if not self._noted:
            try:
                async with asyncio.timeout(_NOTE_S):
                    await live.wait_change(seen)
            except TimeoutError:
                self._note()
            else:
                return
        await live.wait_change(seen)

    async def _send(self, messages: Sequence[Message]) -> None:
        """They are handed over when this returns, however long that takes."""
        wait_s = _FIRST_WAIT_S
        while messages:
            try:
                await self._destination.send(messages)
            except OSError as error:
                if not self.away.is_set():
                    self.away.set()
                    log.error(
                        "container %s: its log server cannot be reached, and is tried again: %s", self._id[:12], error
                    )
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            else:
                if self.away.is_set():
                    self.away.clear()
                    log.info("container %s: its log server is there again", self._id[:12])
                return

    # -- how far it has come ------------------------------------------------------------------------------------------

    def _note(self) -> None:
        note = {"part": self._number, "position": self._position, "lines": self._lines}
        part = f"{self._note_path}.part"
        try:
            with open(part, "w") as file:
                json.dump(note, file)
            os.rename(part, self._note_path)
        except OSError as error:
            if not self._complained:
                self._complained = True
                log.error("container %s: how far its log was shipped cannot be noted: %s", self._id[:12], error)
        self._noted = True

    def _recall(self) -> None:
        try:
            with open(self._note_path) as file:
                note = json.load(file)
            self._number, self._position = int(note["part"]), int(note["position"])
            self._assembler.restore(note["lines"])
            self._lines = note["lines"]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.error("container %s: how far its log was shipped is not known any more: %r", self._id[:12], error)
            self._number, self._position = 0, 0


def is_behind(files: LogFiles) -> bool:
    """There is more in the log than has been handed over, as far as is known."""
    parts = files.parts()
    if not parts:
        return False
    try:
        with open(f"{files.path}.shipped") as file:
            note = json.load(file)
        size = os.stat(parts[-1].path).st_size
        return bool((parts[-1].number, size) != (note["part"], note["position"]) or note["lines"])
    except (OSError, ValueError, KeyError, TypeError):
        return True
