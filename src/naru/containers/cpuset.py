"""Lists of numbers as cpusets write them: `0-3,8` (cpuset(7), "List format"). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from naru.errors import InvalidArgument

_ITEM = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_MAX = 8192  # no kernel has more CPUs; a list must not make us count for ever


def parse_numbers(text: str, what: str) -> set[int]:
    """Raises InvalidArgument in Docker's words; `what` is "cpus" or "mems"."""
    found: set[int] = set()
    for item in text.split(",") if text else []:
        match = _ITEM.fullmatch(item)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InvalidArgument(f"Invalid value {text} for cpuset {what}: invalid format: {text}")
        if last > _MAX:
            raise InvalidArgument(f"Invalid value {text} for cpuset {what}: value of out range, maximum is {_MAX}")
        found.update(range(first, last + 1))
    return found


def format_numbers(numbers: Iterable[int]) -> str:
    """The shortest list: `0-3,8`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
