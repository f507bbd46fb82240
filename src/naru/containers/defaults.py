"""The defaults of a HostConfig, as inspect shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naru.containers import securityopt, validate
from naru.linux.host import Host
from naru.wire.container import MASKED_PATHS, READONLY_PATHS, HostConfig, LogConfig, PortBinding, RestartPolicy
from naru.wire.decode import replace_struct

SHM_BYTES = 64 << 20


def fill(host: HostConfig, machine: Host, runtime: str) -> HostConfig:
    """What was not asked for takes Docker's default."""
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
        "masked_paths": _paths(host.masked_paths, MASKED_PATHS, host.privileged),
        "readonly_paths": _paths(host.readonly_paths, READONLY_PATHS, host.privileged),
        "links": host.links or None,
        "security_opt": securityopt.with_label(host),
        "oom_kill_disable": None if v2 else bool(host.oom_kill_disable),
        "memory_swap": host.memory_swap or host.memory * 2,
        "pids_limit": host.pids_limit if (host.pids_limit or 0) > 0 else None,
    }
    return replace_struct(host, **changes)


def _paths(given: list[str] | None, default: tuple[str, ...], privileged: bool) -> list[str] | None:
    """What was asked for counts even for the privileged, for whom nothing is the default."""
    return given if given is not None or privileged else list(default)


def _port_bindings(given: Mapping[str, list[PortBinding] | None]) -> dict[str, list[PortBinding]]:
    """Keys with their protocol; an empty list means any free port."""
    out = {}
    for key, bindings in given.items():
        number, protocol = validate.parse_port(key)
        out[f"{number}/{protocol}"] = bindings or [PortBinding()]
    return out


def exposed_ports(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Keys with their protocol, in lower case."""
    return None if given is None else {"/".join(map(str, validate.parse_port(port))): v for port, v in given.items()}
