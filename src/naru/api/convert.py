"""Records → the Engine API's JSON, per API version. Pure: the one place where our words become Docker's.

Field lists are those of Docker 29's answers, nulls and empty lists included: clients iterate over some and test others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from naru.api import olderversions
from naru.api.parameters import Version, rfc3339
from naru.containers.health import Health
from naru.containers.networking import member
from naru.containers.records import Container, MountPoint, Status
from naru.containers.validate import parse_port
from naru.networks.plan import dns_names
from naru.networks.records import Endpoint, PortBinding
from naru.wire.container import EndpointSettings
from naru.wire.decode import builtins

Json = dict[str, Any]

# Left out of Config and HostConfig while they have these values, as `omitempty` does in Go.
_CONFIG_SPARSE = (
    "ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "OnBuild", "StopSignal", "StopTimeout", "Shell",
)  # fmt: skip
_HOST_SPARSE = ("Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Mounts")


def _sparse(value: Json, names: Iterable[str]) -> Json:
    for name in names:
        if value.get(name) in (None, False, "", {}, []):
            value.pop(name, None)
    return value


def config_json(record: Container) -> Json:
    out = _sparse(builtins(record.config), _CONFIG_SPARSE)
    return out


def host_config_json(record: Container) -> Json:
    out = _sparse(builtins(record.host), _HOST_SPARSE)
    for mount in out.get("Mounts", ()):
        options = mount.get("VolumeOptions", {})
        _sparse(options, ("Labels",))
        _sparse(options.get("DriverConfig", {}), ("Options",))
    if out["Init"] is None:  # false is what a client may have said
        del out["Init"]
    return out


def mount_json(mount: MountPoint) -> Json:
    out: Json = {"Type": mount.kind}
    if mount.name:
        out["Name"] = mount.name
    out["Source"] = mount.source
    out["Destination"] = mount.destination
    if mount.driver and mount.kind == "volume":
        out["Driver"] = mount.driver
    return {**out, "Mode": mount.mode, "RW": mount.writable, "Propagation": mount.propagation}


def state_json(record: Container, health: Json | None) -> Json:
    state = record.state
    running = state.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)
    out: Json = {
        "Status": state.status.value, "Running": running, "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING, "OOMKilled": state.oom_killed, "Dead": state.status is Status.DEAD,
        "Pid": state.pid, "ExitCode": state.exit_code, "Error": state.error,
        "StartedAt": rfc3339(state.started_ns), "FinishedAt": rfc3339(state.finished_ns),
    }  # fmt: skip
    if health is not None:
        out["Health"] = health
    return out


def health_json(health: Health | None) -> Json | None:
    if health is None:
        return None
    entries = [
        {"Start": rfc3339(p.start_ns), "End": rfc3339(p.end_ns), "ExitCode": p.exit_code, "Output": p.output}
        for p in health.log
    ]
    return {"Status": health.status, "FailingStreak": health.streak, "Log": entries}


def endpoint_json(settings: EndpointSettings, endpoint: Endpoint | None, network_id: str = "") -> Json:
    """One entry of NetworkSettings.Networks."""
    named = endpoint is not None and bool(endpoint.dns_names)
    return {
        "IPAMConfig": builtins(settings.ipam_config) if settings.ipam_config else None,
        "Links": settings.links, "Aliases": settings.aliases, "DriverOpts": settings.driver_opts, "GwPriority": settings.gw_priority,
        "NetworkID": endpoint.network_id if endpoint else network_id,
        "EndpointID": endpoint.endpoint_id if endpoint else "",
        "Gateway": endpoint.gateway if endpoint else "",
        "IPAddress": endpoint.ip if endpoint else "",
        "MacAddress": endpoint.mac if endpoint else settings.mac_address,
        "IPPrefixLen": endpoint.prefix if endpoint else 0,
        "IPv6Gateway": endpoint.gateway6 if endpoint else "",
        "GlobalIPv6Address": endpoint.ip6 if endpoint else "",
        "GlobalIPv6PrefixLen": endpoint.prefix6 if endpoint else 0,
        "DNSNames": list(endpoint.dns_names) if named and endpoint else None,
    }  # fmt: skip


def ports_json(record: Container, bindings: Sequence[PortBinding], *, live: bool) -> Json:
    """NetworkSettings.Ports: what is published, and null for what is only exposed. Empty while nothing runs."""
    if not live:
        return {}
    out: Json = {_port_key(port): None for port in sorted(record.config.exposed_ports or {})}
    for binding in bindings:
        key = f"{binding.container_port}/{binding.proto}"
        shown = {"HostIp": binding.host_ip, "HostPort": str(binding.host_port or "")}
        out[key] = [*(out.get(key) or []), shown]
    return out


def _port_key(text: str) -> str:
    number, protocol = parse_port(text)
    return f"{number}/{protocol}"


def network_settings(
    record: Container, endpoints: Mapping[str, Endpoint], network_ids: Mapping[str, str], version: Version
) -> Json:
    live = record.state.status.is_live
    bindings = [port for endpoint in endpoints.values() for port in endpoint.ports]
    networks = {
        name: endpoint_json(settings, endpoints.get(name), network_ids.get(name, "") if record.state.started_ns else "")
        for name, settings in record.networks.items()
    }
    if record.state.started_ns and (record.state.renamed or not live):  # what it was called is kept
        for name in networks.keys() - {"host", "none"} - (set() if record.state.renamed else {"bridge"}):
            networks[name]["DNSNames"] = list(dns_names(member(record), record.networks[name].aliases or ()))
    return {
        "SandboxID": record.id if live and endpoints else "",
        "SandboxKey": f"/proc/{record.state.pid}/ns/net" if live and endpoints else "",
        "Ports": ports_json(record, bindings, live=live),
        "Networks": networks,
        **olderversions.network_settings(networks, version),
    }


def inspect_json(
    record: Container, *, version: Version, settings: Json, execs: list[str], health: Health | None, directory: str, log_path: str,
    size: tuple[int, int] | None, links: Sequence[str] = (), apparmor: str = "",
) -> Json:  # fmt: skip
    argv = record.argv
    started = record.state.started_ns > 0
    out: Json = {
        "Id": record.id, "Created": rfc3339(record.created_ns), "Path": argv[0] if argv else "", "Args": list(argv[1:]),
        "State": state_json(record, health_json(health)), "Image": record.image_id,
        "ResolvConfPath": f"{directory}/resolv.conf" if started else "",
        "HostnamePath": f"{directory}/hostname" if started else "", "HostsPath": f"{directory}/hosts" if started else "",
        "LogPath": log_path if started else "", "Name": f"/{record.name}", "RestartCount": record.state.restart_count,
        "Driver": "overlayfs", "Platform": "linux", "MountLabel": "", "ProcessLabel": "",
        "AppArmorProfile": apparmor, "ExecIDs": execs or None,
        "HostConfig": {**host_config_json(record), "Links": list(links) or None},
        "Storage": {"RootFS": {"Snapshot": {"Name": "overlayfs"}}},
        "Mounts": [mount_json(mount) for mount in record.mounts if not (mount.kind == "tmpfs" and _from_tmpfs(record, mount))],
        "Config": config_json(record), "NetworkSettings": settings,
    }  # fmt: skip
    if record.image_manifest:
        out["ImageManifestDescriptor"] = json.loads(record.image_manifest)
    if size is not None:
        out["SizeRw"], out["SizeRootFs"] = size
    return olderversions.inspected(out, record.host.network_mode, version)


def _from_tmpfs(record: Container, mount: MountPoint) -> bool:
    return mount.destination in (record.host.tmpfs or {})


# What `GET /containers/json` leaves empty in an entry of NetworkSettings.Networks.
_UNLISTED = {"Aliases": None, "DNSNames": None, "DriverOpts": None, "Links": None}


def list_json(
    record: Container,
    *,
    settings: Json,
    health: Health | None,
    now_ns: int,
    size: tuple[int, int] | None,
    image: str,
    version: Version,
    links: Sequence[str] = (),
) -> Json:
    """One row of `GET /containers/json`."""
    out: Json = {
        "Id": record.id, "Names": [f"/{record.name}", *links], "Image": image, "ImageID": record.image_id,
        "Command": _command(record.argv), "Created": record.created_ns // 10**9, "Ports": _list_ports(record, settings),
        "Labels": record.config.labels or {}, "State": record.state.status.value,
        "Status": status_text(record, now_ns, health.status if health else ""), "HostConfig": {"NetworkMode": record.host.network_mode},
        "NetworkSettings": {"Networks": {name: {**end, **_UNLISTED} for name, end in settings["Networks"].items()}},
        "Mounts": [mount_json(mount) for mount in record.mounts if mount.kind != "tmpfs"],
        "Health": {"Status": health.status if health else "none", "FailingStreak": health.streak if health else 0},
    }  # fmt: skip
    if record.image_manifest:
        out["ImageManifestDescriptor"] = json.loads(record.image_manifest)
    if record.host.annotations:
        out["HostConfig"]["Annotations"] = record.host.annotations
    if size is not None:
        out["SizeRw"], out["SizeRootFs"] = size
    return olderversions.listed(out, version)


def _command(argv: Sequence[str]) -> str:
    """Words with a blank in quotes, as Docker prints them."""
    return " ".join(f"'{word}'" if " " in word else word for word in argv)


def _list_ports(record: Container, settings: Json) -> list[Json]:
    if not record.state.status.is_live:
        return []
    out: list[Json] = []
    for key, bindings in settings["Ports"].items():
        number, protocol = parse_port(key)
        if not bindings:
            out.append({"IP": "", "PrivatePort": number, "Type": protocol})
        for binding in bindings or []:
            if not binding["HostPort"]:  # routed: no port of the host
                continue
            out.append(
                {
                    "IP": binding["HostIp"],
                    "PrivatePort": number,
                    "PublicPort": int(binding["HostPort"]),
                    "Type": protocol,
                }
            )
    return out


def status_text(record: Container, now_ns: int, health: str) -> str:
    """The STATUS column: `Up 2 hours (healthy)`, `Exited (0) 3 minutes ago`."""
    state = record.state
    if state.status in (Status.RUNNING, Status.PAUSED):
        text = f"Up {human_duration((now_ns - state.started_ns) // 10**9)}"
        if state.status is Status.PAUSED:
            return f"{text} (Paused)"
        if health == "starting":
            return f"{text} (health: starting)"
        return f"{text} ({health})" if health not in ("", "none") else text
    if state.status is Status.RESTARTING:
        return f"Restarting ({state.exit_code}) {human_duration((now_ns - state.finished_ns) // 10**9)} ago"
    if state.status is Status.REMOVING:
        return "Removal In Progress"
    if state.status is Status.DEAD:
        return "Dead"
    if state.status is Status.CREATED or not state.finished_ns:
        return "Created"
    return f"Exited ({state.exit_code}) {human_duration((now_ns - state.finished_ns) // 10**9)} ago"


def human_duration(seconds: int) -> str:
    """go-units' HumanDuration: the words of `docker ps`."""
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (seconds + 1800) // 3600
    if hours == 1:
        return "About an hour"
    for limit, size, unit in (
        (48, 1, "hours"),
        (24 * 14, 24, "days"),
        (24 * 60, 24 * 7, "weeks"),
        (24 * 365 * 2, 24 * 30, "months"),
    ):
        if hours < limit:
            return f"{hours // size} {unit}"
    return f"{hours // (24 * 365)} years"
