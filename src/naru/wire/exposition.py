"""Numbers for Prometheus, by dockerd's names where it has them: counters and histograms, and their text. Pure.

Text exposition format 0.0.4. Everything that can be read when somebody asks is read then; only durations are noted as
they happen, and only where metrics are served at all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Labels = Mapping[str, str]
Number = int | float


@dataclass(slots=True)
class Durations:
    """How often and how long, in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def note(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


class Histogram:
    """Durations by the value of one label; those named at the beginning are shown before anything happened, as dockerd does."""

    def __init__(self, name: str, help: str, label: str, values: Iterable[str]) -> None:
        self.name, self.help, self.label = name, help, label
        self.durations = {value: Durations() for value in values}

    def note(self, value: str, seconds: float) -> None:
        self.durations[value].note(seconds)

    def lines(self) -> list[str]:
        out = _head(self.name, self.help, "histogram")
        for value, found in sorted(self.durations.items()):
            count, mine = 0, {self.label: value}
            for bound, n in zip((*BOUNDS_S, None), found.buckets, strict=True):
                count += n
                le = "+Inf" if bound is None else f"{bound:g}"
                out.append(_line(f"{self.name}_bucket", count, {**mine, "le": le}))
            out += [_line(f"{self.name}_sum", found.total_s, mine), _line(f"{self.name}_count", count, mine)]
        return out


@dataclass(frozen=True, slots=True)
class Sample:
    """A number as it is now: one, or one for each set of labels."""

    name: str
    help: str
    kind: str  # gauge, counter
    values: Sequence[tuple[Labels, Number]]

    @classmethod
    def of(cls, name: str, help: str, kind: str, value: Number) -> Sample:
        return cls(name, help, kind, [({}, value)])

    def lines(self) -> list[str]:
        return [*_head(self.name, self.help, self.kind), *(_line(self.name, n, labels) for labels, n in self.values)]


def text(families: Iterable[Histogram | Sample]) -> str:
    return "".join(f"{line}\n" for family in sorted(families, key=lambda each: each.name) for line in family.lines())


def _head(name: str, help: str, kind: str) -> list[str]:
    return [f"# HELP {name} {help}", f"# TYPE {name} {kind}"]


def _line(name: str, value: Number, labels: Labels) -> str:
    inside = ",".join(f'{key}="{_escaped(item)}"' for key, item in labels.items())
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
