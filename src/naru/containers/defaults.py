"""The defaults of a HostConfig. Pure.

Some are filled in at create, and inspect shows them (`fill`). Others hold for as long as the daemon's configuration says
so: they are put in at each start, and never shown (`at_start`), as Docker has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naru.containers import securityopt, validate
from naru.linux.host import Host
from naru.wire.container import MASKED_PATHS, READONLY_PATHS, HostConfig, LogConfig, PortBinding, RestartPolicy, Ulimit
from naru.wire.decode import replace_struct

SHM_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the daemon's configuration says for containers that say nothing."""

    shm_bytes: int = SHM_BYTES
    ipc_mode: str = "private"
    cgroupns_mode: str = ""  # empty: private on cgroup v2, host on v1
    ulimits: tuple[Ulimit, ...] = ()
    stop_timeout_s: int = 10
    init: bool = False
    init_path: str = ""
    no_new_privileges: bool = False
    seccomp: str = ""  # a security option's value: `unconfined`, or a profile as JSON text; empty: the built-in one
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_gateway: str = ""  # empty: the default bridge's address
    cdi_folders: tuple[str, ...] = ()  # empty: Docker's


def at_start(host: HostConfig, defaults: Defaults) -> HostConfig:
    """What a container is started with; `host` itself if nothing is added."""
    changes: dict[str, object] = {}
    if defaults.init and host.init is None:
        changes["init"] = True
    options = host.security_opt or []
    extra = []
    if defaults.no_new_privileges and not any(option.startswith("no-new-privileges") for option in options):
        extra.append("no-new-privileges")
    if defaults.seccomp and not host.privileged and not any(option.startswith("seccomp") for option in options):
        extra.append(f"seccomp={defaults.seccomp}")
    if extra:
        changes["security_opt"] = [*options, *extra]
    for field in ("dns", "dns_search", "dns_options"):
        if getattr(defaults, field) and not getattr(host, field):
            changes[field] = list(getattr(defaults, field))
    if defaults.host_gateway and any(entry.endswith(":host-gateway") for entry in host.extra_hosts or []):
        changes["extra_hosts"] = [
            f"{entry.removesuffix('host-gateway')}{defaults.host_gateway}" if entry.endswith(":host-gateway") else entry
            for entry in host.extra_hosts or []
        ]
    return replace_struct(host, **changes) if changes else host


def fill(host: HostConfig, machine: Host, runtime: str, defaults: Defaults = Defaults()) -> HostConfig:
    """What was not asked for takes the daemon's default."""
    v2 = machine.cgroup_version == 2
    log = host.log_config
    changes: dict[str, object] = {
        "network_mode": "bridge" if host.network_mode in ("", "default") else host.network_mode,
        "ipc_mode": host.ipc_mode or defaults.ipc_mode,
        "cgroupns_mode": host.cgroupns_mode or defaults.cgroupns_mode or ("private" if v2 else "host"),
        "shm_size": host.shm_size or defaults.shm_bytes,
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
    given = {limit.name for limit in host.ulimits or []}
    if missing := [limit for limit in defaults.ulimits if limit.name not in given]:
        changes["ulimits"] = [*(host.ulimits or []), *missing]
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
