"""One sample of what a container uses, in the shape of `GET /containers/{id}/stats`."""

from __future__ import annotations

import os
import time
from typing import Any

from naru.api.parameters import rfc3339
from naru.containers.owner import Owner
from naru.containers.records import Container
from naru.linux.host import Host
from naru.linux.usage import interface_counters, system_cpu_ns

Json = dict[str, Any]
_BLKIO = (
    "io_service_bytes_recursive", "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive",
    "io_wait_time_recursive", "io_merged_recursive", "io_time_recursive", "sectors_recursive",
)  # fmt: skip
_ZERO_CPU = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}


def empty_sample(record: Container) -> Json:
    """Of a container that does not run."""
    return {
        "name": f"/{record.name}", "id": record.id, "read": rfc3339(0), "preread": rfc3339(0), "num_procs": 0, "os_type": "linux",
        "pids_stats": {}, "storage_stats": {}, "memory_stats": {}, "cpu_stats": _ZERO_CPU, "precpu_stats": _ZERO_CPU,
        "blkio_stats": dict.fromkeys(_BLKIO),
    }  # fmt: skip


def sample(host: Host, owner: Owner) -> Json:
    record = owner.record
    usage = owner.cgroup().usage()
    limit = usage.memory_limit_bytes
    if not 0 < limit <= host.memory_bytes:
        limit = host.memory_bytes
    blkio: Json = {name: None if host.cgroup_version == 2 else [] for name in _BLKIO}
    blkio["io_service_bytes_recursive"] = [
        {
            "major": major,
            "minor": minor,
            "op": operation.lower() if host.cgroup_version == 2 else operation,
            "value": value,
        }
        for major, minor, operation, value in usage.io_bytes
    ]
    out: Json = {
        "name": f"/{record.name}", "id": record.id, "read": rfc3339(time.time_ns()), "num_procs": 0, "os_type": "linux",
        "pids_stats": {"current": usage.pids, **({"limit": usage.pids_limit} if usage.pids_limit else {})},
        "storage_stats": {},
        "memory_stats": {
            "usage": usage.memory_bytes, "stats": usage.memory_stat, "limit": limit,
            **({"max_usage": usage.memory_peak_bytes} if usage.memory_peak_bytes else {}),
        },
        "cpu_stats": {
            "cpu_usage": {
                "total_usage": usage.cpu_ns, "usage_in_kernelmode": usage.cpu_system_ns, "usage_in_usermode": usage.cpu_user_ns,
                **({"percpu_usage": list(usage.cpus_ns)} if usage.cpus_ns else {}),
            },
            "system_cpu_usage": system_cpu_ns(), "online_cpus": os.cpu_count(),
            "throttling_data": {
                "periods": usage.periods, "throttled_periods": usage.throttled_periods, "throttled_time": usage.throttled_ns,
            },
        },
        "blkio_stats": blkio,
    }  # fmt: skip
    if record.host.network_mode not in ("host", "none"):
        out["networks"] = interface_counters(record.state.pid)
    return out
