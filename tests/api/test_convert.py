"""Records → Docker's JSON: the words of `docker ps`, and the shapes that clients test for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from naru.api.convert import human_duration, inspect_json, list_json, network_settings, status_text
from naru.containers.health import Health, Probe
from naru.containers.records import Container, MountPoint, State, Status
from naru.networks.records import Endpoint, PortBinding
from naru.wire.container import Config, EndpointSettings, HostConfig, MountRequest, VolumeDriver, VolumeOptions

S_NS = 10**9
NOW_NS = 10**6 * S_NS
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE - 1, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (HOUR + 29 * MINUTE, "About an hour"),
        (HOUR + 30 * MINUTE, "2 hours"),
        (2 * HOUR + 30 * MINUTE, "3 hours"),
        (4 * HOUR + 30 * MINUTE, "5 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
        (3650 * DAY, "10 years"),
    ],
)
def test_human_duration(seconds: int, words: str) -> None:
    assert human_duration(seconds) == words


def record(**changes: Any) -> Container:
    made = Container(
        id="c" * 64, name="box", created_ns=NOW_NS - 60 * S_NS, image_id="sha256:" + "1" * 64, image_manifest="", chain_id=None,
        config=Config(hostname="box", cmd=["sh", "-c", "a b"], image="busybox", exposed_ports={"80/tcp": {}, "53/udp": {}}),
        host=HostConfig(network_mode="bridge"), networks={"bridge": EndpointSettings()}, mounts=(),
    )  # fmt: skip
    return replace(made, **changes)


STARTED, FINISHED = NOW_NS - 5 * S_NS, NOW_NS - 2 * S_NS


@pytest.mark.parametrize(
    ("state", "health", "words"),
    [
        (State(Status.CREATED), "none", "Created"),
        (State(Status.CREATED, exit_code=127, error="x"), "none", "Created"),
        (State(Status.RUNNING, started_ns=STARTED), "none", "Up 5 seconds"),
        (State(Status.RUNNING, started_ns=STARTED), "healthy", "Up 5 seconds (healthy)"),
        (State(Status.RUNNING, started_ns=STARTED), "starting", "Up 5 seconds (health: starting)"),
        (State(Status.PAUSED, started_ns=STARTED), "healthy", "Up 5 seconds (Paused)"),
        (
            State(Status.RESTARTING, exit_code=1, started_ns=STARTED, finished_ns=FINISHED),
            "none",
            "Restarting (1) 2 seconds ago",
        ),
        (
            State(Status.EXITED, exit_code=137, started_ns=STARTED, finished_ns=FINISHED),
            "none",
            "Exited (137) 2 seconds ago",
        ),
        (State(Status.REMOVING), "none", "Removal In Progress"),
        (State(Status.DEAD), "none", "Dead"),
    ],
)
def test_status_text(state: State, health: str, words: str) -> None:
    assert status_text(record(state=state), NOW_NS, health) == words


def endpoint(**changes: Any) -> Endpoint:
    values: dict[str, Any] = {
        "network_id": "n" * 64, "network_name": "bridge", "container_id": "c" * 64, "container_name": "box", "endpoint_id": "e" * 64,
        "ip": "10.1.0.2", "prefix": 16, "gateway": "10.1.0.1", "mac": "02:42:0a:01:00:02",
        "ports": (PortBinding("tcp", 80, "0.0.0.0", 8080),),
    }  # fmt: skip
    return Endpoint(**{**values, **changes})


RUNNING = State(Status.RUNNING, pid=7, started_ns=STARTED)


def test_network_settings_of_a_running_container() -> None:
    made = network_settings(record(state=RUNNING), {"bridge": endpoint()}, {"bridge": "n" * 64}, (1, 56))
    assert made["Ports"] == {"53/udp": None, "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    assert made["SandboxKey"] == "/proc/7/ns/net"
    one = made["Networks"]["bridge"]
    assert (one["IPAddress"], one["IPPrefixLen"], one["Gateway"], one["NetworkID"]) == (
        "10.1.0.2",
        16,
        "10.1.0.1",
        "n" * 64,
    )
    assert "IPAddress" not in made  # gone since 1.52
    assert network_settings(record(state=RUNNING), {"bridge": endpoint()}, {}, (1, 51))["IPAddress"] == "10.1.0.2"


def test_network_settings_with_ipv6_and_without_a_host_port() -> None:
    ports = (PortBinding("tcp", 80, "::", 8080), PortBinding("tcp", 80, "0.0.0.0", 0))  # the second is routed
    end = endpoint(ip6="fd00::2", prefix6=64, gateway6="fd00::1", ports=ports)
    made = network_settings(record(state=RUNNING), {"bridge": end}, {}, (1, 51))
    assert made["Ports"]["80/tcp"] == [{"HostIp": "::", "HostPort": "8080"}, {"HostIp": "0.0.0.0", "HostPort": ""}]
    for shown in (made, made["Networks"]["bridge"]):
        assert (shown["GlobalIPv6Address"], shown["GlobalIPv6PrefixLen"], shown["IPv6Gateway"]) == (
            "fd00::2", 64, "fd00::1",
        )  # fmt: skip
    row = list_json(
        record(state=RUNNING),
        settings=made,
        health=None,
        now_ns=0,
        size=None,
        image="i",
        version=(1, 56),
        links=["/b/c"],
    )
    assert [port.get("PublicPort") for port in row["Ports"] if port["PrivatePort"] == 80] == [8080]
    assert row["Names"][1:] == ["/b/c"] and row["NetworkSettings"]["Networks"]["bridge"]["DNSNames"] is None


def test_an_ended_container_keeps_its_names() -> None:
    ended = State(Status.EXITED, started_ns=STARTED, finished_ns=STARTED + 1)
    networks = {"bridge": EndpointSettings(), "mine": EndpointSettings()}
    made = network_settings(record(state=ended, networks=networks), {}, {}, (1, 56))["Networks"]
    assert made["mine"]["DNSNames"][0] == record().name and made["bridge"]["DNSNames"] is None


@pytest.mark.parametrize("state", [RUNNING, State(Status.EXITED, started_ns=STARTED, finished_ns=STARTED + 1)])
def test_a_container_that_was_renamed_tells_its_names_on_the_default_bridge(state: State) -> None:
    [one] = network_settings(record(state=replace(state, renamed=True)), {}, {}, (1, 56))["Networks"].values()
    assert one["DNSNames"][0] == record().name


def test_network_settings_of_one_that_never_ran() -> None:
    made = network_settings(record(), {}, {"bridge": "n" * 64}, (1, 56))
    assert made["Ports"] == {} and made["SandboxID"] == "" and made["SandboxKey"] == ""
    assert made["Networks"]["bridge"]["NetworkID"] == "" and made["Networks"]["bridge"]["IPAddress"] == ""


def inspect(container: Container, version: tuple[int, int] = (1, 56), **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "settings": {},
        "execs": [],
        "health": None,
        "directory": "/d",
        "log_path": "/d/log",
        "size": None,
    }
    return inspect_json(container, version=version, **{**given, **more})


def test_inspect_of_one_that_never_ran() -> None:
    made = inspect(record())
    assert (made["Path"], made["Args"], made["Name"]) == ("sh", ["-c", "a b"], "/box")
    assert made["LogPath"] == made["HostsPath"] == ""
    assert made["State"]["StartedAt"] == made["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert made["ExecIDs"] is None and "Health" not in made["State"]
    for name in ("Healthcheck", "StopTimeout", "MacAddress", "Shell", "OnBuild"):
        assert name not in made["Config"]
    assert made["Config"]["Env"] is None and made["Config"]["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    for name in ("Annotations", "Tmpfs", "Sysctls", "Mounts", "Init", "StorageOpt"):
        assert name not in made["HostConfig"]


def test_inspect_follows_the_version() -> None:
    assert "GraphDriver" in inspect(record(), (1, 51)) and "Storage" not in inspect(record(), (1, 51))
    assert "GraphDriver" not in inspect(record()) and "Storage" in inspect(record())


def test_old_clients_find_the_mac_address_in_the_config() -> None:
    container = record(host=HostConfig(network_mode="bridge"))
    for version, address in (((1, 51), "02:42:00:00:00:01"), ((1, 52), None)):
        networks = {"Networks": {"bridge": {"MacAddress": "02:42:00:00:00:01"}}}
        assert inspect(container, version, settings=networks)["Config"].get("MacAddress") == address


def test_what_is_said_of_security_and_empty_options() -> None:
    mount = MountRequest(type="volume", target="/m", volume_options=VolumeOptions(labels={}, driver_config=VolumeDriver(name="local", options={})))  # fmt: skip
    made = inspect(record(host=HostConfig(init=False, mounts=[mount])), apparmor="mine")
    assert (made["AppArmorProfile"], made["HostConfig"]["Init"]) == ("mine", False)
    assert made["HostConfig"]["Mounts"] == [
        {"Type": "volume", "Target": "/m", "VolumeOptions": {"DriverConfig": {"Name": "local"}}}
    ]
    assert "Init" not in inspect(record())["HostConfig"]


def test_inspect_of_a_running_container() -> None:
    mount = MountPoint("volume", "/v/_data", "/data", name="cargo", driver="local", mode="z")
    health = Health()
    health.status, health.streak = "unhealthy", 3
    health.log.append(Probe(S_NS, 2 * S_NS, 1, "no"))
    made = inspect(record(state=RUNNING, mounts=(mount,)), execs=["x"], health=health, size=(1, 2))
    assert made["State"]["Status"] == "running" and made["State"]["Running"] and made["State"]["Pid"] == 7
    assert made["State"]["Health"] == {
        "Status": "unhealthy", "FailingStreak": 3,
        "Log": [{"Start": "1970-01-01T00:00:01Z", "End": "1970-01-01T00:00:02Z", "ExitCode": 1, "Output": "no"}],
    }  # fmt: skip
    assert made["Mounts"] == [
        {"Type": "volume", "Name": "cargo", "Source": "/v/_data", "Destination": "/data", "Driver": "local", "Mode": "z", "RW": True, "Propagation": ""}
    ]  # fmt: skip
    assert (made["LogPath"], made["ExecIDs"], made["SizeRw"], made["SizeRootFs"]) == ("/d/log", ["x"], 1, 2)


def test_a_row_of_the_list() -> None:
    container = record(state=RUNNING)
    settings = network_settings(container, {"bridge": endpoint()}, {}, (1, 56))
    row = list_json(
        container, settings=settings, health=None, now_ns=NOW_NS, size=None, image="busybox", version=(1, 56)
    )
    assert (row["Names"], row["Command"], row["State"], row["Status"]) == (
        ["/box"],
        "sh -c 'a b'",
        "running",
        "Up 5 seconds",
    )
    assert row["Ports"] == [
        {"IP": "", "PrivatePort": 53, "Type": "udp"},
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
    ]
    assert row["Labels"] == {} and "SizeRw" not in row
