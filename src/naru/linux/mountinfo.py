"""The mount that a path lies on, and how it passes mounts on to its peers (proc(5) mountinfo, mount_namespaces(7))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    point: str
    shared: bool  # mounts made here show at its peers
    slave: bool  # mounts made at its master show here


def parse(text: str) -> dict[str, Mounted]:
    """By mount point, the last (topmost) one of a point."""
    out = {}
    for line in text.splitlines():
        fields = line.split(" ")
        optional = fields[6 : fields.index("-", 6)]
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
        out[point] = Mounted(
            point, any(o.startswith("shared:") for o in optional), any(o.startswith("master:") for o in optional)
        )
    return out


def mount_of(path: str) -> Mounted:
    """Links are followed. Raises OSError."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        table = parse(file.read())
    at = os.path.realpath(path)
    while at not in table:
        at = os.path.dirname(at)
    return table[at]
