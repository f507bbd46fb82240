"""Whole commands through `main`, against a recorded daemon: what is sent, what is printed, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from played import NO_CONTENT, Played, chunked, json_answer

Run = Callable[..., Any]
Daemon = Callable[..., Played]


def refusal(message: str, status: str = "404 Not Found") -> bytes:
    return json_answer(json.dumps({"message": message}), status)


USAGE = [
    (["foo"], 1, "naru: unknown command: naru foo\n\nRun 'naru --help' for more information\n"),
    (["volume", "foo"], 1, "naru: unknown command: naru volume foo\n\nUsage:  naru volume\n\nRun 'naru volume --help' for more information\n"),
    (["ps", "x"], 1, "naru: 'naru ps' accepts no arguments\n\nUsage:  naru ps [OPTIONS]\n\nRun 'naru ps --help' for more information\n"),
    (["container", "rm"], 1, "naru: 'naru container rm' requires at least 1 argument\n\nUsage:  naru rm [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'naru container rm --help' for more information\n"),
    (["ps", "--foo"], 125, "unknown flag: --foo\n\nUsage:  naru ps [OPTIONS]\n\nRun 'naru ps --help' for more information\n"),
    (["ps", "-f", "x"], 125, 'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)\n\nUsage:  naru ps [OPTIONS]\n\nRun \'naru ps --help\' for more information\n'),
    (["ps"], 1, "Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?\n"),
    (["run", "x"], 125, "naru: Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?\n\nRun 'naru run --help' for more information\n"),
    (["-H", "a", "-H", "b", "ps"], 1, "specify only one -H\n\nRun 'naru --help' for more information\n"),
    (["--context", "nope", "ps"], 1, 'Failed to initialize: unable to resolve docker endpoint: context "nope": context not found'),
    (["inspect", "-f", "{{.Id", "x"], 64, "template parsing error: template: :1: unclosed action\n"),
    (["inspect", "--type", "foo", "x"], 1, 'unknown type: "foo": must be one of'),
    (["logs", "--since", "foo", "x"], 1, None),
    (["cp", "x", "y"], 1, "must specify at least one container source\n"),
    (["cp", "a:b", "c:d"], 1, "copying between containers is not supported\n"),
    (["update", "x"], 1, "you must provide one or more flags when using this command\n"),
    (["export", "-o", "/nowhere/x", "c"], 1, 'invalid output path: directory "/nowhere" does not exist\n'),
    (["import", "/nowhere"], 1, "open /nowhere: no such file or directory\n"),
    (["pull", "-a", "x:1"], 1, "tag can't be used with --all-tags/-a\n"),
    (["network", "create", "--subnet", "x", "n"], 1, "invalid subnet x"),
    (["network", "create", "--gateway", "1.1.1.1", "n"], 1, "no matching subnet for gateway 1.1.1.1\n"),
    (["build", "/nowhere"], 1, 'unable to prepare context: path "/nowhere" not found\n'),
    (["--debug", "login", "-u", "x"], 1, None),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "code", "words"), USAGE, ids=[" ".join(argv) for argv, _, _ in USAGE])
def test_usage(argv: list[str], code: int, words: str | None, naru: Run) -> None:
    ended = naru(*argv)
    assert (ended.code, ended.out) == (code, "")
    if words is not None:
        assert ended.err == words if words.endswith("\n") else ended.err.startswith(words)


def test_several_names_one_failure(naru: Run, daemon: Daemon) -> None:
    server = daemon([NO_CONTENT, refusal("No such container: b"), NO_CONTENT])
    ended = naru("stop", "-t", "0", "a", "b", "c", host=server.host)
    assert (ended.code, ended.out, ended.err) == (1, "a\nc\n", "Error response from daemon: No such container: b\n")
    assert server.lines == [f"POST /v1.51/containers/{name}/stop?t=0" for name in "abc"]


def test_rm_force_of_nothing_is_no_failure(naru: Run, daemon: Daemon) -> None:
    ended = naru("rm", "-f", "a", host=daemon([refusal("No such container: a")]).host)
    assert (ended.code, ended.err) == (0, "Error response from daemon: No such container: a\n")


def test_inspect_looks_everywhere(naru: Run, daemon: Daemon) -> None:
    missing = refusal("No such x")
    server = daemon([json_answer('{"Id":"1","L":[]}'), *[missing] * 4])
    ended = naru("inspect", "a", "b", host=server.host)
    assert ended.code == 1
    assert ended.out == '[\n    {\n        "Id": "1",\n        "L": []\n    }\n]\n'
    assert ended.err == "Error: No such object: b\n"
    assert [line.split("/")[2] for line in server.lines[1:]] == ["containers", "images", "networks", "volumes"]


def test_inspect_by_template(naru: Run, daemon: Daemon) -> None:
    server = daemon([json_answer('{"State":{"Running":true}}')])
    assert naru("inspect", "-f", "{{.State.Running}}", "a", host=server.host).out == "true\n"


@pytest.mark.parametrize("tty", [True, False])
def test_logs(tty: bool, naru: Run, daemon: Daemon) -> None:
    inspected = json_answer(json.dumps({"Id": "c0ffee", "Config": {"Tty": tty}}))
    body = b"a\r\nb" if tty else b"\x01\0\0\0\0\0\0\2a\n\x02\0\0\0\0\0\0\2b\n\x01\0\0\0\0\0\0\1c"
    server = daemon([inspected, chunked(body[:5], body[5:])])
    ended = naru("logs", "-t", "--tail", "3", "--since", "5", "x", host=server.host)
    assert (ended.out, ended.err) == (("a\r\nb", "") if tty else ("a\nc", "b\n"))
    assert server.lines[1] == "GET /v1.51/containers/c0ffee/logs?stdout=1&stderr=1&since=5&timestamps=1&tail=3"


def test_prune_asks(naru: Run, daemon: Daemon) -> None:
    ended = naru("container", "prune", stdin=b"n\n")
    assert (ended.code, ended.out) == (
        0,
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ",
    )
    server = daemon([json_answer('{"ContainersDeleted":["1"],"SpaceReclaimed":4096}')])
    ended = naru("container", "prune", "--filter", "until=1h", stdin=b"y\n", host=server.host)
    assert ended.out.endswith("Deleted Containers:\n1\n\nTotal reclaimed space: 4.096kB\n")
    assert server.lines == ["POST /v1.51/containers/prune?filters=%7B%22until%22:%5B%221h%22%5D%7D"]


def test_login_and_logout(naru: Run, daemon: Daemon, tmp_path: Path) -> None:
    server = daemon([json_answer('{"Status":"Login Succeeded","IdentityToken":""}')])
    ended = naru("login", "-u", "me", "--password-stdin", "h:5000", stdin=b"secret\n", host=server.host)
    assert (ended.code, ended.out) == (0, "Login Succeeded\n")
    assert json.loads(server.body()) == {"username": "me", "password": "secret", "serveraddress": "h:5000"}
    assert "h:5000" in (tmp_path / "config.json").read_text()
    server = daemon([chunked(b'{"status":"x"}\n')])
    naru("pull", "-q", "h:5000/a:1", host=server.host)
    assert b"X-Registry-Auth: " in server.requests[0]
    assert naru("logout", "h:5000").out == "Removing login credentials for h:5000\n"
    assert naru("logout", "h:5000").out == "Not logged in to h:5000\n"


def test_a_wrong_password_is_not_kept(naru: Run, daemon: Daemon, tmp_path: Path) -> None:
    server = daemon([refusal("unauthorized", "401 Unauthorized")])
    ended = naru("login", "-u", "me", "--password-stdin", "h", stdin=b"x", host=server.host)
    assert (ended.code, ended.err) == (1, "Error response from daemon: unauthorized\n")
    assert not (tmp_path / "config.json").exists()


def test_contexts(naru: Run, daemon: Daemon) -> None:
    server = daemon([json_answer("[]")])
    made = naru("context", "create", "far", "--description", "x", "--docker", f"host={server.host}", host="")
    assert (made.code, made.out) == (0, "far\n")
    assert naru("context", "use", "far", host="").out == "far\n"
    assert naru("context", "show", host="").out == "far\n"
    assert naru("context", "ls", "--format", "{{.Name}} {{.Current}}", host="").out == "default false\nfar true\n"
    assert naru("ps", "-q", host="").code == 0
    assert json.loads(naru("context", "inspect", "far", host="").out)[0]["Endpoints"]["docker"]["Host"] == server.host
    assert naru("context", "rm", "far", host="").err == 'context "far" is in use, set -f flag to force remove\n'
    assert naru("context", "rm", "-f", "far", host="").out == "far\n"
    assert naru("context", "show", host="").out == "default\n"


def test_save_is_whole_or_not_there(naru: Run, daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    assert naru("save", "-o", str(path), "a", host=daemon([chunked(b"tar")]).host).code == 0
    assert path.read_bytes() == b"tar"
    path.unlink()
    torn = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nta"
    ended = naru("save", "-o", str(path), "a", host=daemon([torn]).host)
    assert ended.code == 1
    assert not [name for name in tmp_path.iterdir() if "tar" in name.name]


def test_load(naru: Run, daemon: Daemon) -> None:
    ping = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\n\r\n"
    server = daemon([ping, chunked(b'{"stream":"Loaded image: x:1\\n"}\r\n')])
    ended = naru("load", stdin=b"archive", host=server.host)
    assert (ended.code, ended.out, server.body()) == (0, "Loaded image: x:1\n", b"archive")


def test_build(naru: Run, daemon: Daemon, tmp_path: Path) -> None:
    folder = tmp_path / "ctx"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    ping = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\n\r\n"
    done = chunked(
        b'{"stream":"Step 1/1 : FROM scratch\\n"}\r\n',
        b'{"aux":{"ID":"sha256:1"}}\r\n{"stream":"Successfully built 1\\n"}\r\n',
    )
    server = daemon([ping, done])
    argv = [
        "build",
        "-t",
        "a",
        "-t",
        "b:2",
        "--build-arg",
        "X=1",
        "--label",
        "l",
        "--no-cache",
        "--iidfile",
        str(tmp_path / "id"),
        str(folder),
    ]
    ended = naru(*argv, host=server.host)
    assert (ended.code, ended.out) == (0, "Step 1/1 : FROM scratch\nSuccessfully built 1\n")
    assert (tmp_path / "id").read_text() == "sha256:1"
    for part in ("t=a&t=b:2", "nocache=1", "buildargs=%7B%22X%22:%221%22%7D", "rm=1", "dockerfile=Dockerfile"):
        assert part in server.lines[1]
    failed = chunked(b'{"errorDetail":{"message":"returned a non-zero code: 1"},"error":"x"}\r\n')
    ended = naru("build", str(folder), host=daemon([ping, failed]).host)
    assert (ended.code, ended.err) == (1, "returned a non-zero code: 1\n")


def test_network_create(naru: Run, daemon: Daemon) -> None:
    server = daemon([json_answer('{"Id":"1","Warning":""}')])
    argv = [
        "--subnet",
        "10.1.0.0/16,10.2.0.0/16",
        "--gateway",
        "10.2.0.1",
        "--ip-range",
        "10.1.1.0/24",
        "--aux-address",
        "x=10.1.0.9",
        "-o",
        "a=b",
    ]
    assert naru("network", "create", *argv, "n", host=server.host).out == "1\n"
    sent = json.loads(server.body())
    assert sent["IPAM"]["Config"] == [
        {"Subnet": "10.1.0.0/16", "IPRange": "10.1.1.0/24", "AuxiliaryAddresses": {"x": "10.1.0.9"}},
        {"Subnet": "10.2.0.0/16", "Gateway": "10.2.0.1"},
    ]
    assert (sent["Driver"], sent["Options"], "EnableIPv4" in sent) == ("bridge", {"a": "b"}, False)


def test_events(naru: Run, daemon: Daemon) -> None:
    event = {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "1", "Attributes": {"b": "2", "a": "1"}},
        "time": 1,
        "timeNano": 1000000002,
    }
    server = daemon([chunked(json.dumps(event).encode() + b"\n")])
    assert (
        naru("events", "--until", "9", host=server.host).out
        == "1970-01-01T00:00:01.000000002Z container die 1 (a=1, b=2)\n"
    )


def test_version_without_a_daemon(naru: Run) -> None:
    ended = naru("version")
    assert (ended.code, "Client:" in ended.out, "Cannot connect" in ended.err) == (1, True, True)


def test_nobody_reads(daemon: Daemon, tmp_path: Path) -> None:
    """The reader of a pipe has left: no traceback."""
    source = Path(__file__).parent.parent.parent / "src"
    images = json.dumps([{"Id": "sha256:1", "Created": 1, "Size": 1, "RepoTags": [f"x{n}:1"]} for n in range(20000)])
    server = daemon([json_answer(images)])
    code = f"import sys; sys.path.insert(0, {str(source)!r}); from naru.__main__ import main; main()"
    ended = subprocess.run(
        f"{sys.executable} -IS -c '{code.replace(chr(39), chr(34))}' images | true; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, check=True,
        env={"DOCKER_HOST": server.host, "DOCKER_CONFIG": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == (b"141\n", b"")
