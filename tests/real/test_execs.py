"""Execs whose clients vanish, execs that are meant to go on, and very many of them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from realdaemon import Daemon

from naru.containers.execending import GRACE_S


@pytest.fixture
def container(client: docker.DockerClient) -> Iterator[Any]:
    yield client.containers.run("busybox", ["sleep", "600"], detach=True)


def commands(container: Any) -> set[str]:
    return {line[-1] for line in container.top()["Processes"]} - {"sleep 600"}


def wait_commands(container: Any, *wanted: str, limit_s: float = 5) -> None:
    deadline = time.monotonic() + limit_s
    while (found := commands(container)) != set(wanted):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def vanish(client: docker.DockerClient, container: Any, script: str, *, tty: bool = False) -> str:
    """Start an exec, attached, wait until its processes run, and go away without a word."""
    id = str(client.api.exec_create(container.id, ["sh", "-c", script], stdin=tty, tty=tty)["Id"])
    stream = client.api.exec_start(id, socket=True, tty=tty)
    connection: socket.socket = stream._sock
    connection.recv(1)  # the script's first word
    connection.close()
    stream.close()
    return id


@pytest.mark.parametrize("tty", [False, True])
def test_what_nobody_reads_ends_with_all_that_it_started(
    client: docker.DockerClient, container: Any, tty: bool
) -> None:
    id = vanish(client, container, "echo x; sleep 601 & sleep 602; true", tty=tty)
    wait_commands(container)
    assert client.api.exec_inspect(id)["Running"] is False


def test_what_does_not_listen_is_killed(client: docker.DockerClient, container: Any) -> None:
    begun = time.monotonic()
    id = vanish(client, container, "trap '' TERM HUP; echo x; while true; do sleep 1; done")
    time.sleep(1)
    assert client.api.exec_inspect(id)["Running"] is True
    wait_commands(container, limit_s=GRACE_S + 5)
    assert time.monotonic() - begun < GRACE_S + 5
    assert client.api.exec_inspect(id)["ExitCode"] == 137


def test_a_daemon_of_its_own_session_goes_on(client: docker.DockerClient, container: Any) -> None:
    id = vanish(client, container, "setsid sleep 603 </dev/null >/dev/null 2>&1 & sleep 0.1; echo x; sleep 604")
    wait_commands(container, "sleep 603")
    assert client.api.exec_inspect(id)["Running"] is False


def test_the_detached_are_left_alone(client: docker.DockerClient, container: Any) -> None:
    id = client.api.exec_create(container.id, ["sh", "-c", "sleep 1; exit 3"])["Id"]
    client.api.exec_start(id, detach=True)
    vanish(client, container, "echo x; sleep 605")
    assert client.api.exec_inspect(id)["Running"] is True
    wait_commands(container)
    found = client.api.exec_inspect(id)
    assert (found["Running"], found["ExitCode"]) == (False, 3)


def resident_kib(daemon: Daemon) -> int:
    with open(f"/proc/{daemon.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def test_memory_is_flat(daemon: Daemon, client: docker.DockerClient, container: Any) -> None:
    """Few here; NARU_EXECS=10000."""
    count = int(os.environ.get("NARU_EXECS", "60"))

    def run(times: int) -> str:
        for _ in range(times):
            id = str(client.api.exec_create(container.id, ["true"])["Id"])
            client.api.exec_start(id)
        return id

    first = run(1)
    run(257)  # more than are remembered
    before = resident_kib(daemon)
    last = run(count)
    assert resident_kib(daemon) - before < 1500
    assert client.api.exec_inspect(last)["ExitCode"] == 0
    with pytest.raises(docker.errors.NotFound):
        client.api.exec_inspect(first)
    assert len(os.listdir(f"{daemon.exec_root}/execs")) == 0


def test_a_spec_larger_than_a_pipe(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "60"], detach=True)
    environment = {f"BIG{number}": "x" * 100_000 for number in range(3)}
    result = container.exec_run(["sh", "-c", "echo ${#BIG0} ${#BIG1} ${#BIG2}"], environment=environment)
    assert result == (0, b"100000 100000 100000\n")
