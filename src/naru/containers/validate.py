"""What a create request may say, checked before anything is made; and the defaults that inspect shows.

Pure. Checks stand in the order Docker makes them, with its words; each raises InvalidArgument. Everything that needs the
image, other containers or volumes is checked where those are (`creation`).
"""

from __future__ import annotations

import ipaddress
import re
import signal
from collections.abc import Callable

from naru.containers.runtimespec import ALL_CAPABILITIES
from naru.errors import Internal, InvalidArgument
from naru.wire.container import Config, HostConfig, Resources, RestartPolicy

NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_CPU_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_MIB = 1 << 20
_MS_NS = 1_000_000
_MAX_HOSTNAME_BYTES = 64
_REFUSED = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
_DEVICE_RULE = re.compile(r"[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}")
_IPC_SYSCTLS = {
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
}  # fmt: skip
_RLIMITS = {
    "AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "RTTIME",
    "SIGPENDING", "STACK",
}  # fmt: skip
_LOG_OPTIONS = {
    "max-size",
    "max-file",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "compress",
    "mode",
    "max-buffer-size",
}
LOG_DRIVERS = ("json-file", "local", "none")


def name(text: str) -> str:
    """The name without its slash."""
    if not NAME.fullmatch(text):
        raise InvalidArgument(f"Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return text.removeprefix("/")


def signal_number(text: str) -> int:
    """A signal by number or by name, with or without SIG, in any letter case."""
    if text.isdigit():
        number = int(text)
        if number == 0:
            raise InvalidArgument("invalid signal: 0")
        if number > 64:
            raise InvalidArgument(f"the linux daemon does not support signal {number}")
        return number
    upper = text.upper().removeprefix("SIG")
    found = SIGNALS.get(upper)
    if found is None:
        raise InvalidArgument(f"invalid signal: {text}")
    return found


SIGNALS = {
    **{name.removeprefix("SIG"): int(value) for name, value in signal.Signals.__members__.items()},
    **{f"RTMIN+{i}": 34 + i for i in range(1, 16)},
    **{f"RTMAX-{i}": 64 - i for i in range(1, 15)},
    "RTMIN": 34,
    "RTMAX": 64,
}


def config(value: Config) -> None:
    if len(value.hostname.encode()) >= _MAX_HOSTNAME_BYTES:
        raise InvalidArgument(f'hostname "{value.hostname}" is too long (maximum {_MAX_HOSTNAME_BYTES} bytes)')
    for entry in value.env or []:
        if not entry or entry.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {entry}")
    if value.working_dir and not value.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{value.working_dir}' is invalid, it needs to be an absolute path"
        )
    if value.stop_signal:
        signal_number(value.stop_signal)
    check = value.healthcheck
    if check is not None:
        for field, duration in (("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.start_period), ("StartInterval", check.start_interval)):  # fmt: skip
            if duration and duration < _MS_NS:
                raise InvalidArgument(f"{field} in Healthcheck cannot be less than 1ms")
        if check.retries < 0:
            raise InvalidArgument("Retries in Healthcheck cannot be negative")
    for port in value.exposed_ports or {}:
        parse_port(port)


def parse_port(text: str) -> tuple[int, str]:
    """`80/tcp` → (80, "tcp")."""
    number, _, protocol = text.partition("/")
    if not number.isdigit():
        raise InvalidArgument(f"invalid JSON: invalid port '{number}': invalid syntax")
    if int(number) > 65535:
        raise InvalidArgument(f"invalid JSON: invalid port '{number}': value out of range")
    return int(number), protocol or "tcp"


def host_config(value: HostConfig, cpus: int) -> None:
    resources(value, cpus)
    restart_policy(value.restart_policy)
    if value.auto_remove and value.restart_policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    for check in _HOST_CHECKS:
        check(value)


def _fields(value: HostConfig) -> None:
    if value.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    if not -1000 <= value.oom_score_adj <= 1000:
        raise InvalidArgument(f"Invalid value {value.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if value.isolation not in ("", "default"):
        raise InvalidArgument(f"invalid isolation ({value.isolation}): linux only supports 'default'")
    if any(not key for key in value.annotations or {}):
        raise InvalidArgument("invalid Annotations: the empty string is not permitted as an annotation key")


def _security(value: HostConfig) -> None:
    for option in value.security_opt or []:
        key, separator, _ = option.replace(":", "=", 1).partition("=")
        if not separator and key not in ("no-new-privileges", "label", "disable"):
            raise Internal(f'invalid --security-opt 1: "{option}"')
        if separator and key not in (
            "seccomp",
            "apparmor",
            "label",
            "no-new-privileges",
            "systempaths",
            "writable-cgroups",
        ):
            raise Internal(f'invalid --security-opt 2: "{option}"')
    for link in value.links or []:
        if not link or link.count(":") > 1:
            raise Internal(f"bad format for links: {link}")


def sysctls(value: HostConfig) -> None:
    """Only what belongs to the container's own namespaces may be set. Raises InvalidArgument, when it is started."""
    for key, text in (value.sysctls or {}).items():
        if key.startswith("net."):
            if value.network_mode == "host":
                raise InvalidArgument(f'{_REFUSED}sysctl "{key}" not allowed in host network namespace')
        elif (
            key not in _IPC_SYSCTLS
            and not key.startswith("fs.mqueue.")
            and key not in ("kernel.domainname", "kernel.hostname")
        ):
            raise InvalidArgument(f'{_REFUSED}sysctl "{key}" is not in a separate kernel namespace')
        elif value.ipc_mode == "host" and not key.startswith("kernel.domain"):
            raise InvalidArgument(f'{_REFUSED}sysctl "{key}" is not allowed in the hosts ipc namespace')
        if any(ord(character) < 32 for character in key + text):
            raise InvalidArgument(f"{_REFUSED}sysctl {key!r} has control characters")


def launch_options(value: HostConfig) -> None:
    """What Docker finds out only when the container is started. Raises InvalidArgument."""
    sysctls(value)
    for rule in value.device_cgroup_rules or []:
        if not _DEVICE_RULE.fullmatch(rule):
            raise InvalidArgument(f"invalid device cgroup rule format: '{rule}'")
    for limit in value.ulimits or []:
        if limit.name.upper().removeprefix("RLIMIT_") not in _RLIMITS:
            raise InvalidArgument(f"{_REFUSED}wrong rlimit value: RLIMIT_{limit.name.upper()}")


def _capabilities(value: HostConfig) -> None:
    for field, names in (("CapAdd", value.cap_add), ("CapDrop", value.cap_drop)):
        for text in [names] if isinstance(names, str) else names or []:
            upper = text.upper()
            full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
            if full != "CAP_ALL" and full not in ALL_CAPABILITIES:
                raise InvalidArgument(f'invalid {field}: unknown capability: "{full}"')


def _namespaces(value: HostConfig) -> None:
    modes = (
        ("IPC mode", value.ipc_mode, ("", "none", "private", "shareable", "host")),
        ("PID mode", value.pid_mode, ("", "host")),
        ("UTS mode", value.uts_mode, ("", "host")),
        ("cgroup namespace mode", value.cgroupns_mode, ("", "private", "host")),
    )
    for what, mode, plain in modes:
        joins = mode.startswith("container:") and what in ("IPC mode", "PID mode") and len(mode) > len("container:")
        if mode not in plain and not joins:
            raise InvalidArgument(f"invalid {what}: {mode}")
    if value.network_mode == "container:":
        raise InvalidArgument("invalid network mode: invalid container format container:<name|id>")


def _network(value: HostConfig) -> None:
    for address in value.dns or []:
        _address(address)
    for entry in value.extra_hosts or []:
        host, separator, address = entry.partition(":")
        if not separator or not host:
            raise InvalidArgument(f'bad format for add-host: "{entry}"')
        if address != "host-gateway":
            try:
                ipaddress.ip_address(address.strip("[]"))
            except ValueError as error:
                raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from error
    for port, bindings in (value.port_bindings or {}).items():
        parse_port(port)
        for binding in bindings or []:
            if binding.host_ip:
                _address(binding.host_ip)
            _host_port(binding.host_port)


def _address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f'invalid JSON: ParseAddr("{text}"): unable to parse IP') from error


def _host_port(text: str) -> None:
    parts = text.split("-") if text else []
    if len(parts) > 2 or not all(part.isdigit() and int(part) <= 65535 for part in parts):
        raise InvalidArgument(f'invalid port specification: "{text}"')


def _log(value: HostConfig) -> None:
    driver = value.log_config.type
    if driver and driver not in LOG_DRIVERS:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    for option in value.log_config.config or {}:
        if driver in ("", "json-file", "local") and option not in _LOG_OPTIONS:
            raise InvalidArgument(f"unknown log opt '{option}' for {driver or 'json-file'} log driver")


_HOST_CHECKS: tuple[Callable[[HostConfig], None], ...] = (
    _fields,
    _security,
    _capabilities,
    _namespaces,
    _network,
    _log,
)


def resources(value: Resources, cpus: int) -> None:
    _memory(value)
    _cpu(value, cpus)
    if value.io_maximum_bandwidth:
        raise InvalidArgument("invalid option: QoS maximum bandwidth configuration is not supported on linux")
    if value.io_maximum_iops:
        raise InvalidArgument("invalid option: QoS maximum IOPs configuration is not supported on linux")
    if value.blkio_weight and not 10 <= value.blkio_weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")


def _memory(value: Resources) -> None:
    if value.memory and value.memory < 6 * _MIB:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if value.memory_swap > 0 and not value.memory:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    if value.memory and 0 < value.memory_swap < value.memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if value.memory_swappiness is not None and not -1 <= value.memory_swappiness <= 100:
        raise InvalidArgument(f"Invalid value: {value.memory_swappiness}, valid memory swappiness range is 0-100")
    if value.memory_reservation and value.memory_reservation < 6 * _MIB:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if value.memory and value.memory < value.memory_reservation:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")


def _cpu(value: Resources, cpus: int) -> None:
    if value.nano_cpus and value.cpu_period:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if value.nano_cpus and value.cpu_quota:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if value.nano_cpus and not 0 < value.nano_cpus <= cpus * 1_000_000_000:
        raise InvalidArgument(f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if value.cpu_shares < 0:
        raise InvalidArgument(f"invalid CPU shares ({value.cpu_shares}): value must be a positive integer")
    if value.cpu_period and not 1000 <= value.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < value.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    for what, text in (("cpus", value.cpuset_cpus), ("mems", value.cpuset_mems)):
        if text and not _CPU_LIST.fullmatch(text):
            raise InvalidArgument(f"Invalid value {text} for cpuset {what}: invalid format: {text}")
    if value.cpuset_cpus and max(int(n) for n in re.findall(r"\d+", value.cpuset_cpus)) >= cpus:
        available = "0" if cpus == 1 else f"0-{cpus - 1}"
        raise InvalidArgument(
            f"Requested CPUs are not available - requested {value.cpuset_cpus}, available: {available}"
        )


def restart_policy(value: RestartPolicy) -> None:
    if value.name not in ("", "no", "always", "on-failure", "unless-stopped"):
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{value.name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if value.maximum_retry_count < 0:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")
    if value.maximum_retry_count and value.name != "on-failure":
        raise InvalidArgument("invalid restart policy: maximum retry count can only be used with 'on-failure'")
