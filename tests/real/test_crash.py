"""kill -9, again and again, at any moment of create, start, exec and rm: what was acknowledged is there, what is told is true, and
nothing leaks.
"""

from __future__ import annotations

import os
import random
import secrets
import select
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError, NotFound

from naru.linux.netlink import Netlink

pytestmark = [pytest.mark.root, pytest.mark.slow]

ROUNDS = int(os.environ.get("NARU_CRASH_ROUNDS", "30"))
WORKERS = 3
KEPT = 3  # containers of one worker before it rather removes some
READY_S = 5.0  # DESIGN: state is reality within five seconds


@dataclass
class Known:
    """What one worker has been told of one container."""

    name: str
    id: str = ""
    state: str = "absent"  # absent, created, running, exited (an rm that was cut short)
    doing: str = ""  # a request whose answer has not come


@dataclass
class Worker:
    """Asks for this and that until the daemon dies; each worker has containers of its own, so it knows what they should be."""

    tag: str
    url: str
    random: random.Random
    containers: dict[str, Known] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    answers: int = 0

    def run(self) -> None:
        with closing(docker.APIClient(base_url=self.url, version="1.56", timeout=20)) as api:
            try:
                while True:
                    self._step(api)
            except (requests.RequestException, OSError):
                return  # the daemon has been killed
            except APIError as error:
                self.faults.append(f"{self.tag}: {error} ({self.containers})")

    def _step(self, api: docker.APIClient) -> None:
        there = list(self.containers.values())
        known = self.random.choice(there) if there else None
        if known is None or (len(there) < KEPT and self.random.random() < 0.4):
            known = Known(f"{self.tag}-{secrets.token_hex(4)}")
            self.containers[known.name] = known
            self._do(known, "create", lambda: self._create(api, known))
        elif known.state in ("created", "exited") and self.random.random() < 0.8:
            self._do(known, "start", lambda: api.start(known.id))
            known.state = "running"
        elif known.state == "running" and self.random.random() < 0.5:
            self._do(known, "exec", lambda: self._exec(api, known))
        else:
            self._do(known, "rm", lambda: api.remove_container(known.id, force=True, v=True))
            del self.containers[known.name]

    def _do(self, known: Known, what: str, work: Callable[[], Any]) -> None:
        known.doing = what
        work()
        known.doing = ""
        self.answers += 1

    def _create(self, api: docker.APIClient, known: Known) -> None:
        ports = self.random.random() < 0.3
        host = api.create_host_config(
            port_bindings={80: ("127.0.0.1", None)} if ports else None, binds=["/data"] if ports else None
        )
        known.id = api.create_container(
            "busybox", ["sleep", "600"], name=known.name, host_config=host, ports=[80] if ports else None
        )["Id"]
        known.state = "created"

    def _exec(self, api: docker.APIClient, known: Known) -> None:
        made = api.exec_create(known.id, ["echo", known.name])
        output = api.exec_start(made["Id"])
        api.ping()  # a killed daemon ends the stream as a finished command does
        if output != known.name.encode() + b"\n":
            self.faults.append(f"{known.name}: an exec's output was {output!r}")

    def resume(self, there: dict[str, Any]) -> None:
        """Take what is there now for the truth, after it has been compared with what we know."""
        self.containers = {
            name: Known(name, each.id, each.status) for name, each in there.items() if name.startswith(self.tag)
        }


def differences(worker: Worker, there: dict[str, Any]) -> list[str]:
    """What this worker was told and is not so."""
    out = []
    for known in worker.containers.values():
        found = there.get(known.name)
        status = found.status if found else "absent"
        allowed = {
            "": {known.state}, "create": {"absent", "created"}, "start": {known.state, "running"}, "exec": {"running"},
            "rm": {known.state, "absent", "exited"},
        }[known.doing]  # fmt: skip
        if status not in allowed:
            state = found.attrs["State"] if found else {}
            out.append(f"{known.name}: {status}, but known as {known.state}, doing {known.doing or 'nothing'}: {state}")
    names = {known.name for known in worker.containers.values()}
    out += [
        f"{name}: back from the dead ({each.status})"
        for name, each in there.items()
        if name.startswith(worker.tag) and name not in names
    ]
    return out


def reality(daemon: Any, there: dict[str, Any]) -> list[str]:
    """Where the kernel and the disk say something else than the daemon."""
    running = {each.id: each for each in there.values() if each.status == "running"}
    out = []
    for each in running.values():
        pid = each.attrs["State"]["Pid"]
        try:
            with open(f"/proc/{pid}/cgroup") as file:
                if each.id not in file.read():
                    out.append(f"{each.name}: pid {pid} is somebody else")
        except FileNotFoundError:
            out.append(f"{each.name}: said to run, but pid {pid} does not exist")
    ids = set(running)
    found = {
        "cgroups": {path.rpartition("/")[2] for path in daemon.cgroups()},
        "bundles": set(os.listdir(f"{daemon.exec_root}/containers")),
        "runtime states": set(os.listdir(f"{daemon.exec_root}/runtime")) - {".cache"},
        "monitors": {line.split(" -c ")[1].split()[0] for line in daemon.processes().values() if "/conmon " in line},
    }
    out += [
        f"{what}: {sorted(name[:12] for name in names ^ ids)} too many or missing"
        for what, names in found.items()
        if names != ids
    ]
    everything = {each.id for each in there.values()}
    if (folders := set(os.listdir(f"{daemon.data_root}/containers"))) != everything:
        out.append(f"directories: {folders ^ everything}")
    with open("/proc/self/mounts") as file:
        out += [f"mounted on the host: {line}" for line in file if daemon.path in line]
    return out


def ports_of_bridge(daemon: Any) -> int:
    with Netlink() as host:
        links = host.links()
    bridge = next(link.index for link in links if link.name == daemon.bridge)
    return sum(link.master == bridge for link in links)


def listed(client: docker.DockerClient) -> dict[str, Any]:
    return {each.name: each for each in client.containers.list(all=True)}


@pytest.mark.parametrize("patience", [ROUNDS * 8 + 60], indirect=True)
def test_nothing_acknowledged_is_lost_and_nothing_leaks(make_daemon: Callable[..., Any], patience: None) -> None:
    seed = int(os.environ.get("NARU_CRASH_SEED") or secrets.randbits(32))
    print(f"NARU_CRASH_SEED={seed}")  # shown by pytest when the test fails
    dice = random.Random(seed)
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    workers = [Worker(f"w{number}", daemon.url, random.Random(dice.random())) for number in range(WORKERS)]
    answers = 0
    for number in range(ROUNDS):
        threads = [threading.Thread(target=worker.run) for worker in workers]
        for thread in threads:
            thread.start()
        time.sleep(dice.uniform(0.02, 0.4))  # the moment is the point
        daemon.kill()
        for thread in threads:
            thread.join(30)
        assert daemon.start() < READY_S
        client = daemon.client
        there = listed(client)
        faults = [fault for worker in workers for fault in [*worker.faults, *differences(worker, there)]]
        faults += reality(daemon, there)
        assert not faults, f"round {number}: " + "\n".join([*faults, daemon.log()[-4000:]])
        for worker in workers:
            answers += worker.answers
            worker.answers = 0
            worker.resume(there)
    assert answers > ROUNDS  # it was about something
    running = sum(each.status == "running" for each in listed(client).values())
    daemon.clear()
    assert daemon.settled() == [], f"after {running} were removed"
    assert client.volumes.list() == []
    assert ports_of_bridge(daemon) == 0
    with pytest.raises(NotFound):
        client.containers.get("w0")


def test_what_ends_while_no_daemon_watches(make_daemon: Callable[..., Any]) -> None:
    """Exit codes come from the monitors; a restart policy is followed; a paused container stays paused; --rm is finished."""
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    client = daemon.client
    wait = "while [ ! -e /go ]; do sleep 0.02; done; exit 7"
    ended, again, gone = (
        client.containers.run("busybox", ["sh", "-c", wait], detach=True, **more)
        for more in ({}, {"restart_policy": {"Name": "always"}}, {"auto_remove": True})
    )
    paused = client.containers.run("busybox", ["sleep", "600"], detach=True)
    paused.pause()
    pids = {each.id: (each.reload(), each.attrs["State"]["Pid"])[1] for each in (ended, again, gone, paused)}
    daemon.kill()
    for each in (ended, again, gone):
        with open(f"/proc/{pids[each.id]}/root/go", "w"):
            pass
    for each in (ended, again, gone):
        wait_end(pids[each.id])
    daemon.start()
    ended.reload()
    paused.reload()
    assert (ended.status, ended.attrs["State"]["ExitCode"]) == ("exited", 7)
    started = client.events(since=1, decode=True, filters={"container": again.id, "event": "start"})
    assert next(iter(started))["Actor"]["Attributes"]["name"] == again.name
    assert (paused.status, paused.attrs["State"]["Pid"]) == ("paused", pids[paused.id])
    with pytest.raises(NotFound):
        gone.reload()
    paused.unpause()
    assert paused.exec_run(["echo", "thawed"]).output == b"thawed\n"


def wait_end(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], 10)[0]
    finally:
        os.close(fd)


def test_a_killed_monitor_is_an_end(make_daemon: Callable[..., Any]) -> None:
    """conmon dies: the container is settled as ended, nothing of it runs on, and it can be started again and removed."""
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    container = daemon.client.containers.run("busybox", ["sleep", "600"], detach=True)
    (monitor,) = (pid for pid, line in daemon.processes().items() if "/conmon " in line)
    os.kill(monitor, 9)
    assert container.wait(timeout=10)["StatusCode"] == 137
    container.reload()
    assert container.status == "exited"
    container.start()
    container.remove(force=True)
    assert daemon.settled() == []


def test_execs_that_race_with_the_end_of_their_container(make_daemon: Callable[..., Any]) -> None:
    """Each is run or refused; the daemon is none the worse for it."""
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    pid, strange = daemon.pid, []

    def work() -> None:
        with closing(docker.APIClient(base_url=daemon.url, version="1.56", timeout=20)) as api:
            for _ in range(8):
                id = api.create_container("busybox", ["sleep", "0.05"])["Id"]
                api.start(id)
                try:
                    while True:
                        api.exec_start(api.exec_create(id, ["true"])["Id"])
                except APIError as error:
                    if "is not running" not in str(error):
                        strange.append(str(error))
                api.wait(id)
                api.remove_container(id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert strange == []
    assert daemon.pid == pid and daemon.client.ping()
    assert daemon.settled() == []
