"""docker-py, unchanged, against a real daemon: what a Python program does with Docker."""

from __future__ import annotations

import io
import socket
import struct
import tarfile
import threading
from itertools import islice
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

# docker-py leaves responses of hijacked connections to the garbage collector, which Python 3.13 reports
pytestmark = [pytest.mark.root, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

SLEEP = ["sleep", "600"]
TRAPPED = ["sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done"]


def tar_of(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def untar(pieces: Any) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        return {m.name: f.read() if (f := tar.extractfile(m)) else b"" for m in tar.getmembers()}


def demultiplex(data: bytes) -> list[tuple[int, bytes]]:
    out = []
    while data:
        stream, size = struct.unpack(">BxxxI", data[:8])
        out.append((stream, data[8 : 8 + size]))
        data = data[8 + size :]
    return out


def read_all(sock: socket.socket) -> bytes:
    out = b""
    while piece := sock.recv(65536):
        out += piece
    return out


def bare(stream: Any) -> socket.socket:
    """The socket inside what docker-py returns for one."""
    return getattr(stream, "_sock", stream)


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


# -- files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [True, False])
def test_put_and_get_archive(client: docker.DockerClient, running: bool) -> None:
    container = client.containers.create("busybox", SLEEP)
    if running:
        container.start()
    assert container.put_archive("/tmp", tar_of(a="one", sub__b="two"))
    stream, found = container.get_archive("/tmp")
    files = untar(stream)
    assert files["tmp/a"] == b"one" and files["tmp/sub/b"] == b"two"
    assert found["name"] == "tmp" and found["linkTarget"] == ""
    stream, found = container.get_archive("/tmp/a")
    assert untar(stream) == {"a": b"one"} and found["size"] == 3
    with pytest.raises(NotFound, match="Could not find the file /nosuch in container"):
        container.get_archive("/nosuch")
    with pytest.raises(NotFound):
        container.put_archive("/nosuch", tar_of(a="x"))


def test_export_and_import(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo kept > /kept"], detach=True)
    container.wait()
    tar = b"".join(container.export())
    client.api.import_image_from_data(tar, repository="exported", tag="1")
    try:
        assert client.containers.run("exported:1", ["cat", "/kept"], remove=True) == b"kept\n"
    finally:
        client.images.remove("exported:1")


# -- images ---------------------------------------------------------------------------------------------------------------


def test_build_tag_history_remove(client: docker.DockerClient) -> None:
    dockerfile = 'FROM busybox\nENV A=1\nRUN echo built > /built\nCOPY f /f\nLABEL x=y\nCMD ["cat", "/built", "/f"]\n'
    context = io.BytesIO(tar_of(Dockerfile=dockerfile, f="copied\n"))
    image, log = client.images.build(fileobj=context, custom_context=True, tag="built:1")
    try:
        text = "".join(str(line.get("stream", "")) for line in log)
        assert "Successfully tagged built:1" in text
        assert client.containers.run("built:1", remove=True) == b"built\ncopied\n"
        assert image.labels == {"x": "y"}
        assert len(image.history()) == 6 and image.history()[0]["CreatedBy"].endswith('CMD ["cat" "/built" "/f"]')
        assert image.tag("again", "2")
        image.reload()
        assert image.tags == ["again:2", "built:1"]
    finally:
        client.images.remove("built:1")
    with pytest.raises(ImageNotFound):
        client.images.get("built:1")
    client.images.remove("again:2")


def test_a_failing_build_says_why(client: docker.DockerClient) -> None:
    context = io.BytesIO(tar_of(Dockerfile="FROM busybox\nRUN exit 3\n"))
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 3"):
        client.images.build(fileobj=context, custom_context=True)


def test_push_and_pull(client: docker.DockerClient, registry: Any) -> None:
    name = f"{registry.address}/team/box"
    image = client.images.get("busybox")
    assert image.tag(name, "1")
    pushed = list(client.images.push(name, tag="1", stream=True, decode=True))
    assert not [line for line in pushed if "error" in line]
    assert ": digest: sha256:" in pushed[-1]["status"]
    client.images.remove(f"{name}:1")
    pulled = client.images.pull(name, tag="1")
    try:
        assert pulled.tags and f"{name}:1" in pulled.tags
        assert pulled.attrs["RepoDigests"]
        assert client.containers.run(f"{name}:1", ["echo", "pulled"], remove=True) == b"pulled\n"
        with pytest.raises(APIError):
            client.images.pull(name, tag="nosuch")
    finally:
        client.images.remove(f"{name}:1")


def test_save_and_load(client: docker.DockerClient) -> None:
    client.images.get("busybox").tag("saved", "1")
    saved = b"".join(client.images.get("saved:1").save(named="saved:1"))
    client.images.remove("saved:1")
    loaded = client.images.load(saved)
    try:
        assert [image.tags for image in loaded] == [["busybox:latest", "saved:1"]]
    finally:
        client.images.remove("saved:1")


def test_commit_keeps_files_and_changes(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo one > /one"], detach=True)
    container.wait()
    image = container.commit("committed", "1", message="why", author="me", changes='CMD ["cat", "/one"]')
    try:
        assert client.containers.run("committed:1", remove=True) == b"one\n"
        assert image.attrs["Author"] == "me" and image.history()[0]["Comment"] == "why"
    finally:
        client.images.remove("committed:1")


def test_an_image_in_use_is_not_removed(client: docker.DockerClient) -> None:
    client.images.get("busybox").tag("used", "1")
    container = client.containers.run("used:1", SLEEP, detach=True)
    client.images.remove("used:1")  # a name among others may always go
    with pytest.raises(APIError) as caught:
        client.images.remove(container.attrs["Image"])
    assert caught.value.status_code == 409


# -- networks and volumes -------------------------------------------------------------------------------------------------


def test_names_resolve_on_a_network_of_ones_own(client: docker.DockerClient) -> None:
    network = client.networks.create("harbour")
    client.containers.run(
        "busybox", ["sh", "-c", "mkdir /w; echo welcome > /w/index.html; exec busybox httpd -f -h /w"], detach=True, name="pier",
        network="harbour",
    )  # fmt: skip
    script = "for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://pier/ && exit; sleep 0.05; done"
    assert client.containers.run("busybox", ["sh", "-c", script], network="harbour", remove=True) == b"welcome\n"
    network.reload()
    assert [end["Name"] for end in network.attrs["Containers"].values()] == ["pier"]


def test_connect_and_disconnect_while_running(client: docker.DockerClient) -> None:
    network = client.networks.create("harbour")
    container = client.containers.run("busybox", SLEEP, detach=True)
    network.connect(container, aliases=["berth"])
    container.reload()
    assert set(container.attrs["NetworkSettings"]["Networks"]) == {"bridge", "harbour"}
    assert b"eth1" in container.exec_run(["ls", "/sys/class/net"]).output
    with pytest.raises(APIError, match="has active endpoints"):
        network.remove()
    network.disconnect(container)
    assert b"eth1" not in container.exec_run(["ls", "/sys/class/net"]).output
    container.reload()
    assert set(container.attrs["NetworkSettings"]["Networks"]) == {"bridge"}


@pytest.mark.parametrize("mode", ["none", "host"])
def test_network_modes_without_a_bridge(client: docker.DockerClient, mode: str) -> None:
    names = client.containers.run("busybox", ["ls", "/sys/class/net"], network_mode=mode, remove=True).split()
    assert (names == [b"lo"]) is (mode == "none")


def test_share_the_network_of_another(client: docker.DockerClient) -> None:
    other = client.containers.run("busybox", SLEEP, detach=True, hostname="both")
    script = "hostname; ls -l /proc/self/ns/net"
    ours = client.containers.run("busybox", ["sh", "-c", script], network_mode=f"container:{other.id}", remove=True)
    theirs = other.exec_run(["sh", "-c", script]).output
    assert ours.split(b"net:")[1] == theirs.split(b"net:")[1]


def test_published_ports_reach_the_container(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "mkdir /w; echo page > /w/index.html; exec busybox httpd -f -p 8000 -h /w"], detach=True,
        ports={"8000/tcp": ("127.0.0.1", None)},
    )  # fmt: skip
    container.reload()
    (binding,) = container.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    container.exec_run(["sh", "-c", "until wget -qO- http://127.0.0.1:8000/; do true; done"])
    with socket.create_connection(("127.0.0.1", int(binding["HostPort"])), 5) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(sock).endswith(b"page\n")
    with pytest.raises(APIError, match="port is already allocated"):
        client.containers.run("busybox", SLEEP, detach=True, ports={"1/tcp": ("127.0.0.1", int(binding["HostPort"]))})


def test_volumes_are_shared_and_filled_from_the_image(client: docker.DockerClient) -> None:
    volume = client.volumes.create("cargo", labels={"a": "b"})
    mounts = {"cargo": {"bind": "/etc", "mode": "rw"}}
    client.containers.run("busybox", ["sh", "-c", "echo more > /etc/more"], volumes=mounts, remove=True)
    readonly = {"cargo": {"bind": "/c", "mode": "ro"}}
    out = client.containers.run(
        "busybox", ["sh", "-c", "cat /c/more; head -1 /c/passwd"], volumes=readonly, remove=True
    )
    assert out == b"more\nroot:x:0:0:root:/root:/bin/sh\n"
    with pytest.raises(ContainerError, match="Read-only file system"):
        client.containers.run("busybox", ["touch", "/c/x"], volumes=readonly, remove=True)
    assert volume.attrs["Labels"] == {"a": "b"}
    container = client.containers.create("busybox", SLEEP, volumes=readonly)
    with pytest.raises(APIError, match="volume is in use"):
        volume.remove()
    container.remove()
    volume.remove()


def test_anonymous_volumes_go_with_their_container(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["true"], volumes=["/data"], detach=True)
    container.wait()
    assert len(client.volumes.list()) == 1
    container.remove(v=True)
    container = client.containers.create("busybox", ["true"], volumes=["/data"], auto_remove=True)
    container.start()
    container.wait(condition="removed")
    assert client.volumes.list() == []


def test_binds_and_tmpfs(client: docker.DockerClient, tmp_path: Any) -> None:
    (tmp_path / "in").write_text("from the host\n")
    out = client.containers.run(
        "busybox", ["sh", "-c", "cat /b/in; echo back > /b/out; echo x > /t/x; mount | grep ' /t '"],
        volumes=[f"{tmp_path}:/b"], tmpfs={"/t": "size=1m"}, remove=True,
    )  # fmt: skip
    assert out.startswith(b"from the host\n") and b"noexec" in out and b"size=1024k" in out
    assert (tmp_path / "out").read_text() == "back\n"


def test_read_only_root(client: docker.DockerClient) -> None:
    with pytest.raises(ContainerError, match="Read-only file system"):
        client.containers.run("busybox", ["touch", "/x"], read_only=True, remove=True)


# -- system ---------------------------------------------------------------------------------------------------------------


def test_events_tell_a_life_in_order(client: docker.DockerClient) -> None:
    client.containers.run("busybox", ["true"], name="told", remove=True)
    seen = []
    for event in client.events(since=1, decode=True, filters={"container": "told"}):
        seen.append((event["Type"], event["Action"]))
        if event["Action"] == "destroy":
            break
    actions = [action for kind, action in seen if kind == "container"]
    assert actions == ["create", "attach", "start", "die", "destroy"] or actions == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_version_info_df(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.56"
    client.containers.run("busybox", SLEEP, detach=True)
    info = client.info()
    assert info["ContainersRunning"] == 1 and info["Driver"] == "overlayfs"
    usage = client.df()
    assert [row["State"] for row in usage["Containers"]] == ["running"]
    assert usage["LayersSize"] > 0
