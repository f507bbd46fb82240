"""Logs of a real container: rotated under a follower, and over the daemon's death."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from realdaemon import Daemon

pytestmark = [pytest.mark.root, pytest.mark.slow]

LINES = 40_000  # some 2 MB as conmon writes them
PRINT = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done"
BOUNDS = {"max-size": "200k", "max-file": "3", "compress": "true"}


def numbers(text: bytes) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines()]


def files(daemon: Daemon, id: str) -> list[str]:
    return sorted(name for name in os.listdir(f"{daemon.data_root}/containers/{id}") if ".log." in name)


def test_a_follower_misses_nothing_of_a_log_that_rotates(daemon: Daemon) -> None:
    log = {"Type": "json-file", "Config": BOUNDS}
    container = daemon.client.containers.run("busybox", ["sh", "-c", PRINT], detach=True, log_config=log)
    seen = b"".join(container.logs(stream=True, follow=True))
    assert container.wait()["StatusCode"] == 0
    assert numbers(seen) == list(range(LINES))
    names = files(daemon, container.id)
    assert len([name for name in names if name.rpartition(".")[2] != "tmp"]) == 3
    kept = numbers(container.logs())
    assert kept == list(range(LINES - len(kept), LINES))
    assert numbers(container.logs(tail=100)) == list(range(LINES - 100, LINES))
    assert container.logs(tail=2, timestamps=True).splitlines()[0].endswith(f"Z line {LINES - 2}".encode())
    folder = Path(daemon.data_root, "containers", container.id)
    container.remove()
    assert not folder.exists()


def test_a_log_goes_on_over_the_daemons_death(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    command = "while [ ! -e /go ]; do echo before; sleep 0.02; done; echo after"
    log = {"Type": "local", "Config": {"max-size": "1k", "max-file": "50"}}
    container = daemon.client.containers.run("busybox", ["sh", "-c", command], detach=True, log_config=log)
    for _ in range(3):
        stream = container.logs(stream=True, follow=True, tail=1)
        for _ in range(12):
            next(stream)
        stream.close()
        del stream
        gc.collect()  # docker-py leaves its sockets to it
        daemon.kill()
        daemon.start()
        container = daemon.connect().containers.get(container.id)
    container.exec_run("touch /go")
    container.wait()
    lines = container.logs().splitlines()
    assert lines[-1] == b"after" and set(lines[:-1]) == {b"before"} and len(lines) > 36
    times = [line.split()[0] for line in container.logs(timestamps=True).splitlines()]
    assert times == sorted(times) and len(set(times)) == len(times)
    container.remove()


def test_a_log_server_gets_every_line_whoever_dies(make_daemon: Callable[..., Daemon]) -> None:
    """The server is not there when the container begins, and the daemon is killed while it ships."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    daemon = make_daemon(
        "--log-driver",
        "fluentd",
        "--log-opt",
        f"fluentd-address=127.0.0.1:{port}",
        "--log-opt",
        "fluentd-request-ack=true",
    )
    daemon.start()
    daemon.import_busybox()
    assert daemon.client.info()["LoggingDriver"] == "fluentd"
    command = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo end"
    created = daemon.client.api.create_container(
        "busybox", ["sh", "-c", command], host_config={"LogConfig": {"Config": {"tag": "t"}}}
    )
    daemon.client.api.start(created)
    config = daemon.client.api.inspect_container(created)["HostConfig"]["LogConfig"]
    assert config == {
        "Type": "fluentd",
        "Config": {"fluentd-address": f"127.0.0.1:{port}", "fluentd-request-ack": "true", "tag": "t"},
    }
    assert daemon.client.api.wait(created)["StatusCode"] == 0
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(30)
        seen = take(server, lambda lines: len(lines) >= 1000)
        daemon.kill()
        daemon.start()
        seen |= take(server, lambda lines: "end" in lines)
    assert seen == {*(f"line {number}" for number in range(20000)), "end"}
    with closing(daemon.connect()) as client:
        assert len(client.api.logs(created["Id"]).splitlines()) == 20001
        client.api.remove_container(created["Id"])


def take(server: socket.socket, enough: Callable[[set[str]], bool]) -> set[str]:
    """The lines of the next connection, as Fluentd reads and acknowledges them."""
    lines: set[str] = set()
    data = b""
    connection, _ = server.accept()
    with connection:
        while not enough(lines) and (piece := connection.recv(1 << 16)):
            data += piece
            try:
                tag, events, option = msgspec.msgpack.decode(data)
            except msgspec.DecodeError:
                continue  # there is more to come
            assert tag == "t" and option["size"] == len(events)
            lines |= {record["log"] for _, record in events}
            connection.sendall(msgspec.msgpack.encode({"ack": option["chunk"]}))
            data = b""
    return lines
