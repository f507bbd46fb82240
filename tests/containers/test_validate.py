"""What create refuses, in the words of Docker 29's own answers (recorded on this kind of host with two CPUs)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naru.containers import validate
from naru.errors import Internal, InvalidArgument, NaruError
from naru.wire.container import CreateRequest
from naru.wire.decode import decode_object

MIB = 1 << 20

CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"Hostname": "a" * 65}, f'hostname "{"a" * 65}" is too long (maximum 64 bytes)'),
    ({"Env": [""]}, "invalid environment variable: "),
    ({"Env": ["A=1", "=x"]}, "invalid environment variable: =x"),
    ({"WorkingDir": "rel"}, "the working directory 'rel' is invalid, it needs to be an absolute path"),
    ({"StopSignal": "NONSENSE"}, "invalid signal: NONSENSE"),
    ({"StopSignal": "0"}, "invalid signal: 0"),
    ({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}}, "Interval in Healthcheck cannot be less than 1ms"),
    ({"Healthcheck": {"Test": ["CMD", "x"], "Timeout": -1}}, "Timeout in Healthcheck cannot be less than 1ms"),
    (
        {"Healthcheck": {"Test": ["CMD", "x"], "StartInterval": 1}},
        "StartInterval in Healthcheck cannot be less than 1ms",
    ),
    ({"Healthcheck": {"Test": ["CMD", "x"], "Retries": -1}}, "Retries in Healthcheck cannot be negative"),
    ({"ExposedPorts": {"x/tcp": {}}}, "invalid JSON: invalid port 'x': invalid syntax"),
    ({"ExposedPorts": {"70000/tcp": {}}}, "invalid JSON: invalid port '70000': value out of range"),
]

HOSTS: list[tuple[dict[str, Any], str]] = [
    ({"ShmSize": -1}, "SHM size can not be less than 0"),
    ({"OomScoreAdj": 5000}, "Invalid value 5000, range for oom score adj is [-1000, 1000]"),
    ({"RestartPolicy": {"Name": "nonsense"}}, "invalid restart policy: unknown policy 'nonsense'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"),
    ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, "invalid restart policy: maximum retry count can only be used with 'on-failure'"),
    ({"RestartPolicy": {"Name": "", "MaximumRetryCount": -1}}, "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative"),
    ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}, "invalid restart policy: maximum retry count cannot be negative"),
    ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "can't create 'AutoRemove' container with restart policy"),
    ({"CapAdd": ["NONSENSE"]}, 'invalid CapAdd: unknown capability: "CAP_NONSENSE"'),
    ({"CapDrop": ["NONSENSE"]}, 'invalid CapDrop: unknown capability: "CAP_NONSENSE"'),
    ({"Dns": ["x"]}, 'invalid JSON: ParseAddr("x"): unable to parse IP'),
    ({"ExtraHosts": ["x"]}, 'bad format for add-host: "x"'),
    ({"ExtraHosts": ["x:[::1]"]}, 'invalid IP address in add-host: "[::1]"'),
    ({"ExtraHosts": ["x:y"]}, 'invalid IP address in add-host: "y"'),
    ({"LogConfig": {"Type": "nonsense"}}, 'error looking up logging plugin nonsense: plugin "nonsense" not found'),
    ({"LogConfig": {"Type": "json-file", "Config": {"nonsense": "1"}}}, "unknown log opt 'nonsense' for json-file log driver"),
    ({"IpcMode": "nonsense"}, "invalid IPC mode: nonsense"),
    ({"PidMode": "nonsense"}, "invalid PID mode: nonsense"),
    ({"UTSMode": "nonsense"}, "invalid UTS mode: nonsense"),
    ({"CgroupnsMode": "nonsense"}, "invalid cgroup namespace mode: nonsense"),
    ({"Isolation": "hyperv"}, "invalid isolation (hyperv): linux only supports 'default'"),
    ({"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}, 'invalid port specification: "x"'),
    ({"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}, 'invalid port specification: "70000"'),
    ({"PortBindings": {"0/tcp": [{"HostPort": "8080"}]}}, 'invalid port specification: "0/tcp"'),
    ({"PortBindings": {"80/tcp": [{"HostIp": "x", "HostPort": "1"}]}}, 'invalid JSON: ParseAddr("x"): unable to parse IP'),
    ({"PortBindings": {"x": [{"HostPort": "1"}]}}, "invalid JSON: invalid port 'x': invalid syntax"),
    ({"PortBindings": {"80-81/tcp": [{"HostPort": "18999"}]}}, "invalid JSON: invalid port '80-81': invalid syntax"),
    ({"Annotations": {"": "x"}}, "invalid Annotations: the empty string is not permitted as an annotation key"),
]  # fmt: skip

INTERNAL: list[tuple[dict[str, Any], str]] = [
    ({"SecurityOpt": ["nonsense"]}, 'invalid --security-opt 1: "nonsense"'),
    ({"SecurityOpt": ["nonsense=1"]}, 'invalid --security-opt 2: "nonsense=1"'),
    ({"Links": ["a:b:c"]}, "bad format for links: a:b:c"),
]

START = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
)
IN_INIT = START + "unable to start container process: error during container init: "
AT_START: list[tuple[dict[str, Any], str]] = [
    ({"Sysctls": {"nonsense.x": "1"}}, START + 'sysctl "nonsense.x" is not in a separate kernel namespace'),
    ({"Sysctls": {"kernel.panic": "1"}}, START + 'sysctl "kernel.panic" is not in a separate kernel namespace'),
    ({"NetworkMode": "host", "Sysctls": {"net.ipv4.ip_forward": "1"}}, START + 'sysctl "net.ipv4.ip_forward" not allowed in host network namespace'),
    ({"IpcMode": "host", "Sysctls": {"kernel.shmmax": "1"}}, START + 'sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace'),
    ({"Sysctls": {"net.x": "1\nkernel.panic=1"}}, START + "sysctl 'net.x' has control characters"),
    ({"Sysctls": {"kernel.hostname": "x"}}, START + 'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field'),
    ({"CpuShares": 1}, IN_INIT + "error setting cgroup config for procHooks process: the minimum allowed cpu-shares is 2"),
    ({"CpuShares": 300000}, IN_INIT + "error setting cgroup config for procHooks process: the maximum allowed cpu-shares is 262144"),
    ({"Ulimits": [{"Name": "nofile", "Soft": 300, "Hard": 200}]}, IN_INIT + "error setting rlimits for ready process: error setting rlimit type 7: invalid argument"),
    ({"Runtime": "io.containerd.foo.v1"}, 'failed to create task for container: failed to start shim: failed to resolve runtime path: runtime "io.containerd.foo.v1" binary not installed "containerd-shim-foo-v1": file does not exist'),
    ({"DeviceCgroupRules": ["nonsense"]}, "invalid device cgroup rule format: 'nonsense'"),
    ({"Ulimits": [{"Name": "nonsense", "Soft": 1, "Hard": 1}]}, START + "wrong rlimit value: RLIMIT_NONSENSE"),
]  # fmt: skip

ACCEPTED: list[dict[str, Any]] = [
    {"StopTimeout": -5},
    {"StopSignal": "65", "Hostname": "a" * 64},
    {"StopSignal": "-1"},
    {"Hostname": "a_b!"},
    {"ExposedPorts": {"80/xyz": {}}},
    {"StopSignal": "sigrtmin+3"},
    {"HostConfig": {"PidsLimit": -7, "StorageOpt": {"size": "1G"}, "CgroupParent": "a.slice/x"}},
    {"HostConfig": {"MemorySwap": -1, "Memory": 64 * MIB, "MemorySwappiness": -1}},
    {"HostConfig": {"CapAdd": ["ALL"], "CapDrop": ["net_raw", "CAP_MKNOD"]}},
    {"HostConfig": {"IpcMode": "container:", "PidMode": "host", "NetworkMode": "anything"}},
    {"HostConfig": {"ExtraHosts": ["a:host-gateway", "b:::1", "c:1.2.3.4"]}},
    {"HostConfig": {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined", "apparmor:x", "label=disable"]}},
    {"HostConfig": {"Sysctls": {"net.core.somaxconn": "9", "kernel.shmmax": "1", "fs.mqueue.msg_max": "2"}}},
    {"HostConfig": {"PortBindings": {"80": [{"HostPort": "8000-8010"}], "81/udp": None}}},
]


def request(value: dict[str, Any]) -> CreateRequest:
    return decode_object(json.dumps(value).encode(), CreateRequest, "container.CreateRequest")


def check(value: dict[str, Any]) -> None:
    asked = request(value)
    validate.config(asked)
    if asked.host_config:
        validate.host_config(asked.host_config)
        validate.launch_options(asked.host_config, asked)


def refusal(value: dict[str, Any]) -> tuple[type[NaruError], str]:
    with pytest.raises(NaruError) as caught:
        check(value)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(("value", "text"), CONFIGS)
def test_config(value: dict[str, Any], text: str) -> None:
    assert refusal(value) == (InvalidArgument, text)


@pytest.mark.parametrize(("value", "text"), HOSTS)
def test_host_config(value: dict[str, Any], text: str) -> None:
    assert refusal({"HostConfig": value}) == (InvalidArgument, text)


@pytest.mark.parametrize(("value", "text"), [*INTERNAL, *AT_START])
def test_what_docker_calls_its_own_fault(value: dict[str, Any], text: str) -> None:
    assert refusal({"HostConfig": value}) == (Internal, text)


@pytest.mark.parametrize("value", ACCEPTED)
def test_accepted(value: dict[str, Any]) -> None:
    check(value)


@pytest.mark.parametrize(("value", "text"), AT_START)
def test_create_does_not_look_at_what_start_will(value: dict[str, Any], text: str) -> None:
    host = request({"HostConfig": value}).host_config
    assert host is not None
    validate.host_config(host)


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("SIGTERM", 15), ("sigkill", 9), ("9", 9), ("64", 64), ("RTMIN", 34), ("SIGRTMIN+15", 49), ("RTMAX-14", 50), ("RTMAX", 64)],
)  # fmt: skip
def test_signals(text: str, number: int) -> None:
    assert validate.signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "SIG", "TERMINATE", "RTMIN+16", "SIGSIGTERM", "9x"])
def test_no_signals(text: str) -> None:
    with pytest.raises(InvalidArgument):
        validate.signal_number(text)


@pytest.mark.parametrize("text", ["ab", "/ab", "a.b-c_d", "A0", "x" * 5000])
def test_names(text: str) -> None:
    assert validate.name(text) == text.removeprefix("/")


@pytest.mark.parametrize(
    "text", ["a", "/", "//ab", "a/b", ".a", "-a", "a b", "a*", "\u00e9\u00e9", "..", "ab\n", "a\0b"]
)
def test_no_names(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate.name(text)
    assert str(caught.value) == f"Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
