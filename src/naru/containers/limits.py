"""The limits that create and update share: what they may be, which of them this host cannot give, and how an update changes them.

Pure. The order of the checks and their words are Docker's; each raises InvalidArgument. A limit that the host lacks is
discarded with a warning.
"""

from __future__ import annotations

from typing import TypeVar

from naru.containers.cpuset import format_numbers, parse_numbers
from naru.errors import Conflict, InvalidArgument
from naru.linux.host import Host
from naru.wire.container import HostConfig, Resources, UpdateRequest
from naru.wire.decode import replace_struct

R = TypeVar("R", bound=Resources)
_MIN_BYTES = 6 << 20
_MISSING = "Your kernel does not support {} or the cgroup is not mounted. {}"
_NO_MEMORY = _MISSING.format("memory limit capabilities", "Limitation discarded.")
_NO_SWAP = _MISSING.format("swap limit capabilities", "Memory limited without swap.")
_NO_SWAPPINESS = _MISSING.format("memory swappiness capabilities", "Memory swappiness discarded.")
_NO_RESERVATION = _MISSING.format("memory soft limit capabilities", "Limitation discarded.")
_NO_OOM_DISABLE = "Your kernel does not support OomKillDisable. OomKillDisable discarded."
_NO_OOM_LIMIT = "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
_NO_PIDS = _MISSING.format("PIDs limit capabilities", "PIDs limit discarded.")
_NO_SHARES = _MISSING.format("CPU shares", "Shares discarded.")
_NO_CFS = _MISSING.format("CPU CFS scheduler", "CPU period/quota discarded.")
_NO_CPUSET = _MISSING.format("cpuset", "Cpuset discarded.")
_NO_PERCENT = "linux does not support CPU percent. Percent discarded."
_NO_WEIGHT = _MISSING.format("Block I/O weight", "Weight discarded.")
_NO_WEIGHT_DEVICE = _MISSING.format("Block I/O weight_device", "Weight-device discarded.")
_THROTTLES = (
    ("blkio_device_read_bps", "BlkioDeviceReadBps", "Block read limit in bytes per second"),
    ("blkio_device_write_bps", "BlkioDeviceWriteBps", "Block write limit in bytes per second"),
    ("blkio_device_read_iops", "BlkioDeviceReadIOps", "Block read limit in IO per second"),
    ("blkio_device_write_iops", "BlkioDeviceWriteIOps", "Block write limit in IO per second"),
)
# What an update may change, if it says anything of it but 0.
_UPDATED = (
    "blkio_weight", "blkio_weight_device", *(name for name, _, _ in _THROTTLES), "cpu_shares", "nano_cpus", "cpu_period", "cpu_quota",
    "cpuset_cpus", "cpuset_mems", "memory", "memory_swap", "memory_reservation", "cpu_realtime_period", "cpu_realtime_runtime",
)  # fmt: skip
# (asked, already set, words): each pair writes the same files of the kernel.
_EXCLUDES = (
    ("nano_cpus", "cpu_period", "Nano CPUs cannot be updated as CPU Period has already been set"),
    ("nano_cpus", "cpu_quota", "Nano CPUs cannot be updated as CPU Quota has already been set"),
    ("cpu_period", "nano_cpus", "CPU Period cannot be updated as NanoCPUs has already been set"),
    ("cpu_quota", "nano_cpus", "CPU Quota cannot be updated as NanoCPUs has already been set"),
)


def requested(value: Resources, machine: Host) -> None:
    """What Docker refuses when it reads a create request, before it looks at anything else."""
    if value.io_maximum_bandwidth:
        raise InvalidArgument("invalid option: QoS maximum bandwidth configuration is not supported on linux")
    if value.io_maximum_iops:
        raise InvalidArgument("invalid option: QoS maximum IOPs configuration is not supported on linux")
    for name, go_name, _ in _THROTTLES:
        for entry in getattr(value, name) or []:
            if entry.rate < 0:
                field = f"ThrottleDevice.HostConfig.Resources.{go_name}.Rate"
                raise InvalidArgument(
                    f"invalid JSON: json: cannot unmarshal number {entry.rate} into Go struct field {field} of type uint64"
                )
    period, runtime = value.cpu_realtime_period, value.cpu_realtime_runtime
    for what, amount in (("period", period), ("runtime", runtime)):
        if amount > 0 and not machine.cpu_realtime:
            raise InvalidArgument(f"kernel does not support CPU real-time {what}")
    if period and runtime and runtime > period:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")


def adapt(value: R, machine: Host, *, update: bool = False) -> tuple[R, tuple[str, ...]]:
    """The limits without those that this host lacks, and a warning for each. Raises InvalidArgument."""
    warnings: list[str] = []
    for step in (_memory, _swappiness, _reservation, _oom, _pids, _cpu, _cpuset, _weights, _throttles):
        value = step(value, machine, warnings, update)
    return value, tuple(warnings)


def _memory(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if value.memory and value.memory < _MIN_BYTES:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if value.memory and "memory" not in machine.controllers:
        warnings.append(_NO_MEMORY)
        value = replace_struct(value, memory=0, memory_swap=-1)
    if value.memory and value.memory_swap != -1 and not machine.swap_limit:
        warnings.append(_NO_SWAP)
        value = replace_struct(value, memory_swap=-1)
    if value.memory and 0 < value.memory_swap < value.memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if not value.memory and value.memory_swap > 0 and not update:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    return value


def _swappiness(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    swappiness = value.memory_swappiness
    if swappiness is None:
        return value
    if swappiness == -1:
        return replace_struct(value, memory_swappiness=None)
    if machine.cgroup_version == 2 or "memory" not in machine.controllers:
        warnings.append(_NO_SWAPPINESS)
        return replace_struct(value, memory_swappiness=None)
    if not 0 <= swappiness <= 100:
        raise InvalidArgument(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    return value


def _reservation(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if value.memory_reservation and "memory" not in machine.controllers:
        warnings.append(_NO_RESERVATION)
        return replace_struct(value, memory_reservation=0)
    if value.memory_reservation and value.memory_reservation < _MIN_BYTES:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if value.memory and value.memory < value.memory_reservation:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")
    return value


def _oom(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if machine.cgroup_version == 2 or "memory" not in machine.controllers:
        if value.oom_kill_disable:
            warnings.append(_NO_OOM_DISABLE)
        return replace_struct(value, oom_kill_disable=None)
    if value.oom_kill_disable and not value.memory:
        warnings.append(_NO_OOM_LIMIT)
    return value


def _pids(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if value.pids_limit is not None and "pids" not in machine.controllers:
        if value.pids_limit > 0:
            warnings.append(_NO_PIDS)
        return replace_struct(value, pids_limit=None)
    return value


def _cpu(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if value.nano_cpus and value.cpu_period:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if value.nano_cpus and value.cpu_quota:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if value.nano_cpus and not 0 < value.nano_cpus <= machine.cpus * 1_000_000_000:
        raise InvalidArgument(
            f"range of CPUs is from 0.01 to {machine.cpus}.00, as there are only {machine.cpus} CPUs available"
        )
    if value.cpu_shares < 0:
        raise InvalidArgument(f"invalid CPU shares ({value.cpu_shares}): value must be a positive integer")
    if "cpu" not in machine.controllers:
        if value.cpu_shares:
            warnings.append(_NO_SHARES)
        if value.cpu_period or value.cpu_quota:
            warnings.append(_NO_CFS)
        value = replace_struct(value, cpu_shares=0, cpu_period=0, cpu_quota=0)
    if value.cpu_period and not 1000 <= value.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < value.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if value.cpu_percent > 0:
        warnings.append(_NO_PERCENT)
        value = replace_struct(value, cpu_percent=0)
    return value


def _cpuset(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if (value.cpuset_cpus or value.cpuset_mems) and "cpuset" not in machine.controllers:
        warnings.append(_NO_CPUSET)
        return replace_struct(value, cpuset_cpus="", cpuset_mems="")
    for what, name, text, available in (
        ("cpus", "CPUs", value.cpuset_cpus, set(range(machine.cpus))),
        ("mems", "memory nodes", value.cpuset_mems, set(machine.memory_nodes)),
    ):
        if not parse_numbers(text, what) <= available:
            raise InvalidArgument(
                f"Requested {name} are not available - requested {text}, available: {format_numbers(available)}"
            )
    return value


def _weights(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if value.blkio_weight and not machine.blkio_weight:
        warnings.append(_NO_WEIGHT)
        value = replace_struct(value, blkio_weight=0)
    if value.blkio_weight and not 10 <= value.blkio_weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    if value.io_maximum_bandwidth or value.io_maximum_iops:
        raise InvalidArgument("Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps")
    if value.blkio_weight_device and not machine.blkio_weight:
        warnings.append(_NO_WEIGHT_DEVICE)
        value = replace_struct(value, blkio_weight_device=[])
    return value


def _throttles(value: R, machine: Host, warnings: list[str], update: bool) -> R:
    if machine.controllers & {"blkio", "io"}:
        return value
    for name, _, words in _THROTTLES:
        if getattr(value, name):
            warnings.append(_MISSING.format(words, f"{words} discarded."))
            value = replace_struct(value, **{name: []})
    return value


def updated(host: HostConfig, asked: UpdateRequest) -> HostConfig:
    """The limits and the restart policy after an update that `adapt` has passed. Raises Conflict.

    Of what an update says, `Devices`, `Ulimits`, `CgroupParent` and what the kernel takes only at birth have no effect.
    """
    for wanted, present, words in _EXCLUDES:
        if getattr(asked, wanted) > 0 and getattr(host, present) > 0:
            raise Conflict(f"Conflicting options: {words}")
    if asked.memory and not asked.memory_swap and 0 <= host.memory_swap < asked.memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    policy = asked.restart_policy
    if policy.name not in ("", "no") and host.auto_remove:
        raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
    changes: dict[str, object] = {name: getattr(asked, name) for name in _UPDATED if getattr(asked, name)}
    if asked.pids_limit is not None:
        changes["pids_limit"] = max(0, asked.pids_limit)
    if policy.name:
        changes["restart_policy"] = policy
    return replace_struct(host, **changes)
