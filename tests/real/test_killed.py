"""Whatever is killed or stopped, at whatever moment: what is told afterwards is true, and everything can be removed."""

from __future__ import annotations

import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError, NotFound
from realdaemon import processes_with

pytestmark = pytest.mark.root
SOON_S = 10.0
ROUNDS = int(os.environ.get("NARU_KILL_ROUNDS", "2"))


@pytest.fixture
def own(make_daemon: Callable[..., Any]) -> Any:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    return daemon


def within(seconds: float, what: Callable[[], bool]) -> None:
    """It becomes so in time."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)


def monitor_of(daemon: Any, container: Any) -> int:
    (pid,) = (pid for pid, line in daemon.processes().items() if "/conmon " in line and container.id in line)
    return pid


def status_of(container: Any) -> str:
    container.reload()
    return str(container.status)


# -- the monitor --------------------------------------------------------------------------------------------------------


def test_monitors_killed_while_running_paused_and_watched(daemon: Any, client: docker.DockerClient) -> None:
    """Several at once: all ended, what was open is closed, and each can be started, stopped and removed."""
    talk = ["sh", "-c", "while :; do echo x; sleep 0.05; done"]
    plain, paused, watched, again = (
        client.containers.run("busybox", talk, detach=True, **more)
        for more in ({}, {}, {}, {"restart_policy": {"Name": "always"}})
    )
    paused.pause()
    ends: list[str] = []

    def drain(what: str, stream: Iterator[bytes]) -> None:
        for _ in stream:
            pass
        ends.append(what)

    streams = {"logs": watched.logs(stream=True, follow=True), "attach": watched.attach(stream=True)}
    threads = [threading.Thread(target=drain, args=each) for each in streams.items()]
    for thread in threads:
        thread.start()
    old = again.attrs["State"]["Pid"]
    pids = {each.id: (each.reload(), each.attrs["State"]["Pid"])[1] for each in (plain, paused, watched, again)}
    for each in (plain, paused, watched, again):
        os.kill(monitor_of(daemon, each), signal.SIGKILL)
    began = time.monotonic()
    for each in (plain, paused, watched):
        within(SOON_S, lambda each=each: status_of(each) == "exited")  # type: ignore[misc]
        assert each.attrs["State"]["ExitCode"] == 137 and not each.attrs["State"]["Paused"]
    within(
        SOON_S, lambda: status_of(again) == "running" and again.attrs["State"]["Pid"] not in (old, 0, pids[again.id])
    )
    assert again.attrs["RestartCount"] == 1
    for thread in threads:
        thread.join(SOON_S)
    assert sorted(ends) == ["attach", "logs"]
    assert watched.logs(tail=1) == b"x\n"
    plain.start()
    plain.stop(timeout=0)
    for each in (plain, paused, watched, again):
        each.remove(force=True)
    assert time.monotonic() - began < SOON_S
    for pid in pids.values():
        within(SOON_S, lambda pid=pid: not os.path.exists(f"/proc/{pid}"))  # type: ignore[misc]


@pytest.mark.parametrize("victim", ["conmon", "runtime"])
def test_a_create_whose_runtime_or_monitor_is_killed(daemon: Any, client: docker.DockerClient, victim: str) -> None:
    """The start fails, nothing of it is left, and the next one works."""
    container = client.containers.create("busybox", ["sleep", "600"])
    hit = threading.Event()

    def hunt() -> None:
        while not hit.is_set():
            for pid, line in processes_with(container.id).items():
                runtime = f"--root={daemon.exec_root}/runtime" in line and "conmon" not in line
                if runtime if victim == "runtime" else "/conmon " in line:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        os.kill(pid, signal.SIGKILL)
                        hit.set()
                        return

    hunter = threading.Thread(target=hunt)
    hunter.start()
    with suppress(APIError):  # where the hunter came late it runs, and ends at once
        container.start()
    hit.set()
    hunter.join()
    within(SOON_S, lambda: status_of(container) in ("created", "exited", "running"))
    container.remove(force=True)
    assert daemon.settled() == []


def test_an_exec_whose_runtime_is_killed(daemon: Any, client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "600"], detach=True)
    api = client.api
    exec_id = api.exec_create(container.id, ["sleep", "500"])["Id"]
    api.exec_start(exec_id, detach=True)
    within(SOON_S, lambda: bool([1 for line in container.top()["Processes"] if "sleep 500" in line[-1]]))
    (crun,) = (pid for pid, line in daemon.processes().items() if " exec " in line and container.id in line)
    os.kill(crun, signal.SIGKILL)
    within(SOON_S, lambda: not api.exec_inspect(exec_id)["Running"])
    assert api.exec_inspect(exec_id)["ExitCode"] == 137
    within(SOON_S, lambda: not [1 for line in container.top()["Processes"] if "sleep 500" in line[-1]])
    assert container.exec_run(["echo", "well"]).output == b"well\n"


# -- the daemon ---------------------------------------------------------------------------------------------------------


def test_a_stopped_daemon_goes_on_where_it_was(own: Any) -> None:
    client = own.client
    ending = client.containers.run("busybox", ["sh", "-c", "sleep 0.3; exit 4"], detach=True)
    gone = client.containers.run("busybox", ["sleep", "0.3"], detach=True, auto_remove=True)
    staying = client.containers.run("busybox", ["sleep", "600"], detach=True)
    os.kill(own.pid, signal.SIGSTOP)
    time.sleep(1)
    os.kill(own.pid, signal.SIGCONT)
    within(SOON_S, lambda: status_of(ending) == "exited")
    assert ending.attrs["State"]["ExitCode"] == 4
    with pytest.raises(NotFound):
        within(SOON_S, lambda: status_of(gone) == "never")
    assert status_of(staying) == "running"
    staying.stop(timeout=0)


MOMENTS: dict[str, Callable[[Any], object]] = {
    "stop": lambda c: c.stop(timeout=1),
    "remove": lambda c: c.remove(force=True),
    "pause": lambda c: (c.pause(), c.unpause()),
    "update": lambda c: c.update(cpu_shares=200),
    "restart": lambda c: c.restart(timeout=0),
    "kill": lambda c: c.kill(),
}


@pytest.mark.slow
@pytest.mark.parametrize("patience", [240], indirect=True)
def test_a_daemon_killed_in_the_middle_of_every_verb(make_daemon: Callable[..., Any], patience: None) -> None:
    seed = int(os.environ.get("NARU_CRASH_SEED") or secrets.randbits(32))
    print(f"NARU_CRASH_SEED={seed}")
    dice, daemon = random.Random(seed), make_daemon()
    daemon.start()
    daemon.import_busybox()
    client = daemon.client
    for verb, work in MOMENTS.items():
        for _ in range(ROUNDS):
            trap = "trap 'exit 3' TERM; while :; do sleep 0.05; done"
            targets = [client.containers.run("busybox", ["sh", "-c", trap], detach=True) for _ in range(2)]
            again = client.containers.run("busybox", ["false"], detach=True, restart_policy={"Name": "always"})
            passing = client.containers.run("busybox", ["sleep", "0.1"], detach=True, auto_remove=True)
            threads = [threading.Thread(target=quietly, args=(work, daemon.url, each.id)) for each in targets]
            for thread in threads:
                thread.start()
            time.sleep(dice.uniform(0, 0.08))
            daemon.kill()
            for thread in threads:
                thread.join(20)
            assert daemon.start() < 5, verb
            for each in targets:
                with suppress(NotFound):  # removed
                    each.reload()
                    assert_true(each, verb)
            with pytest.raises(NotFound):
                within(SOON_S, lambda passing=passing: status_of(passing) == "never")  # type: ignore[misc]
            assert status_of(again) in ("restarting", "running"), verb
            daemon.clear()
            assert daemon.settled() == [], verb


def quietly(work: Callable[[Any], object], url: str, id: str) -> None:
    with closing(docker.DockerClient(base_url=url, version="1.56", timeout=20)) as client:
        with suppress(APIError, requests.RequestException, OSError):
            work(client.containers.get(id))


def assert_true(container: Any, verb: str) -> None:
    """What the daemon says of it is what the kernel says."""
    state = container.attrs["State"]
    if state["Status"] not in ("running", "paused"):
        assert state["Pid"] == 0, verb
        return
    with open(f"/proc/{state['Pid']}/cgroup") as file:
        groups = {names: path for _, names, path in (line.strip().split(":", 2) for line in file)}
    assert container.id in "".join(groups.values()), verb
    if "freezer" in groups:
        with open(f"/sys/fs/cgroup/freezer{groups['freezer']}/freezer.state") as file:
            assert (file.read().strip() != "THAWED") == (state["Status"] == "paused"), verb
