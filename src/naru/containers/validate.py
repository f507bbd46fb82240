"""What a create request may say, checked before anything is made; and the defaults that inspect shows.

Pure. Checks stand in the order Docker makes them, with its words; each raises InvalidArgument. Everything that needs the
image, other containers or volumes is checked where those are (`creation`).
"""

from __future__ import annotations

import ipaddress
import re
import signal
from collections.abc import Callable

from naru.containers import modes, securityopt
from naru.containers.runtimespec import ALL_CAPABILITIES
from naru.errors import Internal, InvalidArgument
from naru.logs.options import check as check_log
from naru.wire.container import Config, HostConfig, RestartPolicy

NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_MS_NS = 1_000_000
_MAX_HOSTNAME_BYTES = 64
_REFUSED = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
)
_IN_INIT = f"{_REFUSED}unable to start container process: error during container init: "
RUNTIMES = ("", "crun", "runc", "io.containerd.runc.v2")  # all the one that the daemon has
_SHIM = re.compile(r"io\.containerd\.[a-z0-9-]+\.v[0-9]+")  # Docker takes any such name until it starts one
_DEVICE_RULE = re.compile(r"[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}")
_IPC_SYSCTLS = {
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
}  # fmt: skip
RLIMITS = {  # numbers of getrlimit(2)
    "AS": 9, "CORE": 4, "CPU": 0, "DATA": 2, "FSIZE": 1, "LOCKS": 10, "MEMLOCK": 8, "MSGQUEUE": 12, "NICE": 13, "NOFILE": 7,
    "NPROC": 6, "RSS": 5, "RTPRIO": 14, "RTTIME": 15, "SIGPENDING": 11, "STACK": 3,
}  # fmt: skip

_ARGUMENTS_BYTES = 2 << 20  # execve(2): a quarter of the stack's limit, which is mostly 8 MiB; never more than 6 MiB
_POINTER_BYTES = 9  # one for each string, and its final zero


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
    if len(value.hostname.encode()) > _MAX_HOSTNAME_BYTES:
        raise InvalidArgument(f'hostname "{value.hostname}" is too long (maximum {_MAX_HOSTNAME_BYTES} bytes)')
    for entry in value.env or []:
        if not entry or entry.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {entry}")
    if value.working_dir and not value.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{value.working_dir}' is invalid, it needs to be an absolute path"
        )
    number = value.stop_signal.removeprefix("-")
    if number.isdigit():  # whether the kernel has it is asked when it is sent
        if int(number) == 0:
            raise InvalidArgument(f"invalid signal: {value.stop_signal}")
    elif value.stop_signal:
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
    return int(number), protocol.lower() or "tcp"


def host_config(value: HostConfig) -> None:
    """All but the limits, which are checked against the host (`limits`)."""
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
    if value.isolation.lower() not in ("", "default"):
        raise InvalidArgument(f"invalid isolation ({value.isolation}): linux only supports 'default'")
    if any(not key for key in value.annotations or {}):
        raise InvalidArgument("invalid Annotations: the empty string is not permitted as an annotation key")


def _security(value: HostConfig) -> None:
    securityopt.parse(value.security_opt or [])
    for link in value.links or []:
        if not link or link.count(":") > 1:
            raise Internal(f"bad format for links: {link}")


def sysctls(value: HostConfig) -> None:
    """Only what belongs to the container's own namespaces may be set. Raises Internal, when it is started."""
    for key, text in (value.sysctls or {}).items():
        if key.startswith("net."):
            if value.network_mode == "host":
                raise Internal(f'{_REFUSED}sysctl "{key}" not allowed in host network namespace')
        elif key == "kernel.hostname":
            raise Internal(f'{_REFUSED}sysctl "{key}" is not allowed as it conflicts with the OCI "hostname" field')
        elif key not in _IPC_SYSCTLS and not key.startswith("fs.mqueue.") and key != "kernel.domainname":
            raise Internal(f'{_REFUSED}sysctl "{key}" is not in a separate kernel namespace')
        elif value.ipc_mode == "host" and key != "kernel.domainname":
            raise Internal(f'{_REFUSED}sysctl "{key}" is not allowed in the hosts ipc namespace')
        if any(ord(character) < 32 for character in key + text):
            raise Internal(f"{_REFUSED}sysctl {key!r} has control characters")


def rlimits(value: HostConfig) -> list[tuple[int, int, int]]:
    """(number, soft, hard) of what `launch_options` has let pass."""
    return [(RLIMITS[each.name.upper().removeprefix("RLIMIT_")], each.soft, each.hard) for each in value.ulimits or []]


def launch_options(value: HostConfig, config: Config) -> None:
    """What Docker finds out only when the container is started. Raises Internal."""
    if _SHIM.fullmatch(value.runtime) and value.runtime not in RUNTIMES:
        kind, version = value.runtime.split(".")[-2:]
        raise Internal(
            f'failed to create task for container: failed to start shim: failed to resolve runtime path: runtime "{value.runtime}" '
            f'binary not installed "containerd-shim-{kind}-{version}": file does not exist'
        )
    sysctls(value)
    if config.domainname and value.uts_mode == "host":
        raise Internal(f'{_REFUSED}sysctl "kernel.domainname" is not in a separate kernel namespace')
    words = [*(config.entrypoint or ()), *(config.cmd or ()), *(config.env or ())]
    raised = any(limit.name.lower().endswith("stack") for limit in value.ulimits or [])
    if sum(len(word) + _POINTER_BYTES for word in words) > (_ARGUMENTS_BYTES if not raised else 3 * _ARGUMENTS_BYTES):
        raise Internal(f"{_IN_INIT}exec: argument list too long")  # crun would take hours to find that out
    for entry in config.env or []:
        if "\0" in entry:
            name = entry.partition("=")[0]
            raise Internal(f'{_IN_INIT}invalid environment variable "{name}": contains nul byte (\\x00)')
    for rule in value.device_cgroup_rules or []:
        if not _DEVICE_RULE.fullmatch(rule):
            raise Internal(f"invalid device cgroup rule format: '{rule}'")
    for limit in value.ulimits or []:
        name = limit.name.upper().removeprefix("RLIMIT_")
        if name not in RLIMITS:
            raise Internal(f"{_REFUSED}wrong rlimit value: RLIMIT_{limit.name.upper()}")
        if 0 <= limit.hard < limit.soft or limit.soft < 0 <= limit.hard:
            number = RLIMITS[name]
            raise Internal(
                f"{_IN_INIT}error setting rlimits for ready process: error setting rlimit type {number}: invalid argument"
            )
    for bound, which, bad in ((2, "minimum", 0 < value.cpu_shares < 2), (262144, "maximum", value.cpu_shares > 262144)):
        if bad:
            raise Internal(
                f"{_IN_INIT}error setting cgroup config for procHooks process: the {which} allowed cpu-shares is {bound}"
            )


def _capabilities(value: HostConfig) -> None:
    for field, names in (("CapAdd", value.cap_add), ("CapDrop", value.cap_drop)):
        for text in [names] if isinstance(names, str) else names or []:
            upper = text.upper()
            full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
            if full != "CAP_ALL" and full not in ALL_CAPABILITIES:
                raise InvalidArgument(f'invalid {field}: unknown capability: "{full}"')


def _network(value: HostConfig) -> None:
    for address in value.dns or []:
        _address(address)
    for entry in value.extra_hosts or []:
        host, separator, address = entry.partition(":")
        if not separator or not host:
            raise InvalidArgument(f'bad format for add-host: "{entry}"')
        if address != "host-gateway":
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from error
    for port, bindings in (value.port_bindings or {}).items():
        if parse_port(port)[0] == 0:
            raise InvalidArgument(f'invalid port specification: "{port}"')
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


_HOST_CHECKS: tuple[Callable[[HostConfig], None], ...] = (
    _fields,
    _security,
    _capabilities,
    modes.check,
    _network,
    lambda value: check_log(value.log_config),
)


def restart_policy(value: RestartPolicy) -> None:
    if value.name not in ("", "no", "always", "on-failure", "unless-stopped"):
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{value.name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    negative = value.maximum_retry_count < 0
    if value.maximum_retry_count and value.name != "on-failure":
        more = " and cannot be negative" if negative else ""
        raise InvalidArgument(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{more}")
    if negative:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")
