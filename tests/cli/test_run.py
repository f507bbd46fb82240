from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from played import NO_CONTENT, UPGRADED, Played, chunked, json_answer

SOURCE = Path(__file__).parent.parent.parent / "src"
CREATED = json_answer('{"Id":"c0ffee","Warnings":["mind this"]}')


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def attached(*frames: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(UPGRADED + b"".join(frames))


def ends(code: int) -> list[bytes]:
    return [chunked(b'{"StatusCode":%d}\n' % code)]


Run = Callable[..., Any]
Daemon = Callable[..., Played]


def test_attached(naru: Run, daemon: Daemon) -> None:
    server = daemon(
        [CREATED, attached(frame(1, b"out\n"), frame(2, b"err\n"), frame(1, b"more"))], ends(7), [NO_CONTENT]
    )
    ended = naru("run", "--rm", "--name", "n", "-e", "A=b", "image", "cmd", host=server.host)
    assert (ended.code, ended.out, ended.err) == (7, "out\nmore", "WARNING: mind this\nerr\n")
    assert sorted(server.lines[1:]) == [
        "POST /v1.51/containers/c0ffee/attach?stream=1&stdout=1&stderr=1",
        "POST /v1.51/containers/c0ffee/start",
        "POST /v1.51/containers/c0ffee/wait?condition=removed",
    ]
    assert server.lines[0] == "POST /v1.51/containers/create?name=n"
    sent = json.loads(server.body(0))
    assert (sent["Image"], sent["Cmd"], sent["Env"], sent["HostConfig"]["AutoRemove"]) == (
        "image",
        ["cmd"],
        ["A=b"],
        True,
    )


def test_input_is_sent_and_ended(naru: Run, daemon: Daemon) -> None:
    def count(connection: socket.socket) -> None:
        connection.sendall(UPGRADED)
        got = 0
        while piece := connection.recv(65536):
            got += len(piece)
        connection.sendall(frame(1, str(got).encode()))

    server = daemon([CREATED, count], ends(0), [NO_CONTENT])
    assert naru("run", "-i", "image", stdin=b"x" * 3_000_000, host=server.host).out == "3000000"


def test_output_larger_than_any_buffer_while_input_waits(naru: Run, daemon: Daemon) -> None:
    def echo_late(connection: socket.socket) -> None:
        connection.sendall(UPGRADED + frame(1, b"y" * 3_000_000))  # before a byte of the input is read
        while connection.recv(65536):
            pass

    server = daemon([CREATED, echo_late], ends(0), [NO_CONTENT])
    assert len(naru("run", "-i", "image", stdin=b"x" * 3_000_000, host=server.host).out) == 3_000_000


START_ERRORS = [
    ("exec: x: executable file not found in $PATH", 127),
    ("stat /x: no such file or directory", 127),
    ("exec /etc: permission denied", 126),
    ("exec: /etc: is a directory", 126),
    ("something else", 125),
]


@pytest.mark.parametrize(("message", "code"), START_ERRORS)
def test_start_errors(message: str, code: int, naru: Run, daemon: Daemon) -> None:
    refusal = json_answer(json.dumps({"message": message}), "400 Bad Request")
    server = daemon([CREATED, attached()], ends(0), [refusal])
    ended = naru("run", "image", host=server.host)
    assert ended.code == code
    assert ended.err.endswith(
        f"naru: Error response from daemon: {message}\n\nRun 'naru run --help' for more information\n"
    )


def test_a_missing_image_is_pulled(naru: Run, daemon: Daemon) -> None:
    missing = json_answer('{"message":"No such image: image:latest"}', "404 Not Found")
    pulled = chunked(b'{"status":"Pulling from library/image","id":"latest"}\r\n')
    server = daemon([missing, pulled, CREATED, NO_CONTENT])
    ended = naru("run", "-d", "image", host=server.host)
    assert (ended.code, ended.out) == (0, "c0ffee\n")
    assert (
        ended.err
        == "Unable to find image 'image:latest' locally\nlatest: Pulling from library/image\nWARNING: mind this\n"
    )
    assert server.lines[1] == "POST /v1.51/images/create?fromImage=image&tag=latest"


@pytest.mark.parametrize("policy", ["never", "missing"])
def test_other_errors_of_create(policy: str, naru: Run, daemon: Daemon) -> None:
    message = "No such image: image:latest" if policy == "never" else "Conflict. The container name is already in use"
    server = daemon(
        [json_answer(json.dumps({"message": message}), "404 Not Found" if policy == "never" else "409 Conflict")]
    )
    ended = naru("run", f"--pull={policy}", "image", host=server.host)
    assert (ended.code, len(server.lines)) == (125, 1)
    assert ended.err.startswith(f"naru: Error response from daemon: {message}\n")


def test_create_only(naru: Run, daemon: Daemon) -> None:
    ended = naru("create", "image", host=daemon([CREATED]).host)
    assert (ended.code, ended.out, ended.err) == (0, "c0ffee\n", "WARNING: mind this\n")
    refused = json_answer('{"message":"no"}', "409 Conflict")
    ended = naru("create", "image", host=daemon([refused]).host)
    assert (ended.code, ended.err) == (1, "Error response from daemon: no\n")


def test_the_file_of_the_id(naru: Run, daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "id"
    naru("run", "-d", "--cidfile", str(path), "image", host=daemon([CREATED, NO_CONTENT]).host)
    assert path.read_text() == "c0ffee"
    ended = naru("run", "-d", "--cidfile", str(path), "image")
    assert (ended.code, "container ID file found" in ended.err, path.read_text()) == (125, True, "c0ffee")
    path.unlink()
    assert naru("run", "-d", "--cidfile", str(path), "image").code == 125  # no daemon
    assert not path.exists()


def test_no_terminal(naru: Run) -> None:
    ended = naru("run", "-it", "image")
    assert (ended.code, ended.err) == (1, "the input device is not a TTY\n")


def test_signals_go_to_the_container(daemon: Daemon, tmp_path: Path) -> None:
    """SIGTERM arrives as a request, and the container's answer to it is our exit code."""
    stream: list[socket.socket] = []

    def wait_for_kill(connection: socket.socket) -> None:
        connection.sendall(UPGRADED + frame(1, b"ready\n"))
        connection.recv(1)  # until it is closed from outside

    def killed(connection: socket.socket) -> None:
        connection.sendall(NO_CONTENT)
        stream[0].shutdown(socket.SHUT_RDWR)

    def attach(connection: socket.socket) -> None:
        stream.append(connection.dup())
        wait_for_kill(connection)
        stream[0].close()

    server = daemon([CREATED, attach], ends(143), [NO_CONTENT, killed])
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from naru.__main__ import main; main()"
    environment = {"DOCKER_HOST": server.host, "DOCKER_CONFIG": str(tmp_path), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, "run", "image"], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 143
    assert server.lines[-1] == "POST /v1.51/containers/c0ffee/kill?signal=TERM"
