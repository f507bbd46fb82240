"""A container's limits as `linux.resources` of the runtime spec (config-linux.md "Control groups"), for create and for update. Pure."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any

from naru.containers.records import Container
from naru.wire.container import HostConfig, ThrottleDevice, WeightDevice

Spec = dict[str, Any]


def resources(
    container: Container,
    cgroup_version: int,
    *,
    lift: bool = False,
    numbers: Mapping[str, tuple[int, int]] = types.MappingProxyType({}),
) -> Spec:
    """`linux.resources` without the devices: the limits, which may also be updated while it runs: with `lift`, a limit
    that is no more is said to be none. (A new group has none anyway, and crun 1.8 cannot say so.)"""
    host, out = container.host, Spec()
    memory = {
        "limit": host.memory or None,
        "reservation": host.memory_reservation or None,
        "swap": max(host.memory_swap, -1) or None,
        "swappiness": host.memory_swappiness
        if host.memory_swappiness not in (None, -1) and cgroup_version == 1
        else None,
        "disableOOMKiller": True if host.oom_kill_disable and cgroup_version == 1 else None,
    }
    period, quota = host.cpu_period, host.cpu_quota
    if host.nano_cpus:
        period, quota = 100_000, host.nano_cpus // 10_000
    cpu = {
        "shares": host.cpu_shares or None, "period": period or None, "quota": quota or None,
        "cpus": host.cpuset_cpus or None, "mems": host.cpuset_mems or None,
        "realtimePeriod": host.cpu_realtime_period or None, "realtimeRuntime": host.cpu_realtime_runtime or None,
    }  # fmt: skip
    for name, values in (("memory", memory), ("cpu", cpu)):
        kept = {key: value for key, value in values.items() if value is not None}
        if kept:
            out[name] = kept
    if host.pids_limit and host.pids_limit > 0:
        out["pids"] = {"limit": host.pids_limit}
    elif host.pids_limit is not None and lift:  # 0 and -1 are Docker's words for none
        out["pids"] = {"limit": -1}
    if block_io := _block_io(host, numbers):
        out["blockIO"] = block_io
    return out


def _block_io(host: HostConfig, numbers: Mapping[str, tuple[int, int]]) -> Spec:
    out: Spec = {"weight": host.blkio_weight} if host.blkio_weight else {}
    tables: tuple[tuple[str, str, Sequence[WeightDevice | ThrottleDevice] | None], ...] = (
        ("weightDevice", "weight", host.blkio_weight_device),
        ("throttleReadBpsDevice", "rate", host.blkio_device_read_bps),
        ("throttleWriteBpsDevice", "rate", host.blkio_device_write_bps),
        ("throttleReadIOPSDevice", "rate", host.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", "rate", host.blkio_device_write_iops),
    )
    for name, amount, entries in tables:
        if entries:
            out[name] = [
                {"major": numbers[e.path][0], "minor": numbers[e.path][1], amount: getattr(e, amount)} for e in entries
            ]
    return out
