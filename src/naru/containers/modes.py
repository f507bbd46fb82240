"""Namespaces that a container shares: which modes there are, what they exclude, and which other containers can be joined.

Pure. Conflicts are refused when a container is created (InvalidArgument); whether the other one can be joined is known
only when it is started, and Docker has a kind of error of its own for each namespace.
"""

from __future__ import annotations

from naru.containers.records import Container, Status
from naru.errors import Conflict, Internal, InvalidArgument
from naru.wire.container import Config, HostConfig

_PLAIN = (  # (what, attribute, modes beside `container:`, whether that is one too)
    ("IPC mode", "ipc_mode", ("", "none", "private", "shareable", "host"), True),
    ("PID mode", "pid_mode", ("", "host"), True),
    ("UTS mode", "uts_mode", ("", "host"), False),
    ("cgroup namespace mode", "cgroupns_mode", ("", "private", "host"), False),
)
_LINKS = "conflicting options: {} can't be used with links. This would result in undefined behavior"


def other(mode: str) -> str | None:
    """The container that `container:<name>` names; None for any other mode."""
    return mode.removeprefix("container:") if mode.startswith("container:") else None


def check(value: HostConfig) -> None:
    """Raises InvalidArgument for a mode that is none."""
    for what, attribute, plain, joins in _PLAIN:
        mode: str = getattr(value, attribute)
        named = other(mode)
        # an empty name is found out at create for pid, and at start for ipc
        if mode not in plain and not (joins and named is not None and (named or attribute == "ipc_mode")):
            raise InvalidArgument(f"invalid {what}: {mode}")


def conflicts(config: Config, host: HostConfig) -> None:
    """What a client may not say beside a mode that shares a network or the host's name. Raises InvalidArgument."""
    name = other(host.network_mode)
    if name == "":
        raise InvalidArgument("invalid network mode: invalid container format container:<name|id>")
    joined = name is not None
    for wrong, words in (
        (joined and config.hostname, "conflicting options: hostname and the network mode"),
        (joined and host.links, _LINKS.format("container type network")),
        (joined and host.dns, "conflicting options: dns and the network mode"),
        (joined and host.extra_hosts, "conflicting options: custom host-to-IP mapping and the network mode"),
        (
            (joined or host.network_mode == "host") and config.mac_address,
            "conflicting options: mac-address and the network mode",
        ),
        (
            joined and (host.port_bindings or host.publish_all_ports),
            "conflicting options: port publishing and the container type network mode",
        ),
        (joined and config.exposed_ports, "conflicting options: port exposing and the container type network mode"),
        (host.uts_mode == "host" and config.hostname, "conflicting options: hostname and the UTS mode"),
        (host.network_mode == "host" and host.links, _LINKS.format("host type networking")),
    ):
        if wrong:
            raise InvalidArgument(words)


def check_ipc(donor: Container) -> None:
    """That its IPC namespace can be joined now. Raises Conflict, InvalidArgument."""
    where = f"failed to join IPC namespace: container {donor.id}"
    if not donor.state.status.is_live:
        raise Conflict(f"{where} {_why(donor)}")
    mode = donor.host.ipc_mode
    if mode not in ("shareable", "host") and other(mode) is None:
        raise InvalidArgument(f"{where}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)")


def check_pid(donor: Container) -> None:
    """That its PID namespace can be joined now. Raises Internal."""
    if not donor.state.status.is_live:
        raise Internal(f"failed to join PID namespace: container {donor.id} {_why(donor)}")


def _why(donor: Container) -> str:
    if donor.state.status is Status.RESTARTING:
        return "is restarting, wait until the container is running"
    return "is not running"
