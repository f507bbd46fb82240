"""What a daemon brings up at its start, and in which order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from realdaemon import Daemon

ALWAYS = {"Name": "always"}
S_NS = 10**9
UNTIL_GO = "while [ ! -e /tmp/go ]; do sleep 0.05; done"


def labels(service: str, *needs: str) -> dict[str, str]:
    prefix = "com.docker.compose."
    return {f"{prefix}project": "p", f"{prefix}service": service, f"{prefix}depends_on": ",".join(needs)}


def crash(daemon: Daemon) -> None:
    """The host goes down: the daemon first, then everybody else."""
    daemon.kill()
    for pid, line in daemon.processes().items():
        if "/conmon " in line:
            os.kill(pid, 9)
    daemon.start()


def wait_status(container: Any, *wanted: str) -> None:
    deadline = time.monotonic() + 15
    while container.status not in wanted:
        assert time.monotonic() < deadline, f"{container.name} is {container.status}"
        time.sleep(0.02)
        container.reload()


def test_dependencies_come_first(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    run = daemon.client.containers.run
    check = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": S_NS // 10, "retries": 1000}
    needs = ("db:service_healthy:false", "job:service_completed_successfully:false", "cache:service_started:false")
    more: dict[str, Any] = {"detach": True, "restart_policy": ALWAYS}
    web = run("busybox", ["sleep", "600"], name="web", labels=labels("web", *needs), **more)
    other = run("busybox", ["sleep", "600"], name="other", labels=labels("other", "db:service_healthy:false"), **more)
    db = run(
        "busybox", ["sh", "-c", "rm -f /tmp/go; sleep 600"], name="db", labels=labels("db"), healthcheck=check, **more
    )
    job = run(
        "busybox", ["sh", "-c", f"{UNTIL_GO}; rm /tmp/go"], name="job", labels=labels("job"), detach=True,
        restart_policy={"Name": "on-failure"},
    )  # fmt: skip
    cache = run("busybox", ["sleep", "600"], name="cache", labels=labels("cache", "web"), **more)  # a circle
    crash(daemon)
    client = daemon.client  # it answers meanwhile
    web, other, db, job, cache = (client.containers.get(each.name) for each in (web, other, db, job, cache))
    for each in (db, job, cache):
        wait_status(each, "running")
    web.reload()
    other.reload()
    assert (web.status, other.status) == ("restarting", "restarting")
    other.stop()  # its user has another mind
    assert db.exec_run(["touch", "/tmp/go"]).exit_code == 0
    begun = time.time()
    assert job.exec_run(["touch", "/tmp/go"]).exit_code == 0
    wait_status(web, "running")
    assert time.time() - begun < 5
    job.reload()
    other.reload()
    assert (job.status, job.attrs["State"]["ExitCode"], other.status) == ("exited", 0, "exited")
    told = client.events(since=1, until=int(time.time()) + 1, decode=True, filters={"type": "container"})
    order = [(event["Actor"]["Attributes"]["name"], event["Action"]) for event in told]
    assert order.index(("web", "start")) > order.index(("db", "health_status: healthy"))
    assert order.index(("web", "start")) > order.index(("job", "die"))
    assert ("other", "start") not in order
    assert web.attrs["RestartCount"] == 0


def test_what_is_never_ready_holds_up_nobody_for_ever(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    run = daemon.client.containers.run
    more: dict[str, Any] = {"detach": True, "restart_policy": ALWAYS}
    run("busybox", ["false"], name="job", labels=labels("job"), detach=True).wait()
    needs = ("gone:service_healthy:false", "job:service_completed_successfully:false")
    run("busybox", ["sleep", "600"], name="web", labels=labels("web", *needs), **more)
    crash(daemon)
    wait_status(daemon.client.containers.get("web"), "running")
    assert "is not service_completed_successfully" in daemon.log()
