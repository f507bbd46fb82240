"""Progress of pull, push, load, import and build as the daemon tells it (Engine API: objects of status, id, progressDetail, stream).

On a terminal each id has a line of its own that is redrawn; elsewhere every change of status is a line, without bars.
"""

from __future__ import annotations

import os
import sys

from naru.cli.units import decimal_size
from naru.errors import Internal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO

    Json = dict[str, Any]

_BAR = 50


def bar(current: int, total: int, width: int) -> str:
    """`[====>    ]  1.2MB/3.4MB`, or the size alone if the total is unknown or the line too narrow for a bar."""
    if total <= 0 or current > total:
        return decimal_size(current) if current > 0 else ""
    numbers = f"{decimal_size(current):>8}/{decimal_size(total)}"
    if width < 110:
        return numbers
    filled = _BAR * current // total
    return f"[{('=' * filled + '>')[:_BAR].ljust(_BAR)}] {numbers}"


class Progress:
    """Feed it objects; the lines of a terminal are redrawn in place, so print nothing else meanwhile."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._width = os.get_terminal_size(out.fileno()).columns if self._terminal else 0
        self._lines: dict[str, int] = {}  # id: line, counted from the first
        self.aux: list[Json] = []

    def show(self, objects: Iterable[Json]) -> None:
        """Draw all; returns at the end of the stream. Raises Internal when the daemon reports an error in it."""
        for item in objects:
            self.add(item)

    def add(self, item: Json) -> None:
        if item.get("errorDetail") or item.get("error"):
            raise Internal(str((item.get("errorDetail") or {}).get("message") or item["error"]))
        if item.get("aux") is not None:
            self.aux.append(item["aux"])
            return
        if item.get("stream"):
            self._out.write(item["stream"])
            self._out.flush()
            return
        detail = item.get("progressDetail") or {}
        text = str(item.get("status") or "")
        if not text:
            return
        name = str(item.get("id") or "")
        if self._terminal and name:
            drawn = bar(int(detail.get("current") or 0), int(detail.get("total") or 0), self._width) if detail else ""
            self._redraw(name, f"{name}: {text} {drawn}".rstrip())
        elif not detail.get("current") and not detail.get("total"):
            self._lines.clear()
            self._out.write(f"{name}: {text}\n" if name else f"{text}\n")
            self._out.flush()

    def _redraw(self, name: str, text: str) -> None:
        if name not in self._lines:
            self._lines[name] = len(self._lines)
            self._out.write("\n")
        up = len(self._lines) - self._lines[name]
        self._out.write(f"\x1b[{up}A\x1b[2K\r{text[: self._width]}\x1b[{up}B\r")
        self._out.flush()


def show(objects: Iterable[Json], *, quiet: bool = False, out: TextIO | None = None) -> list[Json]:
    """Draw all objects (or none, if quiet; errors are raised all the same); the daemon's "aux" values."""
    if quiet:
        with open(os.devnull, "w") as nowhere:
            progress = Progress(nowhere)
            progress.show(objects)
    else:
        progress = Progress(out or sys.stdout)
        progress.show(objects)
    return progress.aux
