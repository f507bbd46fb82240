"""Checkpoints of real containers, over the API and both command lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from realdaemon import Daemon, lent, serving

from naru.linux.host import UNIFIED

COUNT = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done"
needs_criu = pytest.mark.skipif(
    shutil.which("criu") is None or subprocess.run(["criu", "check"], capture_output=True, check=False).returncode != 0,
    reason="CRIU is not installed, or cannot work on this kernel",
)


@pytest.fixture(scope="module")
def experimental() -> Iterator[Daemon]:
    with serving(Daemon("--experimental")) as daemon:
        yield daemon


@pytest.fixture
def engine(experimental: Daemon) -> Iterator[Daemon]:
    with lent(experimental) as daemon:
        yield daemon


def call(engine: Daemon, method: str, path: str, **options: Any) -> Any:
    api = engine.client.api
    return (
        api._get(api._url(path)) if method == "GET" else getattr(api, f"_{method.lower()}")(api._url(path), **options)
    )


def naru(engine: Daemon, *words: str) -> str:
    argv = [sys.executable, "-m", "naru", "-H", engine.url, *words]
    return told(subprocess.run(argv, capture_output=True, check=False, text=True))


def told(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def numbers(container: Any) -> list[int]:
    return [int(line) for line in container.logs().split()]


def wait_number(container: Any, least: int) -> None:
    for line in container.logs(stream=True, follow=True):
        if int(line) >= least:
            return


@needs_criu
def test_a_container_goes_on_where_it_was(engine: Daemon) -> None:
    container = engine.client.containers.run("busybox", ["sh", "-c", COUNT], detach=True, name="count", mem_limit="64m")
    wait_number(container, 3)
    assert naru(engine, "checkpoint", "create", "--leave-running", "count", "running") == "running\n"
    container.reload()
    assert container.status == "running"
    assert naru(engine, "checkpoint", "create", "count", "ended") == "ended\n"
    container.reload()
    assert (container.status, container.attrs["State"]["ExitCode"]) == ("exited", 137)
    assert naru(engine, "checkpoint", "ls", "count") == "CHECKPOINT NAME\nended\nrunning\n"
    last = numbers(container)[-1]
    naru(engine, "start", "--checkpoint", "ended", "count")
    wait_number(container, last + 2)
    assert numbers(container) == list(range(1, len(numbers(container)) + 1))  # none twice, none left out
    container.reload()
    state = container.attrs["State"]
    with open(f"/proc/{state['Pid']}/cgroup") as file:
        assert container.id in file.read()
    assert container.exec_run(["echo", "there"]).output == b"there\n"
    events = engine.client.events(since=1, until=int(time.time()) + 1, decode=True, filters={"container": container.id})
    actions = [e["Action"] for e in events if e["Type"] == "container" and not e["Action"].startswith("exec")]
    assert actions == ["create", "start", "checkpoint", "checkpoint", "die", "start"]
    naru(engine, "checkpoint", "rm", "count", "ended")
    assert naru(engine, "checkpoint", "ls", "count") == "CHECKPOINT NAME\nrunning\n"
    assert not os.path.exists(f"{UNIFIED}/{engine.cgroup}")  # on a hybrid host CRIU would make all groups again there


@needs_criu
def test_a_restored_container_outlives_the_daemon(engine: Daemon) -> None:
    container = engine.client.containers.run(
        "busybox", ["sleep", "600"], detach=True, restart_policy={"Name": "always"}
    )
    path = f"/containers/{container.id}/checkpoints"
    assert call(engine, "POST", path, json={"CheckpointID": "cp", "Exit": True}).status_code == 201
    container.reload()
    assert container.status == "exited"  # somebody wanted it down: no policy starts it
    assert call(engine, "POST", f"/containers/{container.id}/start?checkpoint=cp").status_code == 204
    container.reload()
    pid = container.attrs["State"]["Pid"]
    engine.kill()
    engine.start()
    container = engine.client.containers.get(container.id)
    assert (container.status, container.attrs["State"]["Pid"]) == ("running", pid)
    container.stop(timeout=0)


@needs_criu
def test_a_directory_of_ones_own_outlives_the_container(engine: Daemon, tmp_path: Path) -> None:
    """Docker refuses to start from one (moby #37344)."""
    first = engine.client.containers.run("busybox", ["sh", "-c", COUNT], detach=True)
    wait_number(first, 3)
    body = {"CheckpointID": "cp", "CheckpointDir": str(tmp_path), "Exit": True}
    assert call(engine, "POST", f"/containers/{first.id}/checkpoints", json=body).status_code == 201
    assert os.listdir(tmp_path) == ["cp"]
    listed = call(engine, "GET", f"/containers/{first.id}/checkpoints?dir={tmp_path}")
    assert listed.json() == [{"Name": "cp"}]
    last = numbers(first)[-1]
    first.remove()
    second = engine.client.containers.create("busybox", ["sh", "-c", COUNT])
    naru(engine, "start", "--checkpoint", "cp", "--checkpoint-dir", str(tmp_path), second.id)
    wait_number(second, last + 2)
    assert numbers(second)[0] == last + 1


@needs_criu
def test_what_cannot_be_restored(engine: Daemon) -> None:
    container = engine.client.containers.run("busybox", ["sleep", "600"], detach=True)
    path = f"/containers/{container.id}/checkpoints"
    call(engine, "POST", path, json={"CheckpointID": "cp", "Exit": True})
    os.unlink(f"{engine.data_root}/containers/{container.id}/checkpoints/cp/pages-1.img")
    answer = call(engine, "POST", f"/containers/{container.id}/start?checkpoint=cp")
    assert answer.status_code == 500
    assert answer.json()["message"].endswith("Can't read pages data (-9)")
    container.reload()
    assert container.status == "exited"
    container.start()  # nothing is in the way
    container.reload()
    assert container.status == "running"


@needs_criu
def test_refusals(engine: Daemon, tmp_path: Path) -> None:
    container = engine.client.containers.create("busybox", ["sleep", "600"], name="still")
    path = "/containers/still/checkpoints"
    (tmp_path / "file").touch()
    for method, query, body, status, words in [
        ("POST", "", {"CheckpointID": "cp"}, 409, f"container {container.id} is not running"),
        ("POST", "", {"CheckpointID": "a/b"}, 400, 'invalid checkpoint ID "a/b", only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed'),
        ("DELETE", "/cp", None, 500, "checkpoint cp does not exist for container still"),
        ("GET", f"?dir={tmp_path}/no", None, 404, f'checkpoint directory "{tmp_path}/no" does not exist for container still: stat {tmp_path}/no: no such file or directory'),
        ("GET", f"?dir={tmp_path}/file", None, 400, f'checkpoint directory "{tmp_path}/file" exists but is not a directory'),
        ("GET", "?dir=here", None, 400, 'checkpoint directory "here" is not an absolute path'),
    ]:  # fmt: skip
        answer = call(engine, method, path + query, **({"json": body} if body else {}))
        assert (answer.status_code, answer.json()["message"]) == (status, words)
    assert call(engine, "GET", path).json() is None
    answer = call(engine, "POST", "/containers/still/start?checkpoint=cp")
    assert (answer.status_code, answer.json()["message"]) == (500, "checkpoint cp does not exist for container still")
    container.start()
    folder = f"{engine.data_root}/containers/{container.id}/checkpoints"
    os.makedirs(f"{folder}/half")  # of a dump that was cut short
    assert call(engine, "GET", path).json() is None
    half = {"CheckpointID": "half"}
    assert call(engine, "POST", path, json=half).status_code == 201
    answer = call(engine, "POST", path, json=half)
    taken = "cannot checkpoint container still: checkpoint with name half already exists for container still"
    assert (answer.status_code, answer.json()["message"]) == (500, taken)
    container.pause()
    assert call(engine, "POST", path, json={"CheckpointID": "cp"}).status_code == 409
    assert os.listdir(folder) == ["half"]


@needs_criu
def test_dockers_own_command_line(engine: Daemon) -> None:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"

    def run(*words: str) -> str:
        argv = [shutil.which("docker", path=path) or "docker", *words]
        return told(subprocess.run(argv, env=engine.environment(), capture_output=True, check=False, text=True))

    container = engine.client.containers.run("busybox", ["sleep", "600"], detach=True, name="dock", tty=True)
    assert run("checkpoint", "create", "dock", "cp") == "cp\n"
    assert run("checkpoint", "ls", "dock") == "CHECKPOINT NAME\ncp\n"
    run("start", "--checkpoint", "cp", "dock")
    container.reload()
    assert container.status == "running"
    assert run("checkpoint", "rm", "dock", "cp") == ""
    assert run("checkpoint", "ls", "dock") == "CHECKPOINT NAME\n"


def test_a_daemon_that_is_not_experimental_has_none(daemon: Daemon, client: docker.DockerClient) -> None:
    client.containers.create("busybox", name="plain")
    disabled = "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it."
    for method, path in (("POST", ""), ("GET", ""), ("DELETE", "/cp")):
        answer = call(daemon, method, f"/containers/plain/checkpoints{path}")
        assert (answer.status_code, answer.json()["message"]) == (501, disabled)
    with pytest.raises(APIError, match="checkpoint is only supported in experimental mode"):
        client.api._raise_for_status(call(daemon, "POST", "/containers/plain/start?checkpoint=cp"))
    assert client.info()["ExperimentalBuild"] is False
    assert call(daemon, "GET", "/_ping").headers["Docker-Experimental"] == "false"


def test_an_experimental_daemon_says_so(engine: Daemon) -> None:
    version = engine.client.version()
    assert (version["Experimental"], version["Components"][0]["Details"]["Experimental"]) == (True, "true")
    assert engine.client.info()["ExperimentalBuild"] is True
    assert call(engine, "GET", "/_ping").headers["Docker-Experimental"] == "true"
