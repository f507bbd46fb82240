"""docker-py, unchanged, against a real daemon: running containers, their lives, their streams."""

from __future__ import annotations

import socket
import threading
from itertools import islice
from typing import Any

import docker
import pytest
from clientbytes import bare, demultiplex, read_all
from docker.errors import APIError, ContainerError, NotFound

pytestmark = pytest.mark.root

SLEEP = ["sleep", "600"]
TRAPPED = ["sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done"]


# -- run, logs, wait ------------------------------------------------------------------------------------------------------


def test_run_returns_the_output(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    assert client.containers.list(all=True) == []


def test_failing_run_raises_with_exit_code_and_stderr(client: docker.DockerClient) -> None:
    with pytest.raises(ContainerError) as caught:
        client.containers.run("busybox", ["sh", "-c", "echo oops >&2; exit 7"], remove=True)
    assert caught.value.exit_status == 7
    assert caught.value.stderr == b"oops\n"


def test_environment_workdir_user_hostname(client: docker.DockerClient) -> None:
    script = 'echo "$A $FROM_IMAGE $(pwd) $(id -u):$(id -g) $(hostname)"'
    out = client.containers.run(
        "busybox", ["sh", "-c", script], environment={"A": "b c"}, working_dir="/made/up", user="alice", hostname="port",
        remove=True,
    )  # fmt: skip
    assert out == b"b c yes /made/up 1000:1001 port\n"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["nosuch"], 'exec: "nosuch": executable file not found in $PATH'),
        (["/nosuch"], 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
        (["/etc"], 'exec: "/etc": is a directory: permission denied'),
    ],
)
def test_a_program_that_cannot_run_is_a_start_error(client: docker.DockerClient, command: list[str], text: str) -> None:
    container = client.containers.create("busybox", command)
    with pytest.raises(APIError) as caught:
        container.start()
    assert text in str(caught.value)
    container.reload()
    assert container.status == "created"
    assert container.attrs["State"]["ExitCode"] in (126, 127)


def test_logs_with_tail_timestamps_and_streams(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "for i in 1 2 3 4; do echo out$i; done; echo err >&2; printf end"], detach=True
    )
    container.wait()
    assert container.logs(stderr=False) == b"out1\nout2\nout3\nout4\nend"
    assert container.logs(stdout=False) == b"err\n"
    assert container.logs(stdout=True, stderr=False, tail=2) == b"out4\nend"
    stamped = container.logs(stdout=False, timestamps=True)
    assert stamped.endswith(b"Z err\n") and stamped.startswith(b"20")


def test_logs_follow_until_the_end(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"], detach=True
    )
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
def test_wait_conditions(client: docker.DockerClient, condition: str) -> None:
    container = client.containers.create("busybox", TRAPPED)
    answers: list[Any] = []
    if condition == "next-exit":
        thread = threading.Thread(target=lambda: answers.append(container.wait(condition=condition)))
        thread.start()
        container.start()
    else:
        container.start()
        thread = threading.Thread(target=lambda: answers.append(container.wait(condition=condition)))
        thread.start()
    assert next(iter(container.logs(stream=True))) == b"ready\n"  # only now does it listen to signals
    container.stop()
    if condition == "removed":
        container.remove()
    thread.join(10)
    assert [answer["StatusCode"] for answer in answers] == [3]


def test_wait_of_one_that_has_ended_answers_at_once(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "exit 5"], detach=True)
    container.wait()
    assert container.wait()["StatusCode"] == 5


# -- life -----------------------------------------------------------------------------------------------------------------


def test_stop_start_restart_kill_rename(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", TRAPPED, detach=True, name="first")
    assert next(iter(container.logs(stream=True))) == b"ready\n"
    container.stop()
    container.reload()
    assert (container.status, container.attrs["State"]["ExitCode"]) == ("exited", 3)
    container.start()
    container.restart(timeout=5)
    container.rename("second")
    assert client.containers.get("second").status == "running"
    with pytest.raises(NotFound):
        client.containers.get("first")
    container.kill("KILL")
    assert container.wait()["StatusCode"] == 137


def test_stop_kills_what_does_not_listen(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)  # the first process ignores SIGTERM
    container.stop(timeout=0)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 137


def test_pause_and_unpause(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    container.pause()
    container.reload()
    assert container.status == "paused"
    with pytest.raises(APIError, match="is paused"):
        container.exec_run(["true"])
    container.unpause()
    assert container.exec_run(["echo", "back"]).output == b"back\n"


def test_paused_containers_can_be_stopped_and_removed(client: docker.DockerClient) -> None:
    first, second = (client.containers.run("busybox", SLEEP, detach=True) for _ in range(2))
    first.pause()
    second.pause()
    first.stop(timeout=0)
    first.reload()
    assert first.status == "exited"
    second.remove(force=True)


def test_running_containers_are_removed_only_by_force(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    with pytest.raises(APIError, match="stop the container before removing or force remove"):
        container.remove()
    container.remove(force=True)
    with pytest.raises(NotFound, match="No such container"):
        container.reload()


def test_names_are_taken_once(client: docker.DockerClient) -> None:
    client.containers.create("busybox", SLEEP, name="only")
    with pytest.raises(APIError, match='The container name "/only" is already in use by container') as caught:
        client.containers.create("busybox", SLEEP, name="only")
    assert caught.value.status_code == 409


def test_restart_policy_on_failure_gives_up(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["false"], detach=True, restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}
    )
    events = client.events(since=1, decode=True, filters={"container": container.id, "event": "die"})
    assert [event["Actor"]["Attributes"]["exitCode"] for event in islice(events, 3)] == ["1", "1", "1"]
    container.wait()
    container.reload()
    assert (container.status, container.attrs["RestartCount"]) == ("exited", 2)


def test_restart_policy_always_until_stopped(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["true"], detach=True, restart_policy={"Name": "always"})
    events = client.events(since=1, decode=True, filters={"container": container.id, "event": "start"})
    assert len(list(islice(events, 3))) == 3
    container.stop()
    container.reload()
    assert container.status == "exited"


def test_update_of_a_running_container(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True, mem_limit="32m")
    container.update(mem_limit="64m", memswap_limit="128m", restart_policy={"Name": "on-failure"})
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 64 << 20
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"


def test_out_of_memory_is_told(client: docker.DockerClient) -> None:
    script = "x=a; while true; do x=$x$x$x$x; done"
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True, mem_limit="8m", memswap_limit="8m")
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.attrs["State"]["OOMKilled"] is True


def test_top_stats_diff(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo x > /new; rm /etc/group; sleep 600"], detach=True)
    for _ in client.events(since=1, decode=True, filters={"container": container.id, "event": "start"}):
        break
    container.exec_run(["sh", "-c", "while [ -e /etc/group ]; do true; done"])
    top = container.top()
    column = top["Titles"].index("CMD")
    assert [row[column] for row in top["Processes"]][-1].endswith("sleep 600")
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["usage"] > 0 and stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert stats["networks"]["eth0"]["rx_bytes"] >= 0
    kinds = {change["Path"]: change["Kind"] for change in container.diff()}
    assert kinds == {"/etc": 0, "/etc/group": 2, "/new": 1}


def test_prune_takes_only_what_has_ended(client: docker.DockerClient) -> None:
    running = client.containers.run("busybox", SLEEP, detach=True)
    ended = client.containers.run("busybox", ["true"], detach=True)
    ended.wait()
    assert client.containers.prune()["ContainersDeleted"] == [ended.id]
    assert [c.id for c in client.containers.list(all=True)] == [running.id]


def test_list_filters(client: docker.DockerClient) -> None:
    one = client.containers.run("busybox", SLEEP, detach=True, name="one", labels={"tier": "web"})
    two = client.containers.run("busybox", ["sh", "-c", "exit 4"], detach=True, name="two")
    two.wait()

    def ids(**filters: Any) -> list[str]:
        return [c.id for c in client.containers.list(all=True, filters=filters)]

    assert ids(label="tier=web") == [one.id]
    assert ids(label="tier") == [one.id]
    assert ids(status="exited") == [two.id]
    assert ids(exited=4) == [two.id]
    assert ids(name="tw") == [two.id]
    assert ids(ancestor="busybox") == [two.id, one.id]
    assert ids(since="one") == [two.id]
    assert ids(before="two") == [one.id]
    assert ids(id=one.id[:10]) == [one.id]
    assert [c.id for c in client.containers.list()] == [one.id]


# -- exec and attach ------------------------------------------------------------------------------------------------------


def test_exec_run_forms(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    script = ["sh", "-c", "echo out; echo err >&2; exit 9"]
    assert container.exec_run(script, demux=True) == (9, (b"out\n", b"err\n"))
    code, output = container.exec_run(script)
    assert code == 9 and sorted(output.splitlines()) == [b"err", b"out"]
    assert container.exec_run(
        ["sh", "-c", "echo $A; pwd; id -u"], environment=["A=1"], workdir="/tmp", user="1000"
    ).output == (b"1\n/tmp\n1000\n")
    assert b"".join(container.exec_run(["seq", "3"], stream=True).output) == b"1\n2\n3\n"
    code, output = container.exec_run(["nosuch"])
    assert code == 127 and b"executable file not found in $PATH" in output
    assert container.exec_run(["sh", "-c", "test -t 1 && echo tty"], tty=True).output == b"tty\r\n"
    container.reload()
    assert not container.attrs["ExecIDs"]


def test_exec_over_a_socket_both_ways(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    made = client.api.exec_create(container.id, ["cat"], stdin=True)
    stream = client.api.exec_start(made["Id"], socket=True)
    sock = bare(stream)
    payload = bytes(range(256)) * 2000
    writer = threading.Thread(target=lambda: (sock.sendall(payload), sock.shutdown(socket.SHUT_WR)))
    writer.start()
    data = read_all(sock)
    writer.join()
    stream.close()
    sock.close()
    assert b"".join(piece for _, piece in demultiplex(data)) == payload
    assert client.api.exec_inspect(made["Id"])["ExitCode"] == 0


def test_exec_detached_runs_on(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    container.exec_run(["sh", "-c", "echo done > /made"], detach=True)
    container.exec_run(["sh", "-c", "while [ ! -s /made ]; do true; done"])
    assert container.exec_run(["cat", "/made"]).output == b"done\n"


def test_attach_before_start_misses_nothing(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["cat"], stdin_open=True)
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    sock = bare(stream)
    container.start()
    sock.sendall(b"ping\n")
    sock.shutdown(socket.SHUT_WR)
    data = read_all(sock)
    stream.close()
    sock.close()
    assert demultiplex(data) == [(1, b"ping\n")]
    assert container.wait()["StatusCode"] == 0


def test_attach_stream_and_logs(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "echo early; cat; echo late"], stdin_open=True)
    container.start()
    for line in container.logs(stream=True, follow=True):
        assert line == b"early\n"
        break
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    sock = bare(stream)
    sock.shutdown(socket.SHUT_WR)
    data = read_all(sock)
    stream.close()
    sock.close()
    assert b"".join(piece for _, piece in demultiplex(data)) == b"late\n"


def test_attach_with_logs_begins_at_the_beginning(daemon: Any, client: docker.DockerClient) -> None:
    """By hand: docker-py loses what comes with the headers."""
    container = client.containers.run(
        "busybox", ["sh", "-c", "echo early; cat; echo late"], stdin_open=True, detach=True
    )
    assert next(iter(container.logs(stream=True))) == b"early\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(daemon.socket)
        query = "logs=1&stream=1&stdin=1&stdout=1"
        sock.sendall(
            f"POST /containers/{container.id}/attach?{query} HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n".encode()
        )
        data = b""
        while data.count(b"early\n") == 0:
            data += sock.recv(65536)
        sock.sendall(b"typed\n")
        while b"typed\n" not in data:
            data += sock.recv(65536)
        container.kill()
        data += read_all(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    assert (
        head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        and b"Content-Type: application/vnd.docker.multiplexed-stream" in head
    )
    assert [piece for _, piece in demultiplex(body)] == [b"early\n", b"typed\n"]


def test_health_is_checked_and_told(client: docker.DockerClient) -> None:
    check = {"test": ["CMD-SHELL", "echo looked; test -e /ok"], "interval": 50_000_000, "retries": 2}
    container = client.containers.run("busybox", SLEEP, detach=True, healthcheck=check)
    told = (
        event["Action"]
        for event in client.events(since=1, decode=True, filters={"container": container.id, "event": "health_status"})
    )
    assert next(told) == "health_status: unhealthy"
    container.exec_run(["touch", "/ok"])
    assert next(told) == "health_status: healthy"
    container.reload()
    health = container.attrs["State"]["Health"]
    assert (health["Status"], health["FailingStreak"], health["Log"][-1]["Output"]) == ("healthy", 0, "looked\n")
    assert client.containers.list(filters={"health": "healthy"}) == [container]
