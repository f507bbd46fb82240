"""Counters of the host and of a process's network namespace, from /proc."""

from __future__ import annotations

import os

_FIELDS = (
    "rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "", "", "", "",
    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped", "", "", "", "",
)  # fmt: skip


def system_cpu_ns() -> int:
    """CPU time of the whole host since boot, idle time included (/proc/stat, first line)."""
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def interface_counters(pid: int) -> dict[str, dict[str, int]]:
    """Interface → counters in the network namespace of pid, loopback left out; {} when the process is gone."""
    out = {}
    try:
        with open(f"/proc/{pid}/net/dev") as file:
            lines = file.read().splitlines()[2:]
    except (FileNotFoundError, ProcessLookupError, OSError):
        return {}
    for line in lines:
        name, _, numbers = line.partition(":")
        if name.strip() != "lo":
            values = [int(word) for word in numbers.split()]
            out[name.strip()] = {field: value for field, value in zip(_FIELDS, values, strict=False) if field}
    return out
