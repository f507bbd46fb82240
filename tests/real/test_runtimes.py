"""Runtimes by name: each container has the one that it asked for, to its end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.errors import APIError
from realdaemon import Daemon

pytestmark = pytest.mark.root
WRAPPER = """#!/bin/sh
echo "$@" >> {log}
exec {program} "$@"
"""


@pytest.mark.parametrize("program", [name for name in ("crun", "runc") if shutil.which(name)])
def test_a_runtime_of_ones_own(make_daemon: Callable[..., Daemon], tmp_path: Path, program: str) -> None:
    log, mine, other = tmp_path / "log", tmp_path / "mine", tmp_path / "config" / "daemon.json"
    other.parent.mkdir()
    mine.write_text(WRAPPER.format(log=log, program=shutil.which(program)))
    mine.chmod(0o755)
    definition = {"path": str(mine), "runtimeArgs": ["--debug"]}
    other.write_text(json.dumps({"runtimes": {"mine": definition}, "default-runtime": "mine"}))
    daemon = make_daemon("--config-file", str(other), "--add-runtime", "gone=/nonexistent/runtime")
    daemon.start()
    daemon.import_busybox()
    info = daemon.client.info()
    assert (info["DefaultRuntime"], info["Runtimes"]["mine"]) == ("mine", definition)

    container = daemon.client.containers.run("busybox", "sleep 60", detach=True, init=True)
    assert container.attrs["HostConfig"]["Runtime"] == "mine"
    assert "--debug" in log.read_text() and "create" in log.read_text()
    usual = daemon.client.containers.run("busybox", "sleep 60", detach=True, init=True, runtime="runc")
    used = log.read_text()
    assert usual.exec_run("echo x").output == b"x\n" and log.read_text() == used
    daemon.kill()
    daemon.start()
    assert container.exec_run("echo x").output == b"x\n"
    assert len(log.read_text()) > len(used) and " exec " in log.read_text()
    container.update(mem_limit="32m", memswap_limit="64m")
    container.stop(timeout=0)
    container.start()
    for name, words in (("nope", "unknown or invalid runtime name: nope"), ("gone", "runtime create failed")):
        with pytest.raises(APIError, match=words):
            daemon.client.containers.run("busybox", "true", runtime=name)
    assert os.path.exists(log)


def test_the_hosts_null_device_stays_roots(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    before = os.stat("/dev/null").st_uid, os.stat("/dev/null").st_mode
    container = daemon.client.containers.run("busybox", "sleep 60", detach=True, init=True, user="1000")
    assert container.exec_run(["sh", "-c", "cat; readlink /proc/self/fd/0"]).output == b"/dev/null\n"
    container.exec_run(["sh", "-c", "chmod 0 /proc/self/fd/0"])
    assert (os.stat("/dev/null").st_uid, os.stat("/dev/null").st_mode) == before
