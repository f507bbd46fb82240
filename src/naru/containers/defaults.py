"""The defaults of a HostConfig, as inspect shows them, and the warnings about what this host cannot do. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from naru.containers import validate
from naru.linux.host import Host
from naru.wire.container import MASKED_PATHS, READONLY_PATHS, HostConfig, LogConfig, PortBinding, RestartPolicy
from naru.wire.decode import replace_struct

SHM_BYTES = 64 << 20
_NO_WEIGHT = "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
_NO_WEIGHT_DEVICE = (
    "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded."
)
_NO_OOM_LIMIT = "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
_NO_OOM_DISABLE = "Your kernel does not support OomKillDisable. OomKillDisable discarded."
_NO_SWAPPINESS = "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded."
_NO_PERCENT = "linux does not support CPU percent. Percent discarded."


def fill(host: HostConfig, machine: Host, runtime: str) -> tuple[HostConfig, tuple[str, ...]]:
    """What was not asked for takes Docker's default; what the kernel lacks is discarded, with a warning."""
    v2 = machine.cgroup_version == 2
    log = host.log_config
    changes: dict[str, object] = {
        "network_mode": "bridge" if host.network_mode in ("", "default") else host.network_mode,
        "ipc_mode": host.ipc_mode or "private",
        "cgroupns_mode": host.cgroupns_mode or ("private" if v2 else "host"),
        "shm_size": host.shm_size or SHM_BYTES,
        "runtime": host.runtime or runtime,
        "restart_policy": host.restart_policy if host.restart_policy.name else RestartPolicy(name="no"),
        "log_config": LogConfig(type=log.type or "json-file", config=log.config or {}),
        "port_bindings": _port_bindings(host.port_bindings or {}),
        "masked_paths": None if host.privileged else _or_default(host.masked_paths, MASKED_PATHS),
        "readonly_paths": None if host.privileged else _or_default(host.readonly_paths, READONLY_PATHS),
        "oom_kill_disable": None if v2 else bool(host.oom_kill_disable),
        "memory_swap": host.memory_swap or host.memory * 2,
    }
    warnings = []
    if host.blkio_weight and not machine.blkio_weight:
        changes["blkio_weight"] = 0
        warnings.append(_NO_WEIGHT)
    if host.blkio_weight_device and not machine.blkio_weight:
        changes["blkio_weight_device"] = []
        warnings.append(_NO_WEIGHT_DEVICE)
    if v2 and host.memory_swappiness not in (None, -1):
        changes["memory_swappiness"] = None
        warnings.append(_NO_SWAPPINESS)
    if v2 and host.oom_kill_disable:
        warnings.append(_NO_OOM_DISABLE)
    if host.oom_kill_disable and not host.memory:
        warnings.append(_NO_OOM_LIMIT)
    if host.cpu_percent:
        changes["cpu_percent"] = 0
        warnings.append(_NO_PERCENT)
    return replace_struct(host, **changes), tuple(warnings)


def _or_default(given: list[str] | None, default: tuple[str, ...]) -> list[str]:
    return list(default) if given is None else given


def _port_bindings(given: Mapping[str, list[PortBinding] | None]) -> dict[str, list[PortBinding]]:
    """Keys with their protocol; an empty list means any free port."""
    out = {}
    for key, bindings in given.items():
        number, protocol = validate.parse_port(key)
        out[f"{number}/{protocol}"] = bindings or [PortBinding()]
    return out
