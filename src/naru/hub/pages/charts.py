"""Where the lines of drawings go: pulls by day, and the layers of an image. Pure; templates make SVG of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

WIDTH, HEIGHT = 600, 110
LAYERS_WIDTH = 1000
_TOP = 6
_LEAST = 2.0  # of a layer in its drawing: what is there is seen
_SHADES = 6


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    day: int
    count: int


@dataclass(frozen=True, slots=True)
class Pulls:
    bars: tuple[Bar, ...]
    total: int
    most: int
    most_day: int


def pulls(counted: Sequence[tuple[int, int]], today: int, days: int) -> Pulls:
    """A bar for each of the last days, today's last; days without a pull have one of no height."""
    known = dict(counted)
    first = today - days + 1
    counts = [(day, known.get(day, 0)) for day in range(first, today + 1)]
    most_day, most = max(counts, key=lambda one: one[1], default=(today, 0))
    step = WIDTH / max(days, 1)
    bars = []
    for at, (day, count) in enumerate(counts):
        height = (HEIGHT - _TOP) * count / most if most else 0.0
        bars.append(
            Bar(round(at * step + 1, 2), round(HEIGHT - height, 2), round(step - 2, 2), round(height, 2), day, count)
        )
    return Pulls(tuple(bars), sum(count for _, count in counts), most, most_day)


class Sized(Protocol):
    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Segment:
    x: float
    width: float
    shade: int
    percent: float


def layers(found: Sequence[Sized]) -> tuple[Segment, ...]:
    """Side by side as long as they are large, the lowest first; each at least so wide that it can be seen."""
    total = sum(one.size for one in found)
    if not total:
        return ()
    widths = [max(LAYERS_WIDTH * one.size / total, _LEAST) for one in found]
    scale = LAYERS_WIDTH / sum(widths)
    segments, x = [], 0.0
    for at, (one, width) in enumerate(zip(found, widths, strict=True)):
        segments.append(Segment(round(x, 2), round(width * scale, 2), at % _SHADES, round(100 * one.size / total, 1)))
        x += width * scale
    return tuple(segments)


def percent(part: int | None, whole: int) -> float:
    """0 to 100, of a bar; what is not nothing is at least one."""
    if not part or whole <= 0:
        return 0.0
    return max(round(100 * min(part, whole) / whole, 1), 1.0)
