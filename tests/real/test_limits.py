"""Limits as the kernel has them, at create and after an update; devices of the host and of vendors."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import docker
import pytest
from docker.errors import APIError

from naru.linux.cgroup import Cgroup
from naru.linux.host import probe

pytestmark = pytest.mark.root

MIB = 1 << 20

V1 = os.path.isdir("/sys/fs/cgroup/memory")
Start = Callable[..., str]


@pytest.fixture
def start(client: docker.DockerClient) -> Iterator[Start]:
    """Start a sleeping container with this HostConfig; its id."""
    made: list[str] = []

    def begin(**host: Any) -> str:
        body = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": host}
        made.append(client.api.create_container_from_config(body)["Id"])
        client.api.start(made[-1])
        return made[-1]

    yield begin
    for id in made:
        with suppress(docker.errors.NotFound):
            client.api.remove_container(id, force=True)


def inside(client: docker.DockerClient, id: str, script: str) -> str:
    found = client.api.exec_create(id, ["sh", "-c", script])
    return str(client.api.exec_start(found["Id"]).decode())


def update(client: docker.DockerClient, id: str, **limits: Any) -> Any:
    api = client.api
    return api._result(api._post_json(api._url("/containers/{0}/update", id), data=limits), True)


def values(client: docker.DockerClient, id: str, *files: tuple[str, str]) -> list[str]:
    """Of files of the container's group, named for v1 and for v2."""
    names = " ".join(f"/sys/fs/cgroup/{one if V1 else two}" for one, two in files)
    return inside(client, id, f"cat {names}").split("\n")[:-1]


def a_disk() -> tuple[str, str]:
    """(path, numbers) of a block device that the kernel can throttle, its node made by us where there is none."""
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(("ram", "loop", "zram")) and os.path.exists(f"/dev/{name}"):
            with open(f"/sys/block/{name}/dev") as file:
                return f"/dev/{name}", file.read().strip()
    pytest.skip("no disk here")


def test_memory_cpu_and_pids(client: docker.DockerClient, start: Start) -> None:
    id = start(Memory=64 * MIB, MemorySwap=128 * MIB, CpuPeriod=50000, CpuQuota=20000, PidsLimit=33, CpusetCpus="0")
    found = values(
        client, id, ("memory/memory.limit_in_bytes", "memory.max"), ("pids/pids.max", "pids.max"),
        ("cpuset/cpuset.cpus", "cpuset.cpus"), ("cpu/cpu.cfs_quota_us", "cpu.max"),
    )  # fmt: skip
    assert found == [str(64 * MIB), "33", "0", "20000" if V1 else "20000 50000"]
    assert update(client, id, Memory=96 * MIB, PidsLimit=-1, CpuQuota=30000) == {"Warnings": None}
    found = values(
        client, id, ("memory/memory.limit_in_bytes", "memory.max"), ("pids/pids.max", "pids.max"),
        ("cpu/cpu.cfs_quota_us", "cpu.max"),
    )  # fmt: skip
    assert found == [str(96 * MIB), "max", "30000" if V1 else "30000 50000"]
    host = client.api.inspect_container(id)["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["CpuQuota"]) == (96 * MIB, 0, 30000)


def test_updates_that_are_refused_change_nothing(client: docker.DockerClient, start: Start) -> None:
    id = start(Memory=64 * MIB, NanoCpus=500_000_000)
    before = client.api.inspect_container(id)["HostConfig"]
    for limits, words in (
        ({"Memory": 512 * MIB}, "Memory limit should be smaller than already set memoryswap limit"),
        ({"CpuQuota": 5000}, "CPU Quota cannot be updated as NanoCPUs has already been set"),
    ):
        with pytest.raises(APIError, match=f"Cannot update container {id}: .*{words}") as caught:
            update(client, id, **limits)
        assert caught.value.status_code == 409
    assert client.api.inspect_container(id)["HostConfig"] == before


def test_block_devices(client: docker.DockerClient, start: Start) -> None:
    disk, numbers = a_disk()
    id = start(BlkioDeviceReadBps=[{"Path": disk, "Rate": MIB}], BlkioDeviceWriteIOps=[{"Path": disk, "Rate": 10}])
    files = (("blkio/blkio.throttle.read_bps_device", "io.max"), ("blkio/blkio.throttle.write_iops_device", "io.max"))
    found = values(client, id, *files)
    if V1:
        assert found == [f"{numbers} {MIB}", f"{numbers} 10"]
    else:
        assert found[0] == f"{numbers} rbps={MIB} wbps=max riops=max wiops=10"
    update(client, id, BlkioDeviceReadBps=[{"Path": disk, "Rate": 2 * MIB}])
    assert str(2 * MIB) in values(client, id, files[0])[0]
    with pytest.raises(APIError, match=r"stat /dev/nono: no such file or directory"):
        start(BlkioDeviceReadBps=[{"Path": "/dev/nono", "Rate": 1}])


def test_a_cgroup_parent_cannot_lead_out(client: docker.DockerClient, start: Start) -> None:
    name = f"naru-{secrets.token_hex(4)}"
    id = start(CgroupParent=f"../../{name}")
    try:
        with open(f"/proc/{client.api.inspect_container(id)['State']['Pid']}/cgroup") as file:
            assert any(line.rstrip().endswith(f"/{name}/{id}") for line in file)
    finally:
        client.api.remove_container(id, force=True)
        assert Cgroup(probe(), f"/{name}").end(5.0)


def test_devices(client: docker.DockerClient, start: Start) -> None:
    id = start(Devices=[{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"}])
    assert inside(client, id, "exec 3</dev/mine && echo open") == "open\n"
    assert "Operation not permitted" in inside(client, id, "exec 3>>/dev/mine")
    with pytest.raises(APIError, match='adding custom device "/dev/nono": no such file') as caught:
        start(Devices=[{"PathOnHost": "/dev/nono", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}])
    assert caught.value.status_code == 500


def test_devices_of_vendors(client: docker.DockerClient, start: Start) -> None:
    kind = f"naru-test-{secrets.token_hex(4)}.test/thing"
    edits = {
        "env": ["THING=1"],
        "deviceNodes": [{"path": "/dev/thing", "hostPath": "/dev/null"}],
        "mounts": [{"hostPath": "/etc", "containerPath": "/thing", "options": ["ro", "rbind"]}],
        "hooks": [{"hookName": "createContainer", "path": "/bin/true", "args": ["true"]}],
        "additionalGids": [4242],
    }
    spec = {"cdiVersion": "0.6.0", "kind": kind, "devices": [{"name": "one", "containerEdits": edits}]}
    made = not os.path.isdir("/var/run/cdi")
    os.makedirs("/var/run/cdi", exist_ok=True)
    path = f"/var/run/cdi/{kind.partition('/')[0]}.json"
    try:
        with open(path, "w") as file:
            json.dump(spec, file)
        id = start(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": [f"{kind}=one"]}])
        script = "grep -c THING=1 /proc/1/environ; stat -c %t:%T /dev/thing; test -f /thing/passwd && echo mounted; grep -c 4242 /proc/1/status"
        assert inside(client, id, script) == "1\n1:3\nmounted\n1\n"
        assert {"Source": "cdi", "ID": f"{kind}=one"} in client.info()["DiscoveredDevices"]
        with pytest.raises(APIError, match=f"CDI device injection failed: unresolvable CDI devices {kind}=two"):
            start(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": [f"{kind}=two"]}])
    finally:
        os.unlink(path)
        if made:
            os.rmdir("/var/run/cdi")


def test_gpus_without_a_vendor(start: Start) -> None:
    with pytest.raises(APIError, match="no known GPU vendor found"):
        start(DeviceRequests=[{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}])
