"""The flags of run and create as the body of POST /containers/create.

Most flags are a field of Config or HostConfig each, and stand in tables; the rest have a reader. Values that a flag cannot
take are UsageError or InvalidArgument, in Docker's words. Files named by flags are read here; nothing else is touched.
"""

from __future__ import annotations

import os

from naru.cli import runmounts, runnetworks, runports
from naru.cli.units import read_duration, read_size
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args

    Json = dict[str, Any]

# flag: field, by what the flag takes
_CONFIG_TEXT = {
    "hostname": "Hostname", "domainname": "Domainname", "user": "User", "workdir": "WorkingDir",
    "stop-signal": "StopSignal", "mac-address": "MacAddress",
}  # fmt: skip
_HOST_TEXT = {
    "cgroup-parent": "CgroupParent", "cgroupns": "CgroupnsMode", "cpuset-cpus": "CpusetCpus", "cpuset-mems": "CpusetMems",
    "ipc": "IpcMode", "pid": "PidMode", "runtime": "Runtime", "userns": "UsernsMode", "uts": "UTSMode",
    "volume-driver": "VolumeDriver",
}  # fmt: skip
_HOST_NUMBER = {
    "blkio-weight": "BlkioWeight", "cpu-period": "CpuPeriod", "cpu-quota": "CpuQuota", "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime", "cpu-shares": "CpuShares", "memory-swappiness": "MemorySwappiness",
    "oom-score-adj": "OomScoreAdj", "pids-limit": "PidsLimit",
}  # fmt: skip
_HOST_BYTES = {"memory": "Memory", "memory-reservation": "MemoryReservation", "shm-size": "ShmSize"}
_HOST_SWITCH = {
    "init": "Init", "oom-kill-disable": "OomKillDisable", "privileged": "Privileged", "publish-all": "PublishAllPorts",
    "read-only": "ReadonlyRootfs", "rm": "AutoRemove",
}  # fmt: skip
_HOST_LIST = {
    "cap-add": "CapAdd", "cap-drop": "CapDrop", "device-cgroup-rule": "DeviceCgroupRules",
    "dns-search": "DnsSearch", "group-add": "GroupAdd", "volumes-from": "VolumesFrom",
}  # fmt: skip
_HOST_MAP = {"annotation": "Annotations", "storage-opt": "StorageOpt", "sysctl": "Sysctls"}
_HEALTH = {
    "health-interval": "Interval", "health-start-interval": "StartInterval",
    "health-start-period": "StartPeriod", "health-timeout": "Timeout",
}  # fmt: skip
_DEVICE_RATES = {
    "device-read-bps": "BlkioDeviceReadBps", "device-write-bps": "BlkioDeviceWriteBps",
    "device-read-iops": "BlkioDeviceReadIOps", "device-write-iops": "BlkioDeviceWriteIOps",
}  # fmt: skip
_STREAMS = ("stdin", "stdout", "stderr")


def _lines(path: str) -> list[str]:
    """The lines of a file of variables or labels: no comments, no empty ones. Raises InvalidArgument."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.lstrip() for line in file.read().splitlines()]
    except OSError as error:
        raise InvalidArgument(f"open {path}: {(error.strerror or '').lower()}") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"env file {path} contains invalid utf8 bytes: {error}") from error
    return [line for line in lines if line and not line.startswith("#")]


def environment(args: Args) -> list[str]:
    """--env-file, then --env; a name without a value takes ours, and is left out if we have none."""
    for text in args.items("env"):
        if not text or text.startswith("="):
            raise args.refuse("env", text, f"invalid environment variable: {text}")
    found = []
    for text in [*(line for path in args.items("env-file") for line in _lines(path)), *args.items("env")]:
        name, equals, _ = text.partition("=")
        if equals:
            found.append(text)
        elif name in os.environ:
            found.append(f"{name}={os.environ[name]}")
    return found


def labels(args: Args) -> dict[str, str]:
    found = {}
    files = [line for path in args.items("label-file") for line in _lines(path)]
    for text in [*files, *args.items("label")]:
        key, _, value = text.partition("=")
        if not key:
            raise args.refuse("label", text, f"invalid label '{text}': empty name")
        found[key] = value
    return found


def resources(args: Args) -> Json:
    """The limits that `run`, `create` and `update` share, those that were given."""
    host: Json = {}
    for flag, field in _HOST_NUMBER.items():
        if args.has(flag):
            host[field] = args.number(flag)
    for flag, field in _HOST_BYTES.items():
        for value in args.read(flag, read_size):
            host[field] = value
    for value in args.read("memory-swap", lambda text: -1 if text == "-1" else read_size(text)):
        host["MemorySwap"] = value
    for flag, field in _HOST_TEXT.items():
        if args.has(flag):
            host[field] = args.text(flag)
    for value in args.read("cpus", _nano_cpus):
        host["NanoCpus"] = value
    if args.has("restart"):
        host["RestartPolicy"] = _restart(args.text("restart"))
    return host


def _nano_cpus(text: str) -> int:
    try:
        nano = float(text) * 1e9
        if abs(nano - round(nano)) > 1e-3:
            raise ValueError("value is too precise")
        return round(nano)
    except (ValueError, OverflowError) as error:
        reason = str(error) if "precise" in str(error) else f"failed to parse {text} as a rational number"
        raise ValueError(reason) from error


def _restart(text: str) -> Json:
    name, colon, count = text.partition(":")
    if colon and not count.isdecimal():
        raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer")
    if colon and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def container(args: Args, *, detach: bool) -> Json:
    """The body of POST /containers/create. Raises UsageError, InvalidArgument."""
    image, *command = args.words
    if args.has("gpus"):
        raise InvalidArgument("GPUs are not supported")
    body: Json = {"Image": image, "Cmd": command or None, "Env": environment(args), "Labels": labels(args)}
    if args.has("health-on-failure"):
        body["Labels"]["naru.health.on-failure"] = args.text("health-on-failure")
    body |= {field: args.text(flag) for flag, field in _CONFIG_TEXT.items() if args.has(flag)}
    if args.has("entrypoint"):
        body["Entrypoint"] = [args.text("entrypoint")]
    if args.has("stop-timeout"):
        body["StopTimeout"] = args.number("stop-timeout")
    body |= _streams(args, detach) | _health(args)
    host: Json = resources(args)
    host |= {field: args.on(flag) for flag, field in _HOST_SWITCH.items() if args.has(flag)}
    host |= {field: args.items(flag) for flag, field in _HOST_LIST.items() if args.has(flag)}
    host |= {field: args.pairs(flag) for flag, field in _HOST_MAP.items() if args.has(flag)}
    host |= _devices(args) | runnetworks.names(args) | _security(args)
    if args.has("log-driver") or args.has("log-opt"):
        host["LogConfig"] = {"Type": args.text("log-driver"), "Config": args.pairs("log-opt")}
    if args.has("ulimit"):
        host["Ulimits"] = args.read("ulimit", ulimit)
    _storage(args, body, host)
    _ports(args, body, host)
    if args.on("rm") and args.text("restart", "no") not in ("no", ""):
        raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    body["HostConfig"] = host
    body["NetworkingConfig"] = {"EndpointsConfig": runnetworks.endpoints(args, host)}
    return body


def _streams(args: Args, detach: bool) -> Json:
    attach = [text.lower() for text in args.items("attach")]
    for text in attach:
        if text not in _STREAMS:
            raise args.refuse("attach", text, "valid streams are STDIN, STDOUT and STDERR")
    if attach and detach:
        raise InvalidArgument("conflicting options: cannot specify both --attach and --detach")
    interactive = args.on("interactive")
    wanted = set() if detach else set(attach) or {"stdout", "stderr", *(["stdin"] if interactive else [])}
    stdin = "stdin" in wanted
    return {
        "Tty": args.on("tty"), "OpenStdin": interactive, "StdinOnce": interactive and stdin,
        "AttachStdin": stdin, "AttachStdout": "stdout" in wanted, "AttachStderr": "stderr" in wanted,
    }  # fmt: skip


def _health(args: Args) -> Json:
    check: Json = {}
    for flag, field in _HEALTH.items():
        for value in args.read(flag, read_duration):
            if value < 0:
                raise InvalidArgument(f"--{flag} cannot be negative")
            check[field] = value
    if args.has("health-retries"):
        check["Retries"] = args.number("health-retries")
        if check["Retries"] < 0:
            raise InvalidArgument("--health-retries cannot be negative")
    if args.has("health-cmd"):
        check["Test"] = ["CMD-SHELL", args.text("health-cmd")]
    if args.on("no-healthcheck"):
        if check:
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        check = {"Test": ["NONE"]}
    return {"Healthcheck": check} if check else {}


def _devices(args: Args) -> Json:
    out: Json = {}
    plain, requests = [], []
    for text in args.items("device"):
        if "=" in text and not text.startswith("/"):
            requests.append(text)  # a CDI name: vendor/class=device
            continue
        source, *rest = text.split(":")
        if not source.startswith("/"):
            raise InvalidArgument(f"{text} is not an absolute path")
        permissions = rest.pop() if rest and rest[-1] and set(rest[-1]) <= set("rwm") else "rwm"
        if len(rest) > 1:
            raise InvalidArgument(f"invalid device specification: {text}")
        plain.append(
            {"PathOnHost": source, "PathInContainer": rest[0] if rest else source, "CgroupPermissions": permissions}
        )
    if plain:
        out["Devices"] = plain
    if requests:
        out["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": requests}]
    for flag, field in _DEVICE_RATES.items():
        if args.has(flag):
            out[field] = args.read(flag, _rate if flag.endswith("bps") else _iops)
    return out


def _rate(text: str) -> Json:
    path, colon, rate = text.partition(":")
    if not colon or not path.startswith("/dev/"):
        raise ValueError(f"bad format: {text}")
    return {"Path": path, "Rate": read_size(rate)}


def _iops(text: str) -> Json:
    path, colon, rate = text.partition(":")
    if not colon or not path.startswith("/dev/") or not rate.isdecimal():
        raise ValueError(f"invalid rate for device: {text}. The correct format is <device-path>:<number>")
    return {"Path": path, "Rate": int(rate)}


def ulimit(text: str) -> Json:
    name, equals, value = text.partition("=")
    soft, colon, hard = value.partition(":")
    hard = hard if colon else soft
    if not equals or not name or not soft:
        raise ValueError(f"invalid ulimit argument: {text}")
    try:
        limits = {"Name": name, "Soft": int(soft), "Hard": int(hard)}
    except ValueError as error:
        raise ValueError(f"invalid ulimit argument: {text}") from error
    if int(soft) > int(hard) != -1:
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return limits


def _security(args: Args) -> Json:
    out: Json = {}
    options = []
    for text in args.items("security-opt"):
        key, equals, value = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
        if not equals and key != "no-new-privileges":
            raise InvalidArgument(f'Invalid --security-opt: "{text}"')
        if key == "systempaths" and value == "unconfined":
            out |= {"MaskedPaths": [], "ReadonlyPaths": []}
            continue
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            try:
                with open(value) as file:
                    text = f"seccomp={' '.join(file.read().split())}"
            except OSError as error:
                raise InvalidArgument(
                    f"opening seccomp profile ({value}) failed: open {value}: {(error.strerror or '').lower()}"
                ) from error
        options.append(text)
    if options:
        out["SecurityOpt"] = options
    return out


def _storage(args: Args, body: Json, host: Json) -> None:
    for text in args.items("volume"):
        try:
            runmounts.add_volume(text, body, host)
        except ValueError as error:
            raise InvalidArgument(str(error)) from error
    if args.has("tmpfs"):
        host["Tmpfs"] = dict(runmounts.read_tmpfs(text) for text in args.items("tmpfs"))
    if args.has("mount"):
        host["Mounts"] = args.read("mount", runmounts.read_mount)


def _ports(args: Args, body: Json, host: Json) -> None:
    try:
        bindings = runports.publish(args.items("publish"))
        exposed = runports.expose(args.items("expose"))
    except ValueError as error:
        raise InvalidArgument(str(error)) from error
    if bindings:
        host["PortBindings"] = bindings
    if bindings or exposed:
        body["ExposedPorts"] = {port: {} for port in bindings} | exposed
