"""What create refuses, in the words of Docker 29's own answers (recorded on this kind of host with two CPUs)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naru.containers import validate
from naru.errors import Internal, InvalidArgument, NaruError
from naru.wire.container import CreateRequest, UpdateRequest
from naru.wire.decode import decode_object

MIB = 1 << 20
GCPU = 10**9

CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"Hostname": "a" * 64}, f'hostname "{"a" * 64}" is too long (maximum 64 bytes)'),
    ({"Env": [""]}, "invalid environment variable: "),
    ({"Env": ["A=1", "=x"]}, "invalid environment variable: =x"),
    ({"WorkingDir": "rel"}, "the working directory 'rel' is invalid, it needs to be an absolute path"),
    ({"StopSignal": "NONSENSE"}, "invalid signal: NONSENSE"),
    ({"StopSignal": "65"}, "the linux daemon does not support signal 65"),
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
    ({"Memory": 1}, "Minimum memory limit allowed is 6MB"),
    ({"Memory": -1}, "Minimum memory limit allowed is 6MB"),
    ({"Memory": 64 * MIB, "MemorySwap": 32 * MIB}, "Minimum memoryswap limit should be larger than memory limit, see usage"),
    ({"MemorySwap": 64 * MIB}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
    ({"Memory": 64 * MIB, "MemoryReservation": 128 * MIB}, "Minimum memory limit can not be less than memory reservation limit, see usage"),
    ({"MemoryReservation": 1}, "Minimum memory reservation allowed is 6MB"),
    ({"MemorySwappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
    ({"NanoCpus": GCPU, "CpuQuota": 1000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    ({"NanoCpus": GCPU, "CpuPeriod": 1000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
    ({"NanoCpus": 1000 * GCPU}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"NanoCpus": -1}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"CpuPeriod": 10}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    ({"CpuQuota": 10}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    ({"CpuShares": -1}, "invalid CPU shares (-1): value must be a positive integer"),
    ({"CpusetCpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
    ({"CpusetCpus": "500"}, "Requested CPUs are not available - requested 500, available: 0-1"),
    ({"CpusetMems": "x"}, "Invalid value x for cpuset mems: invalid format: x"),
    ({"BlkioWeight": 1}, "Range of blkio weight is from 10 to 1000"),
    ({"ShmSize": -1}, "SHM size can not be less than 0"),
    ({"OomScoreAdj": 5000}, "Invalid value 5000, range for oom score adj is [-1000, 1000]"),
    ({"RestartPolicy": {"Name": "nonsense"}}, "invalid restart policy: unknown policy 'nonsense'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"),
    ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, "invalid restart policy: maximum retry count can only be used with 'on-failure'"),
    ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}, "invalid restart policy: maximum retry count cannot be negative"),
    ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "can't create 'AutoRemove' container with restart policy"),
    ({"CapAdd": ["NONSENSE"]}, 'invalid CapAdd: unknown capability: "CAP_NONSENSE"'),
    ({"CapDrop": ["NONSENSE"]}, 'invalid CapDrop: unknown capability: "CAP_NONSENSE"'),
    ({"Dns": ["x"]}, 'invalid JSON: ParseAddr("x"): unable to parse IP'),
    ({"ExtraHosts": ["x"]}, 'bad format for add-host: "x"'),
    ({"ExtraHosts": ["x:y"]}, 'invalid IP address in add-host: "y"'),
    ({"LogConfig": {"Type": "nonsense"}}, 'error looking up logging plugin nonsense: plugin "nonsense" not found'),
    ({"LogConfig": {"Type": "json-file", "Config": {"nonsense": "1"}}}, "unknown log opt 'nonsense' for json-file log driver"),
    ({"NetworkMode": "container:"}, "invalid network mode: invalid container format container:<name|id>"),
    ({"IpcMode": "nonsense"}, "invalid IPC mode: nonsense"),
    ({"PidMode": "nonsense"}, "invalid PID mode: nonsense"),
    ({"UTSMode": "nonsense"}, "invalid UTS mode: nonsense"),
    ({"CgroupnsMode": "nonsense"}, "invalid cgroup namespace mode: nonsense"),
    ({"Isolation": "hyperv"}, "invalid isolation (hyperv): linux only supports 'default'"),
    ({"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}, 'invalid port specification: "x"'),
    ({"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}, 'invalid port specification: "70000"'),
    ({"PortBindings": {"80/tcp": [{"HostIp": "x", "HostPort": "1"}]}}, 'invalid JSON: ParseAddr("x"): unable to parse IP'),
    ({"PortBindings": {"x": [{"HostPort": "1"}]}}, "invalid JSON: invalid port 'x': invalid syntax"),
    ({"PortBindings": {"80-81/tcp": [{"HostPort": "18999"}]}}, "invalid JSON: invalid port '80-81': invalid syntax"),
    ({"Annotations": {"": "x"}}, "invalid Annotations: the empty string is not permitted as an annotation key"),
    ({"IOMaximumBandwidth": 1}, "invalid option: QoS maximum bandwidth configuration is not supported on linux"),
]  # fmt: skip

INTERNAL: list[tuple[dict[str, Any], str]] = [
    ({"SecurityOpt": ["nonsense"]}, 'invalid --security-opt 1: "nonsense"'),
    ({"SecurityOpt": ["nonsense=1"]}, 'invalid --security-opt 2: "nonsense=1"'),
    ({"Links": ["a:b:c"]}, "bad format for links: a:b:c"),
]

START = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
AT_START: list[tuple[dict[str, Any], str]] = [
    ({"Sysctls": {"nonsense.x": "1"}}, START + 'sysctl "nonsense.x" is not in a separate kernel namespace'),
    ({"Sysctls": {"kernel.panic": "1"}}, START + 'sysctl "kernel.panic" is not in a separate kernel namespace'),
    ({"NetworkMode": "host", "Sysctls": {"net.ipv4.ip_forward": "1"}}, START + 'sysctl "net.ipv4.ip_forward" not allowed in host network namespace'),
    ({"IpcMode": "host", "Sysctls": {"kernel.shmmax": "1"}}, START + 'sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace'),
    ({"Sysctls": {"net.x": "1\nkernel.panic=1"}}, START + "sysctl 'net.x' has control characters"),
    ({"DeviceCgroupRules": ["nonsense"]}, "invalid device cgroup rule format: 'nonsense'"),
    ({"Ulimits": [{"Name": "nonsense", "Soft": 1, "Hard": 1}]}, START + "wrong rlimit value: RLIMIT_NONSENSE"),
]  # fmt: skip

ACCEPTED: list[dict[str, Any]] = [
    {"StopTimeout": -5},
    {"Hostname": "a_b!"},
    {"ExposedPorts": {"80/xyz": {}}},
    {"StopSignal": "sigrtmin+3"},
    {"HostConfig": {"PidsLimit": -7, "StorageOpt": {"size": "1G"}, "CgroupParent": "a.slice/x"}},
    {"HostConfig": {"MemorySwap": -1, "Memory": 64 * MIB, "MemorySwappiness": -1}},
    {"HostConfig": {"CapAdd": ["ALL"], "CapDrop": ["net_raw", "CAP_MKNOD"]}},
    {"HostConfig": {"IpcMode": "container:x", "PidMode": "host", "NetworkMode": "anything"}},
    {"HostConfig": {"ExtraHosts": ["a:host-gateway", "b:[::1]", "c:1.2.3.4"]}},
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
        validate.host_config(asked.host_config, cpus=2)
        validate.launch_options(asked.host_config)


def refusal(value: dict[str, Any]) -> tuple[type[NaruError], str]:
    with pytest.raises(NaruError) as caught:
        check(value)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(("value", "text"), CONFIGS)
def test_config(value: dict[str, Any], text: str) -> None:
    assert refusal(value) == (InvalidArgument, text)


@pytest.mark.parametrize(("value", "text"), [*HOSTS, *AT_START])
def test_host_config(value: dict[str, Any], text: str) -> None:
    assert refusal({"HostConfig": value}) == (InvalidArgument, text)


@pytest.mark.parametrize(("value", "text"), INTERNAL)
def test_what_docker_calls_its_own_fault(value: dict[str, Any], text: str) -> None:
    assert refusal({"HostConfig": value}) == (Internal, text)


@pytest.mark.parametrize("value", ACCEPTED)
def test_accepted(value: dict[str, Any]) -> None:
    check(value)


@pytest.mark.parametrize(("value", "text"), AT_START)
def test_create_does_not_look_at_what_start_will(value: dict[str, Any], text: str) -> None:
    host = request({"HostConfig": value}).host_config
    assert host is not None
    validate.host_config(host, cpus=2)


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


def test_an_update_is_checked_like_a_create() -> None:
    with pytest.raises(InvalidArgument, match="Minimum memory limit allowed is 6MB"):
        validate.resources(UpdateRequest(memory=1), 2)
    validate.resources(UpdateRequest(), 2)


@pytest.mark.parametrize("cpuset", ["0-2147483647", "0,1,2", "4294967296"])
def test_absurd_cpusets_are_refused_at_once(cpuset: str) -> None:
    assert refusal({"HostConfig": {"CpusetCpus": cpuset}})[0] is InvalidArgument
