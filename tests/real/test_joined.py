"""Containers in namespaces of other containers, and what security options make of a process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import docker
import pytest
from docker.errors import APIError

pytestmark = pytest.mark.root
Start = Callable[..., str]


@pytest.fixture
def start(client: docker.DockerClient) -> Iterator[Start]:
    made: list[str] = []

    def begin(script: str = "sleep 600", *, hostname: str = "", domain: str = "", **host: Any) -> str:
        body = {
            "Image": "busybox", "Cmd": ["sh", "-c", script], "Hostname": hostname, "Domainname": domain, "HostConfig": host,
        }  # fmt: skip
        made.append(client.api.create_container_from_config(body)["Id"])
        client.api.start(made[-1])
        return made[-1]

    yield begin
    for id in reversed(made):
        with suppress(docker.errors.NotFound):
            client.api.remove_container(id, force=True)


def output(client: docker.DockerClient, id: str) -> str:
    client.api.wait(id)
    return str(client.api.logs(id).decode())


def test_shared_memory_is_shared(client: docker.DockerClient, start: Start) -> None:
    donor = start("echo hello > /dev/shm/note; sleep 600", IpcMode="shareable")
    client.api.exec_start(client.api.exec_create(donor, ["sh", "-c", "until [ -s /dev/shm/note ]; do :; done"])["Id"])
    other = start("cat /dev/shm/note; echo answer > /dev/shm/answer", IpcMode=f"container:{donor}")
    assert output(client, other) == "hello\n"
    found = client.api.exec_create(donor, ["cat", "/dev/shm/answer"])
    assert client.api.exec_start(found["Id"]) == b"answer\n"
    with pytest.raises(APIError, match="non-shareable IPC"):
        start(IpcMode=f"container:{start()}")


def test_processes_and_the_name_of_another(client: docker.DockerClient, start: Start) -> None:
    donor = start("sleep 4321", hostname="donor")
    assert "sleep 4321" in output(client, start("ps", PidMode=f"container:{donor}"))
    joined = start("hostname; cat /etc/hostname", NetworkMode=f"container:{donor}")
    assert output(client, joined) == "donor\ndonor\n"
    assert client.api.inspect_container(joined)["Config"]["Hostname"] == "donor"


def test_one_that_joins_can_be_started_again_when_its_donor_runs_again(
    client: docker.DockerClient, start: Start
) -> None:
    donor = start(IpcMode="shareable")
    joined = start("true", PidMode=f"container:{donor}", IpcMode=f"container:{donor}", NetworkMode=f"container:{donor}")
    client.api.wait(joined)
    client.api.kill(donor)
    client.api.wait(donor)
    with pytest.raises(APIError, match=r"non running container|is not running"):
        client.api.start(joined)
    client.api.start(donor)
    client.api.start(joined)
    assert client.api.wait(joined)["StatusCode"] == 0


def test_a_domain_name(client: docker.DockerClient, start: Start) -> None:
    script = "hostname; cat /proc/sys/kernel/domainname"
    assert output(client, start(script, hostname="box", domain="example.test")) == "box\nexample.test\n"
    with pytest.raises(APIError, match=r'sysctl "kernel.domainname" is not in a separate kernel namespace'):
        start(domain="example.test", UTSMode="host")


def test_a_seccomp_profile_of_ones_own(client: docker.DockerClient, start: Start) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        ],
    }
    script = "mkdir /x; chmod 700 /tmp && echo changed"
    made = output(client, start(script, SecurityOpt=[f"seccomp={json.dumps(profile)}"]))
    assert "Function not implemented" in made and "changed" in made


def test_cgroups_that_may_be_written(client: docker.DockerClient, start: Start) -> None:
    script = "d=/sys/fs/cgroup; [ -d $d/pids ] && d=$d/pids; mkdir $d/mine 2>/dev/null && rmdir $d/mine && echo yes || echo no"
    assert output(client, start(script)) == "no\n"
    assert output(client, start(script, SecurityOpt=["writable-cgroups"])) == "yes\n"
    assert output(client, start(script, Privileged=True, SecurityOpt=["writable-cgroups=false"])) == "no\n"


def test_paths_masked_for_the_privileged_too(client: docker.DockerClient, start: Start) -> None:
    made = output(client, start("wc -c < /proc/version", Privileged=True, MaskedPaths=["/proc/version"]))
    assert made == "0\n"


def test_an_init(client: docker.DockerClient, start: Start) -> None:
    assert "/sbin/docker-init -- sh" in output(client, start("ps", Init=True))


def test_the_size_of_a_terminal(client: docker.DockerClient) -> None:
    body = {"Image": "busybox", "Tty": True, "Cmd": ["stty", "size"], "HostConfig": {"ConsoleSize": [24, 81]}}
    id = client.api.create_container_from_config(body)["Id"]
    try:
        client.api.start(id)
        assert output(client, id) == "24 81\r\n"
    finally:
        client.api.remove_container(id, force=True)
