"""Limits: what Docker 29 refuses, discards with a warning, and makes of an update (its own answers, on a host with two CPUs)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from naru.containers import limits
from naru.containers.cpuset import format_numbers, parse_numbers
from naru.errors import Conflict, InvalidArgument
from naru.linux.host import Host
from naru.wire.container import CreateRequest, HostConfig, RestartPolicy, UpdateRequest
from naru.wire.decode import decode_object

MIB = 1 << 20
GCPU = 10**9
V1 = Host(
    machine="x86_64", kernel="6.18.0", kernel_version=(6, 18), name="box", os_name="Linux", os_version="1", cpus=2, memory_bytes=1 << 32,
    cgroup_version=1, controllers=frozenset({"cpu", "cpuset", "memory", "blkio", "pids"}), blkio_weight=True, hybrid=False, overlay=True,
    apparmor=False, capabilities=0, programs={}, swap_limit=True, cpu_realtime=True, memory_nodes=(0,),
)  # fmt: skip
V2 = replace(V1, cgroup_version=2, cpu_realtime=False, controllers=frozenset({"cpu", "cpuset", "memory", "io", "pids"}))
BARE = replace(V1, controllers=frozenset(), blkio_weight=False, swap_limit=False)


def asked(**value: Any) -> HostConfig:
    made = decode_object(json.dumps({"HostConfig": value}).encode(), CreateRequest).host_config
    assert made is not None
    return made


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"Memory": 1}, "Minimum memory limit allowed is 6MB"),
    ({"Memory": -1}, "Minimum memory limit allowed is 6MB"),
    ({"Memory": 64 * MIB, "MemorySwap": 32 * MIB}, "Minimum memoryswap limit should be larger than memory limit, see usage"),
    ({"MemorySwap": 64 * MIB}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
    ({"Memory": 64 * MIB, "MemoryReservation": 128 * MIB}, "Minimum memory limit can not be less than memory reservation limit, see usage"),
    ({"MemoryReservation": 1}, "Minimum memory reservation allowed is 6MB"),
    ({"MemorySwappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
    ({"MemorySwappiness": -2}, "Invalid value: -2, valid memory swappiness range is 0-100"),
    ({"NanoCpus": GCPU, "CpuQuota": 1000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    ({"NanoCpus": GCPU, "CpuPeriod": 1000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
    ({"NanoCpus": 1000 * GCPU}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"NanoCpus": -1}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    ({"CpuPeriod": 10}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    ({"CpuQuota": 10}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    ({"CpuShares": -1}, "invalid CPU shares (-1): value must be a positive integer"),
    ({"CpusetCpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
    ({"CpusetCpus": "1-0"}, "Invalid value 1-0 for cpuset cpus: invalid format: 1-0"),
    ({"CpusetCpus": "0,,1"}, "Invalid value 0,,1 for cpuset cpus: invalid format: 0,,1"),
    ({"CpusetCpus": "0-99999999"}, "Invalid value 0-99999999 for cpuset cpus: value of out range, maximum is 8192"),
    ({"CpusetCpus": "500"}, "Requested CPUs are not available - requested 500, available: 0-1"),
    ({"CpusetMems": "x"}, "Invalid value x for cpuset mems: invalid format: x"),
    ({"CpusetMems": "9"}, "Requested memory nodes are not available - requested 9, available: 0"),
    ({"BlkioWeight": 1}, "Range of blkio weight is from 10 to 1000"),
    ({"IOMaximumIOps": 1}, "invalid option: QoS maximum IOPs configuration is not supported on linux"),
    ({"IOMaximumBandwidth": 1}, "invalid option: QoS maximum bandwidth configuration is not supported on linux"),
    ({"CpuRealtimePeriod": 100, "CpuRealtimeRuntime": 200}, "cpu real-time runtime cannot be higher than cpu real-time period"),
    ({"BlkioDeviceReadBps": [{"Path": "/dev/x", "Rate": -1}]}, "invalid JSON: json: cannot unmarshal number -1 into Go struct field ThrottleDevice.HostConfig.Resources.BlkioDeviceReadBps.Rate of type uint64"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "words"), REFUSED)
def test_refusals(value: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        limits.requested(asked(**value), V1)
        limits.adapt(asked(**value), V1)
    assert str(caught.value) == words


def test_realtime_needs_a_kernel_that_has_it() -> None:
    with pytest.raises(InvalidArgument, match=r"^kernel does not support CPU real-time period$"):
        limits.requested(asked(CpuRealtimePeriod=1000), V2)
    limits.requested(asked(CpuRealtimePeriod=1000), V1)


WARNED: list[tuple[Host, dict[str, Any], dict[str, Any], list[str]]] = [
    (V1, {"CpuPercent": 3}, {"cpu_percent": 0}, ["linux does not support CPU percent. Percent discarded."]),
    (V1, {"MemorySwappiness": -1}, {"memory_swappiness": None}, []),
    (V1, {"OomKillDisable": True}, {"oom_kill_disable": True}, ["OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."]),
    (V2, {"OomKillDisable": True}, {"oom_kill_disable": None}, ["Your kernel does not support OomKillDisable. OomKillDisable discarded."]),
    (V2, {"OomKillDisable": False}, {"oom_kill_disable": None}, []),
    (V2, {"MemorySwappiness": 5}, {"memory_swappiness": None}, ["Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded."]),
    (BARE, {"BlkioWeight": 5}, {"blkio_weight": 0}, ["Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."]),
    (BARE, {"BlkioWeightDevice": [{"Path": "/x", "Weight": 5}]}, {"blkio_weight_device": []}, ["Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded."]),
    (BARE, {"PidsLimit": 5}, {"pids_limit": None}, ["Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded."]),
    (replace(V1, swap_limit=False), {"Memory": 64 * MIB}, {"memory_swap": -1}, ["Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."]),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "value", "left", "warnings"), WARNED)
def test_warnings(machine: Host, value: dict[str, Any], left: dict[str, Any], warnings: list[str]) -> None:
    adapted, said = limits.adapt(asked(**value), machine)
    assert ({name: getattr(adapted, name) for name in left}, list(said)) == (left, warnings)


def test_a_host_without_controllers_discards_everything() -> None:
    value = asked(
        Memory=64 * MIB, CpuShares=5, CpuQuota=5000, CpusetCpus="7", MemoryReservation=7 * MIB,
        BlkioDeviceReadBps=[{"Path": "/x", "Rate": 1}],
    )  # fmt: skip
    adapted, said = limits.adapt(value, BARE)
    assert (adapted.memory, adapted.cpu_shares, adapted.cpuset_cpus, adapted.blkio_device_read_bps) == (0, 0, "", [])
    assert len(said) == 6


SET = HostConfig(memory=64 * MIB, memory_swap=128 * MIB)
NANO = HostConfig(nano_cpus=GCPU)


@pytest.mark.parametrize(
    ("host", "update", "changes"),
    [
        (SET, {}, {}),
        (SET, {"memory": 128 * MIB}, {"memory": 128 * MIB}),
        (HostConfig(memory=64 * MIB, memory_swap=-1), {"memory": 128 * MIB}, {"memory": 128 * MIB}),
        (SET, {"memory": 256 * MIB, "memory_swap": -1}, {"memory": 256 * MIB, "memory_swap": -1}),
        (SET, {"memory_swappiness": 10, "oom_kill_disable": True, "cpu_count": 1, "cgroup_parent": "x"}, {}),
        (SET, {"pids_limit": -1}, {"pids_limit": 0}),
        (SET, {"pids_limit": 7}, {"pids_limit": 7}),
        (NANO, {"nano_cpus": 5, "cpu_shares": 7}, {"nano_cpus": 5, "cpu_shares": 7}),
        (SET, {"cpu_realtime_runtime": 5}, {"cpu_realtime_runtime": 5}),
        (SET, {"restart_policy": RestartPolicy(name="always")}, {"restart_policy": RestartPolicy(name="always")}),
    ],
)
def test_updates(host: HostConfig, update: dict[str, Any], changes: dict[str, Any]) -> None:
    after = limits.updated(host, UpdateRequest(**update))
    names = [name for name in HostConfig.__struct_fields__ if getattr(after, name) != getattr(host, name)]
    assert {name: getattr(after, name) for name in names} == changes


@pytest.mark.parametrize(
    ("host", "update", "words"),
    [
        (SET, {"memory": 256 * MIB}, "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"),
        (NANO, {"cpu_quota": 5000}, "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"),
        (NANO, {"cpu_period": 5000, "cpu_quota": 5000}, "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"),
        (HostConfig(cpu_quota=5000), {"nano_cpus": 5}, "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"),
        (HostConfig(auto_remove=True), {"restart_policy": RestartPolicy(name="always")}, "Restart policy cannot be updated because AutoRemove is enabled for the container"),
    ],
)  # fmt: skip
def test_updates_that_contradict_what_is_set(host: HostConfig, update: dict[str, Any], words: str) -> None:
    with pytest.raises(Conflict) as caught:
        limits.updated(host, UpdateRequest(**update))
    assert str(caught.value) == words


def test_an_update_may_set_swap_alone_and_refuses_in_other_words() -> None:
    limits.adapt(UpdateRequest(memory_swap=64 * MIB), V1, update=True)
    with pytest.raises(InvalidArgument, match=r"^Invalid QoS settings: linux does not support Maximum IO Bandwidth or"):
        limits.adapt(UpdateRequest(io_maximum_iops=1), V1, update=True)


@pytest.mark.parametrize(("text", "numbers"), [("", set()), ("0", {0}), ("0-2,7", {0, 1, 2, 7}), ("3,3", {3})])
def test_number_lists(text: str, numbers: set[int]) -> None:
    assert parse_numbers(text, "cpus") == numbers
    assert parse_numbers(format_numbers(numbers), "cpus") == numbers
