"""Clients that never read, and clients that go away in the middle: the container goes on, and nothing grows or stays half-made."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import docker
import pytest
from docker.errors import APIError

pytestmark = pytest.mark.root
STALLED = 100
LOUD = ["sh", "-c", "i=0; while :; do seq 1 2000; i=$((i+1)); echo $i > /count; done"]
UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")
SOON_S = 10.0


def request(daemon: Any, method: str, path: str, body: object = None, *headers: str) -> socket.socket:
    """A connection on which this has been asked, and nothing read."""
    data = json.dumps(body).encode() if body is not None else b""
    head = [
        f"{method} /v1.56{path} HTTP/1.1",
        "Host: d",
        f"Content-Length: {len(data)}",
        "Content-Type: application/json",
        *headers,
    ]
    made = socket.socket(socket.AF_UNIX)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(20)
    made.connect(daemon.socket)
    made.sendall("\r\n".join([*head, "", ""]).encode() + data)
    return made


def rss_kb(daemon: Any) -> int:
    with open(f"/proc/{daemon.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])  # type: ignore[index]


def within(seconds: float, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)


def lines_of(container: Any) -> int:
    return int((container.exec_run(["cat", "/count"]).output.split() or [b"0"])[-1])


def test_a_hundred_clients_that_do_not_read(daemon: Any, client: docker.DockerClient) -> None:
    """They follow the log, have execs and want events; the container writes on."""
    container = client.containers.run("busybox", LOUD, detach=True)
    api, before_kb = client.api, rss_kb(daemon)
    kinds: list[Callable[[], socket.socket]] = [
        lambda: request(daemon, "GET", f"/containers/{container.id}/logs?stdout=1&follow=1"),
        lambda: request(daemon, "GET", "/events"),
        lambda: request(
            daemon, "POST", f"/exec/{api.exec_create(container.id, ['yes'])['Id']}/start", {"Detach": False}, *UPGRADE
        ),
    ]
    with ExitStack() as stack:
        for make, count in zip(kinds, (STALLED - 10, 6, 4), strict=True):
            for _ in range(count):
                stack.enter_context(make())
        for _ in range(2):
            seen = lines_of(container)
            within(SOON_S, lambda seen=seen: lines_of(container) > seen)  # type: ignore[misc]
        assert rss_kb(daemon) - before_kb < STALLED * 4 << 10  # a block of the log each, as lines
        began = time.monotonic()
        container.remove(force=True)
        assert time.monotonic() - began < 5
    within(SOON_S, lambda: daemon.settled() == [])


@pytest.mark.parametrize("end", ["kill", "remove"])
def test_the_end_of_a_container_whose_attached_clients_do_not_read(
    daemon: Any, client: docker.DockerClient, end: str
) -> None:
    """It is held up by them, as a pipe's reader holds up its writer; that its end is noticed and its log kept is not."""
    container = client.containers.run("busybox", LOUD, detach=True)
    with ExitStack() as stack:
        for _ in range(20):
            path = f"/containers/{container.id}/attach?stream=1&stdout=1"
            stack.enter_context(request(daemon, "POST", path, None, *UPGRADE))
        time.sleep(1)
        began = time.monotonic()
        if end == "kill":
            container.kill()
            assert container.wait(timeout=10)["StatusCode"] == 137
            assert container.logs(tail=1)
        else:
            container.remove(force=True)
        assert time.monotonic() - began < 5
        assert client.ping()


def test_many_ask_for_one_name_and_one_gets_it(daemon: Any, client: docker.DockerClient) -> None:
    outcomes: list[int] = []

    def create() -> None:
        with request(daemon, "POST", "/containers/create?name=wanted", {"Image": "busybox", "Cmd": ["true"]}) as made:
            outcomes.append(int(made.recv(64).split()[1]))

    threads = [threading.Thread(target=create) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(outcomes)) == [201, 409] and outcomes.count(201) == 1
    assert [each.name for each in client.containers.list(all=True)] == ["wanted"]


def test_renames_that_race(daemon: Any, client: docker.DockerClient) -> None:
    """One of many gets the name; those that did not have kept theirs, and each name leads to one."""
    made = [client.containers.create("busybox", ["true"], name=f"old-{number}") for number in range(8)]
    won: list[Any] = []

    def rename(container: Any) -> None:
        with suppress(APIError):
            container.rename("new")
            won.append(container)

    threads = [threading.Thread(target=rename, args=(each,)) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    names = sorted(each.name for each in client.containers.list(all=True))
    assert names == sorted(["new", *(each.name for each in made if each is not won[0])])
    assert client.containers.get("new").id == won[0].id
    client.containers.create("busybox", ["true"], name=won[0].name).remove()  # the old one is free


def test_creates_whose_client_goes_away(daemon: Any, client: docker.DockerClient) -> None:
    """Each is there whole or not at all, and a name that nobody has can be had."""
    for number in range(40):
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["left:/v"]}}
        with request(daemon, "POST", f"/containers/create?name=left-{number}", body) as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            time.sleep(number * 0.0002)
    whole = {each.name: each for each in client.containers.list(all=True)}
    for number in range(40):
        name = f"left-{number}"
        if name in whole:
            assert whole[name].status == "created"
        else:
            with suppress(APIError):  # taken: by one that was still being made
                client.containers.create("busybox", ["true"], name=name)
            assert client.containers.get(name).status == "created"
    ids = {each.id for each in client.containers.list(all=True)}
    assert set(os.listdir(f"{daemon.data_root}/containers")) == ids


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BIG = 1 << 80


def absurd() -> Iterator[tuple[str, bytes]]:
    yield "deep", b'{"Image":"busybox","Labels":' + DEEP + b"}"
    yield "digits", b'{"Image":"busybox","HostConfig":{"Memory":' + b"9" * 5000 + b"}}"
    host: dict[str, Any]
    for host in (
        {"Memory": BIG}, {"ShmSize": -1}, {"ShmSize": BIG}, {"NanoCpus": BIG}, {"CpuShares": BIG}, {"PidsLimit": BIG},
        {"CpusetCpus": "0-2147483648"}, {"CpusetCpus": "0-99999999999999999999"}, {"CpusetMems": "0-2147483648"},
        {"Ulimits": [{"Name": "nofile", "Soft": BIG, "Hard": BIG}]}, {"OomScoreAdj": 99999},
        {"Memory": 1.5}, {"Memory": "1g"}, {"Binds": ["a\0b:/x"]}, {"PidsLimit": -BIG},
    ):  # fmt: skip
        yield f"{host}"[:60], json.dumps({"Image": "busybox", "Cmd": ["true"], "HostConfig": host}).encode()


@pytest.mark.parametrize(("what", "body"), list(absurd()), ids=[what for what, _ in absurd()])
def test_absurd_numbers_and_depths(daemon: Any, client: docker.DockerClient, what: str, body: bytes) -> None:
    """400 (or what the like of it is), quickly, and nothing is left."""
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(20)
        made.connect(daemon.socket)
        head = f"POST /v1.56/containers/create?name=absurd HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        made.sendall(head.encode() + body)
        answer = made.recv(4096).decode()
    assert time.monotonic() - began < 2
    assert answer.split()[1] == "400", answer
    assert client.containers.list(all=True) == []


def test_a_million_variables(daemon: Any, client: docker.DockerClient) -> None:
    """Refused for its size, or taken: neither hurts."""
    before = rss_kb(daemon)
    env = [f"V{number}=x" for number in range(1_000_000)]
    with suppress(APIError):
        client.containers.create("busybox", ["true"], environment=env, name="many").start()
    assert client.ping() and rss_kb(daemon) - before < 600 << 10


NAMES = ["..", ".", "a/b", "../../etc", "a\0b", "a" * 10_240, "-a", "é", "a b", "", "a\nb", "%2e%2e"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_none(daemon: Any, client: docker.DockerClient, name: str) -> None:
    from urllib.parse import quote

    if name:
        with request(
            daemon, "POST", f"/containers/create?name={quote(name)}", {"Image": "busybox", "Cmd": ["true"]}
        ) as made:
            answer = made.recv(4096).decode()
            assert answer.split()[1] == "400", answer
    victim = client.containers.create("busybox", ["true"], name="victim")
    for method, path in (
        ("POST", f"/containers/victim/rename?name={quote(name)}"), ("GET", f"/containers/{quote(name, safe='')}/json"),
        ("DELETE", f"/containers/{quote(name, safe='')}?force=1"), ("GET", f"/exec/{quote(name, safe='')}/json"),
        ("DELETE", f"/volumes/{quote(name, safe='')}"), ("DELETE", f"/networks/{quote(name, safe='')}"),
        ("POST", "/volumes/create"), ("DELETE", f"/images/{quote(name, safe='')}"),
    ):  # fmt: skip
        body = {"Name": name or "/"} if path == "/volumes/create" else None
        with request(daemon, method, path, body) as made:
            answer = made.recv(4096).decode()
        assert answer.split()[1] in ("400", "404", "301"), (method, path[:80], answer)
    victim.reload()
    assert victim.name == "victim" and len(client.containers.list(all=True)) == 1
