from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naru.cli import runflags
from naru.cli.grammar import Args, UsageError
from naru.errors import InvalidArgument

Parsed = Callable[..., Args]


def body(parsed: Parsed, line: str, *more: str) -> dict[str, Any]:
    return runflags.container(parsed("run", *line.split(), *more, "image", "cmd", "-x"), detach=False)


# flags, path in the body, value
FIELDS: list[tuple[str, str, Any]] = [
    ("", "Image", "image"),
    ("", "Cmd", ["cmd", "-x"]),
    ("", "HostConfig.NetworkMode", "default"),
    ("", "AttachStdin", False),
    ("", "AttachStdout", True),
    ("-i", "StdinOnce", True),
    ("-i", "AttachStdin", True),
    ("-a stdout", "AttachStderr", False),
    ("-t", "Tty", True),
    ("-e A=b -e C=", "Env", ["A=b", "C="]),
    ("-e NARU_TEST_SET -e NARU_TEST_UNSET", "Env", ["NARU_TEST_SET=here"]),
    ("-w /x", "WorkingDir", "/x"),
    ("-u 1:2", "User", "1:2"),
    ("-h host", "Hostname", "host"),
    ("--entrypoint sh", "Entrypoint", ["sh"]),
    ("--entrypoint=", "Entrypoint", [""]),
    ("-l a=b --label c", "Labels", {"a": "b", "c": ""}),
    ("--stop-signal INT --stop-timeout 3", "StopTimeout", 3),
    ("--health-cmd true --health-interval 1.5s", "Healthcheck", {"Test": ["CMD-SHELL", "true"], "Interval": 1500000000}),
    ("--no-healthcheck", "Healthcheck", {"Test": ["NONE"]}),
    ("-m 64m", "HostConfig.Memory", 64 << 20),
    ("--memory-swap -1", "HostConfig.MemorySwap", -1),
    ("--cpus 1.5", "HostConfig.NanoCpus", 1500000000),
    ("--pids-limit 10", "HostConfig.PidsLimit", 10),
    ("--shm-size 1g", "HostConfig.ShmSize", 1 << 30),
    ("--cap-add A --cap-add B", "HostConfig.CapAdd", ["A", "B"]),
    ("--privileged", "HostConfig.Privileged", True),
    ("--init=false", "HostConfig.Init", False),
    ("--rm", "HostConfig.AutoRemove", True),
    ("--read-only", "HostConfig.ReadonlyRootfs", True),
    ("-P", "HostConfig.PublishAllPorts", True),
    ("--restart on-failure:3", "HostConfig.RestartPolicy", {"Name": "on-failure", "MaximumRetryCount": 3}),
    ("--sysctl a.b=1 --sysctl c=2", "HostConfig.Sysctls", {"a.b": "1", "c": "2"}),
    ("--log-driver local --log-opt max-size=1m", "HostConfig.LogConfig", {"Type": "local", "Config": {"max-size": "1m"}}),
    ("--ulimit nofile=1:2 --ulimit nproc=5", "HostConfig.Ulimits",
     [{"Name": "nofile", "Soft": 1, "Hard": 2}, {"Name": "nproc", "Soft": 5, "Hard": 5}]),
    ("--device /dev/a", "HostConfig.Devices", [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"}]),
    ("--device /dev/a:/dev/b:r", "HostConfig.Devices", [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}]),
    ("--device v.com/gpu=all", "HostConfig.DeviceRequests", [{"Driver": "cdi", "DeviceIDs": ["v.com/gpu=all"]}]),
    ("--device-read-bps /dev/a:1mb", "HostConfig.BlkioDeviceReadBps", [{"Path": "/dev/a", "Rate": 1 << 20}]),
    ("--add-host a:1.2.3.4 --add-host b=[::1] --add-host c:host-gateway", "HostConfig.ExtraHosts",
     ["a:1.2.3.4", "b:::1", "c:host-gateway"]),
    ("--dns 1.1.1.1 --dns-option x --dns-search y", "HostConfig.Dns", ["1.1.1.1"]),
    ("--security-opt no-new-privileges --security-opt seccomp=unconfined", "HostConfig.SecurityOpt",
     ["no-new-privileges", "seccomp=unconfined"]),
    ("--security-opt systempaths=unconfined", "HostConfig.MaskedPaths", []),
    ("-v /a:/b:ro -v n:/c -v /d", "HostConfig.Binds", ["/a:/b:ro", "n:/c"]),
    ("-v /d", "Volumes", {"/d": {}}),
    ("--tmpfs /t --tmpfs /u:size=1m", "HostConfig.Tmpfs", {"/t": "", "/u": "size=1m"}),
    ("-p 80 --expose 90", "ExposedPorts", {"80/tcp": {}, "90/tcp": {}}),
    ("--network n --network-alias a --ip 1.2.3.4", "NetworkingConfig.EndpointsConfig.n",
     {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "1.2.3.4"}}),
    ("--network n", "HostConfig.NetworkMode", "n"),
    ("--net host", "HostConfig.NetworkMode", "host"),
    ("--net host", "NetworkingConfig.EndpointsConfig", {}),
    ("--network a --network name=b,alias=x,ip=1.1.1.1,driver-opt=k=v", "NetworkingConfig.EndpointsConfig",
     {"a": {}, "b": {"Aliases": ["x"], "IPAMConfig": {"IPv4Address": "1.1.1.1"}, "DriverOpts": {"k": "v"}}}),
    ("--link db", "HostConfig.Links", ["db"]),
    ("--pid host --ipc host --uts host --userns host --cgroupns host", "HostConfig.PidMode", "host"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "path", "wanted"), FIELDS)
def test_fields(line: str, path: str, wanted: Any, parsed: Parsed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_TEST_SET", "here")
    value: Any = body(parsed, line)
    for key in path.split("."):
        value = value[key]
    assert value == wanted


def test_detached_attaches_nothing(parsed: Parsed) -> None:
    value = runflags.container(parsed("run", "-d", "-i", "image"), detach=True)
    assert (value["AttachStdin"], value["AttachStdout"], value["OpenStdin"], value["StdinOnce"]) == (
        False,
        False,
        True,
        False,
    )
    assert value["Cmd"] is None


REFUSED = [
    ("-m foo", UsageError, 'invalid argument "foo" for "-m, --memory" flag: invalid size: \'foo\''),
    ("-a foo", UsageError, "valid streams are STDIN, STDOUT and STDERR"),
    ("--cpus x", UsageError, 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number'),
    ("--health-interval x", UsageError, 'time: invalid duration "x"'),
    ("--ulimit foo", UsageError, "invalid ulimit argument: foo"),
    ("--ulimit nofile=5:1", UsageError, "soft limit must be less than or equal to hard limit: 5 > 1"),
    ("--add-host foo", UsageError, 'bad format for add-host: "foo"'),
    ("--add-host a:b", UsageError, "invalid IP address in add-host"),
    ("--dns foo", UsageError, "IP address is not correctly formatted: foo"),
    ("--mount foo", UsageError, "invalid field 'foo' must be a key=value pair"),
    ("-l =x", UsageError, "empty name"),
    ("-e =x", UsageError, "invalid environment variable: =x"),
    ("--device-read-bps x", UsageError, "bad format: x"),
    ("-p foo", InvalidArgument, "invalid containerPort: foo"),
    ("--device foo", InvalidArgument, "foo is not an absolute path"),
    ("--rm --restart always", InvalidArgument, "cannot specify both --restart and --rm"),
    ("--restart on-failure:x", InvalidArgument, "maximum retry count must be an integer"),
    ("--security-opt foo", InvalidArgument, 'Invalid --security-opt: "foo"'),
    ("--security-opt seccomp=/nowhere", InvalidArgument, "opening seccomp profile"),
    ("--env-file /nowhere", InvalidArgument, "open /nowhere: no such file or directory"),
    ("--no-healthcheck --health-cmd x", InvalidArgument, "conflicts with --health-"),
    ("--gpus all", InvalidArgument, "GPUs are not supported"),
    ("--network name=", InvalidArgument, "network name/id is not specified"),
    ("--network name=a,foo=b", InvalidArgument, "invalid field key foo"),
    ("--network name=a,ip=1.1.1.1 --ip 2.2.2.2", InvalidArgument, "cannot specify both"),
]


@pytest.mark.parametrize(("line", "kind", "words"), REFUSED)
def test_refused(line: str, kind: type[Exception], words: str, parsed: Parsed) -> None:
    with pytest.raises(kind) as caught:
        body(parsed, line)
    assert words in str(caught.value)


def test_attach_and_detach(parsed: Parsed) -> None:
    with pytest.raises(InvalidArgument, match="cannot specify both --attach and --detach"):
        runflags.container(parsed("run", "-a", "stdout", "x"), detach=True)


def test_files(parsed: Parsed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_TEST_SET", "here")
    (tmp_path / "env").write_text("# comment\n\nA=1\n  B=2 \nNARU_TEST_SET\nNARU_TEST_UNSET\n")
    (tmp_path / "labels").write_text("x=y\n")
    (tmp_path / "seccomp").write_text('{\n "defaultAction": "SCMP_ACT_ALLOW"\n}')
    value = body(
        parsed,
        f"--env-file {tmp_path}/env -e A=2 --label-file {tmp_path}/labels --security-opt seccomp={tmp_path}/seccomp",
    )
    assert value["Env"] == ["A=1", "B=2 ", "NARU_TEST_SET=here", "A=2"]
    assert value["Labels"] == {"x": "y"}
    assert value["HostConfig"]["SecurityOpt"] == ['seccomp={ "defaultAction": "SCMP_ACT_ALLOW" }']
