"""Shared namespaces: modes, what they exclude, who can be joined; in Docker 29's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from naru.containers import modes
from naru.containers.records import Container, Status
from naru.errors import Conflict, Internal, InvalidArgument, NaruError
from naru.wire.container import Config, HostConfig, PortBinding

Make = Callable[..., Container]


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"ipc_mode": "foo"}, "invalid IPC mode: foo"),
        ({"pid_mode": "private"}, "invalid PID mode: private"),
        ({"pid_mode": "container:"}, "invalid PID mode: container:"),
        ({"uts_mode": "container:x"}, "invalid UTS mode: container:x"),
        ({"cgroupns_mode": "foo"}, "invalid cgroup namespace mode: foo"),
    ],
)
def test_what_is_no_mode(host: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        modes.check(HostConfig(**host))
    assert str(caught.value) == words


def test_modes() -> None:
    modes.check(HostConfig(ipc_mode="container:", pid_mode="container:x", uts_mode="host", cgroupns_mode="private"))
    modes.conflicts(Config(hostname="x", mac_address="m"), HostConfig(network_mode="none", links=["a"]))


JOINED = {"network_mode": "container:x"}
LINKS = "conflicting options: {} can't be used with links. This would result in undefined behavior"
WHERE = "conflicting options: "


@pytest.mark.parametrize(
    ("config", "host", "words"),
    [
        ({}, {"network_mode": "container:"}, "invalid network mode: invalid container format container:<name|id>"),
        ({"hostname": "a"}, JOINED, WHERE + "hostname and the network mode"),
        ({}, {**JOINED, "links": ["a"]}, LINKS.format("container type network")),
        ({}, {**JOINED, "dns": ["1.1.1.1"]}, WHERE + "dns and the network mode"),
        ({}, {**JOINED, "extra_hosts": ["a:1.1.1.1"]}, WHERE + "custom host-to-IP mapping and the network mode"),
        ({"mac_address": "m"}, JOINED, WHERE + "mac-address and the network mode"),
        ({"mac_address": "m"}, {"network_mode": "host"}, WHERE + "mac-address and the network mode"),
        ({}, {**JOINED, "publish_all_ports": True}, WHERE + "port publishing and the container type network mode"),
        ({}, {**JOINED, "port_bindings": {"80/tcp": [PortBinding()]}}, WHERE + "port publishing and the container type network mode"),
        ({"exposed_ports": {"80/tcp": {}}}, JOINED, WHERE + "port exposing and the container type network mode"),
        ({"hostname": "a"}, {"uts_mode": "host"}, WHERE + "hostname and the UTS mode"),
        ({}, {"network_mode": "host", "links": ["a"]}, LINKS.format("host type networking")),
    ],
)  # fmt: skip
def test_conflicts(config: dict[str, Any], host: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        modes.conflicts(Config(**config), HostConfig(**host))
    assert str(caught.value) == words


IPC = f"failed to join IPC namespace: container {'c' * 64}"
PID = f"failed to join PID namespace: container {'c' * 64}"
RESTARTING = "is restarting, wait until the container is running"


@pytest.mark.parametrize(
    ("check", "mode", "status", "kind", "words"),
    [
        (modes.check_ipc, "shareable", Status.CREATED, Conflict, f"{IPC} is not running"),
        (modes.check_ipc, "shareable", Status.RESTARTING, Conflict, f"{IPC} {RESTARTING}"),
        (modes.check_ipc, "private", Status.RUNNING, InvalidArgument, f"{IPC}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"),
        (modes.check_ipc, "none", Status.RUNNING, InvalidArgument, f"{IPC}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"),
        (modes.check_pid, "private", Status.EXITED, Internal, f"{PID} is not running"),
    ],
)  # fmt: skip
def test_who_cannot_be_joined(
    record: Make, check: Callable[[Container], None], mode: str, status: Status, kind: type[NaruError], words: str
) -> None:
    with pytest.raises(NaruError) as caught:
        check(record(host={"ipc_mode": mode}).with_state(status=status))
    assert (type(caught.value), str(caught.value)) == (kind, words)


@pytest.mark.parametrize("mode", ["shareable", "host", "container:x"])
def test_who_can_be_joined(record: Make, mode: str) -> None:
    for status in (Status.RUNNING, Status.PAUSED):
        donor = record(host={"ipc_mode": mode}).with_state(status=status)
        modes.check_ipc(donor)
        modes.check_pid(donor)
