"""Starting: what a daemon refuses to start with, and how it says so."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.root


def refused(*flags: str) -> str:
    """Standard error of a daemon that does not start: one line, exit code 1."""
    done = subprocess.run([sys.executable, "-m", "naru", "daemon", *flags], capture_output=True, text=True, timeout=15)
    assert done.returncode == 1, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("naru daemon: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]


def test_two_daemons_do_not_share_a_root(daemon: Any, tmp_path: Path) -> None:
    own = ["--host", f"unix://{tmp_path}/s", "--exec-root", f"{tmp_path}/exec", "--bridge", "nr-never"]
    text = refused(*own, "--data-root", daemon.data_root)
    assert f"another naru daemon is using {daemon.data_root}" in text
    text = refused(*own[:2], "--data-root", f"{tmp_path}/data", "--exec-root", daemon.exec_root, "--bridge", "nr-never")
    assert f"another naru daemon is using {daemon.exec_root}" in text
    assert daemon.client.ping()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--host", "tcp://127.0.0.1:0"], "refusing to listen on tcp://127.0.0.1:0 without TLS"),
        (["--bridge", "a-name-far-too-long"], "invalid bridge name 'a-name-far-too-long'"),
        (["--bridge", "a/b"], "invalid bridge name 'a/b'"),
        (["--bip", "10.1.2.3/40"], "invalid bip '10.1.2.3/40'"),
        (["--host", "nonsense"], "invalid host 'nonsense'"),
        (["--data-root", "relative"], "data-root 'relative' is not an absolute path"),
        (["--log-level", "loud"], "invalid logging level: loud"),
        (["--config-file", "/nosuch.json"], "unable to configure the daemon with file /nosuch.json"),
    ],
)
def test_bad_flags(tmp_path: Path, flags: list[str], words: str) -> None:
    roots = ["--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec"]
    assert words in refused(*roots, *flags)
    assert os.listdir(tmp_path) == []


def test_what_fails_late_is_said_as_briefly(make_daemon: Callable[..., Any]) -> None:
    """Everything has been taken up by then; an error must come out of the midst of it as it is."""
    daemon = make_daemon()
    assert "group nosuch does not exist" in refused(*daemon.flags, "--group", "nosuch")
    assert "cannot listen: AF_UNIX path too long" in refused(
        "--host", f"unix://{daemon.path}/{'x' * 100}", *daemon.flags[2:]
    )
    daemon.start()
    assert daemon.client.ping()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "invalid JSON"),
        ("[]", "not a JSON object"),
        ('{"nonsense": 1}', "don't match any configuration option: nonsense"),
    ],
)
def test_a_malformed_config_file(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    said = refused("--config-file", str(file))
    assert str(file) in said and words in said


def test_a_config_file_is_used(make_daemon: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"insecure-registries": ["10.0.0.0/8"], "labels": ["a=b"], "live-restore": True}))
    daemon = make_daemon("--config-file", str(file))
    daemon.start()
    assert daemon.client.ping()


def test_socket_roots_and_pid_file(make_daemon: Callable[..., Any]) -> None:
    daemon = make_daemon()
    daemon.start()
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(daemon.data_root).st_mode) == 0o710
    with open(f"{daemon.exec_root}/naru.pid") as file:
        assert int(file.read()) == daemon.pid
    daemon.stop()
    assert not os.path.exists(daemon.socket) and not os.path.exists(f"{daemon.exec_root}/naru.pid")
    daemon.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_daemon_leaves_its_containers_running(make_daemon: Callable[..., Any], number: int) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    container = daemon.client.containers.run("busybox", ["sleep", "600"], detach=True)
    container.reload()
    pid = container.attrs["State"]["Pid"]
    os.kill(daemon.pid, number)
    daemon.stop()
    os.kill(pid, 0)
    daemon.start()
    container.reload()
    assert (container.status, container.attrs["State"]["Pid"]) == ("running", pid)


def test_leftovers_of_a_killed_daemon_do_not_stop_the_next(make_daemon: Callable[..., Any]) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.kill()
    assert os.path.exists(daemon.socket) and os.path.exists(f"{daemon.exec_root}/naru.pid")
    daemon.start()
    assert daemon.client.ping()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / "naru.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    text = refused(
        "--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec", "--host", f"unix://{tmp_path}/s"
    )
    assert "naru.db has schema 99" in text


@pytest.mark.parametrize("damage", [b"", b"garbage" * 1000, None])
def test_a_damaged_database_is_put_aside(make_daemon: Callable[..., Any], damage: bytes | None) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    daemon.client.containers.create("busybox", ["true"])
    daemon.stop()
    path = f"{daemon.data_root}/naru.db"
    if damage is None:
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
    else:
        with open(path, "wb") as file:
            file.write(damage)
    daemon.start()
    assert daemon.client.ping()
    daemon.import_busybox()
    assert daemon.client.containers.run("busybox", ["echo", "well"], remove=True) == b"well\n"
    if damage != b"":  # an empty file is an empty database
        assert any(name.startswith("naru.db.damaged-") for name in os.listdir(daemon.data_root))
