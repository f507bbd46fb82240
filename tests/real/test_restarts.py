"""Restart policies and health of real containers: counts, back-off, who may interrupt it, and what a crash of the daemon changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import docker
import pytest
from docker.errors import APIError
from realdaemon import Daemon

S_NS = 10**9
ALWAYS = {"Name": "always"}


def wait_for(container: Any, what: Callable[[Any], bool], limit_s: float = 15) -> None:
    deadline = time.monotonic() + limit_s
    container.reload()
    while not what(container):
        assert time.monotonic() < deadline, container.attrs["State"]
        time.sleep(0.02)
        container.reload()


def restarted(count: int) -> Callable[[Any], bool]:
    return lambda container: bool(container.attrs["RestartCount"] >= count)


def backing_off(container: Any) -> bool:
    return bool(container.status == "restarting")


def ended(container: Any) -> bool:
    return bool(container.status == "exited")


def actions(client: docker.DockerClient, container: Any) -> list[str]:
    found = client.events(since=1, until=int(time.time()) + 1, decode=True, filters={"container": container.id})
    return [e["Action"] for e in found if e["Type"] == "container" and not e["Action"].startswith("exec")]


def crash_loop(client: docker.DockerClient, **policy: Any) -> Any:
    return client.containers.run("busybox", ["false"], detach=True, restart_policy=policy or ALWAYS)


# -- policies -----------------------------------------------------------------------------------------------------------


def test_retries_are_counted_and_end(client: docker.DockerClient) -> None:
    container = crash_loop(client, Name="on-failure", MaximumRetryCount=2)
    wait_for(container, lambda c: ended(c) and restarted(2)(c))
    assert (container.attrs["RestartCount"], container.attrs["State"]["ExitCode"]) == (2, 1)
    assert actions(client, container) == ["create", *["start", "die"] * 3]
    container.start()  # by a user: they are counted anew
    wait_for(container, lambda c: ended(c) and restarted(2)(c))
    assert container.attrs["RestartCount"] == 2


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_who_ends_it_during_the_back_off(client: docker.DockerClient, verb: str) -> None:
    container = crash_loop(client)
    wait_for(container, lambda c: backing_off(c) and restarted(2)(c))
    getattr(container, verb)()
    container.reload()
    assert container.status == "exited"
    count = container.attrs["RestartCount"]
    time.sleep(1)  # longer than it would have waited
    container.reload()
    assert (container.status, container.attrs["RestartCount"]) == ("exited", count)


def test_who_starts_it_during_the_back_off(client: docker.DockerClient) -> None:
    container = crash_loop(client)
    wait_for(container, lambda c: backing_off(c) and restarted(3)(c))
    container.start()  # at once, and with a count of its own
    container.reload()
    assert container.attrs["RestartCount"] < 3


def test_another_policy_during_the_back_off(client: docker.DockerClient) -> None:
    container = crash_loop(client)
    wait_for(container, lambda c: backing_off(c) and restarted(2)(c))
    container.update(restart_policy={"Name": "no"})
    container.reload()
    assert container.status == "exited"  # with Docker it runs once more
    container.update(restart_policy=ALWAYS)
    container.start()
    wait_for(container, lambda c: backing_off(c) and restarted(2)(c))
    container.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 50})
    count = container.attrs["RestartCount"]
    wait_for(container, restarted(count + 1))
    container.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 1})
    container.reload()
    assert container.status == "exited"


@pytest.mark.parametrize(("signal", "stays"), [("KILL", True), ("TERM", True), ("INT", True), ("HUP", False)])
def test_a_signal_that_asks_to_end(client: docker.DockerClient, signal: str, stays: bool) -> None:
    """A container that a user has killed is not started again; one that was told to reload, and broke of it, is."""
    script = "trap 'exit 4' TERM INT HUP; while true; do sleep 0.05; done"
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True, restart_policy=ALWAYS)
    time.sleep(0.2)  # until the traps are set
    container.kill(signal)
    if stays:
        wait_for(container, ended)
        time.sleep(0.3)
        container.reload()
    else:
        wait_for(container, restarted(1))
    assert container.attrs["RestartCount"] == (0 if stays else 1)


def test_who_is_up_after_the_daemons_death(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    run = daemon.client.containers.run
    made = {}
    for policy in ("no", "always", "unless-stopped", "on-failure"):
        for stopped in (False, True):
            name = f"{policy}-{stopped}"
            made[name] = run("busybox", ["sleep", "600"], name=name, detach=True, restart_policy={"Name": policy})
            if stopped:
                made[name].stop(timeout=0)
    daemon.kill()
    for pid, line in daemon.processes().items():  # the host goes down
        if "/conmon " in line:
            os.kill(pid, 9)
    daemon.start()
    up = {"always-False", "always-True", "unless-stopped-False", "on-failure-False"}
    for name in sorted(up):
        wait_for(daemon.client.containers.get(name), lambda c: bool(c.status == "running"))
    assert {each.name for each in daemon.client.containers.list()} == up


# -- health -------------------------------------------------------------------------------------------------------------


def check(*argv: str, **more: Any) -> dict[str, Any]:
    return {"test": ["CMD", *argv], "interval": S_NS // 10, "retries": 1, **more}


def unhealthy(client: docker.DockerClient, action: str, **more: Any) -> Any:
    """It is healthy until the file is there."""
    return client.containers.run(
        "busybox", ["sh", "-c", "rm -f /tmp/sick; trap 'exit 0' TERM; while true; do sleep 0.05; done"], detach=True,
        healthcheck=check("sh", "-c", "! test -e /tmp/sick"), labels={"naru.health.on-failure": action}, **more,
    )  # fmt: skip


def health(container: Any) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def test_restart_for_health(client: docker.DockerClient) -> None:
    container = unhealthy(client, "restart")
    wait_for(container, lambda c: health(c) == "healthy")
    container.exec_run(["touch", "/tmp/sick"])
    wait_for(container, lambda c: restarted(1)(c) and health(c) == "healthy")
    assert container.attrs["RestartCount"] == 1
    assert actions(client, container) == [
        "create", "start", "health_status: healthy", "health_status: unhealthy", "kill", "die", "start", "health_status: healthy",
    ]  # fmt: skip
    container.stop()
    container.reload()
    assert container.status == "exited"


@pytest.mark.parametrize(
    ("action", "policy", "code", "restarts"),
    [("stop", "always", 0, 0), ("kill", "no", 137, 0), ("kill", "always", 0, 1)],
)
def test_what_else_is_done_for_health(
    client: docker.DockerClient, action: str, policy: str, code: int, restarts: int
) -> None:
    container = unhealthy(client, action, restart_policy={"Name": policy})
    wait_for(container, lambda c: health(c) == "healthy")
    container.exec_run(["touch", "/tmp/sick"])
    wait_for(container, restarted(1) if restarts else ended)
    assert (container.attrs["RestartCount"], container.attrs["State"]["ExitCode"]) == (restarts, code)


def test_labels_are_checked(client: docker.DockerClient) -> None:
    for labels, more, words in [
        ({"naru.health.on-failure": "reboot"}, {}, 'naru.health.on-failure: "reboot" is none of none, kill, restart, stop'),
        ({"naru.health.on-failure": "restart"}, {"auto_remove": True}, "can't create 'AutoRemove' container"),
    ]:  # fmt: skip
        with pytest.raises(APIError, match=words) as refused:
            client.containers.create("busybox", labels=labels, **more)
        assert refused.value.status_code == 400
    assert client.containers.list(all=True) == []


def test_a_probe_that_takes_too_long_is_ended_whole(daemon: Daemon, client: docker.DockerClient) -> None:
    script = "trap '' TERM HUP; sleep 601 & sleep 602; true"
    container = client.containers.run(
        "busybox", ["sleep", "600"], detach=True, healthcheck=check("sh", "-c", script, timeout=S_NS // 5)
    )
    wait_for(container, lambda c: health(c) == "unhealthy")
    last = container.attrs["State"]["Health"]["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (-1, "Health check exceeded timeout (0.2s)")
    deadline = time.monotonic() + 5
    while True:
        commands = [line[-1] for line in container.top()["Processes"]]
        if (
            sum("60" in command for command in commands) <= 4
        ):  # itself, and one probe under way: no pile of earlier ones
            break
        assert time.monotonic() < deadline, commands


def test_what_a_probe_says_is_kept_within_bounds(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sleep", "600"], detach=True, healthcheck=check("sh", "-c", "yes | head -c 5000000")
    )
    wait_for(container, lambda c: health(c) == "healthy")
    assert container.attrs["State"]["Health"]["Log"][0]["Output"] == "y\n" * 2048 + "..."


def test_nobody_asks_the_paused(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep", "600"], detach=True, healthcheck=check("true"))
    wait_for(container, lambda c: health(c) == "healthy")
    container.pause()
    time.sleep(0.5)
    assert health(container) == "healthy"
    container.unpause()
    before = container.attrs["State"]["Health"]["Log"][-1]["Start"]
    wait_for(container, lambda c: c.attrs["State"]["Health"]["Log"][-1]["Start"] > before)
    assert container.attrs["State"]["Health"]["Status"] == "healthy"
