"""Control groups on whatever version this host has, with real processes in them."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress

import pytest

from naru.linux.cgroup import Cgroup, Usage
from naru.linux.host import CGROUP_ROOT, Host, probe
from naru.linux.process import Child, spawn

pytestmark = pytest.mark.root
CONTROLLERS = ("pids", "freezer", "memory", "cpuacct", "cpu")


@pytest.fixture(scope="module")
def host() -> Host:
    return probe()


@pytest.fixture
def group(host: Host) -> Iterator[Cgroup]:
    path = f"/nrtest-{secrets.token_hex(4)}"
    roots = [CGROUP_ROOT] if host.cgroup_version == 2 else [f"{CGROUP_ROOT}/{c}" for c in CONTROLLERS]
    for root in roots:
        os.mkdir(root + path)
    made = Cgroup(host, path)
    try:
        yield made
    finally:
        inside = made.pids()
        made.kill()
        for pid in inside:
            with suppress(ChildProcessError):  # the test has waited for it
                os.waitpid(pid, 0)
        assert made.remove()


def put(host: Host, group: Cgroup, script: str = "exec sleep 100") -> int:
    pid = spawn(["/bin/sh", "-c", script], env={"PATH": "/usr/bin:/bin"})
    roots = [CGROUP_ROOT] if host.cgroup_version == 2 else [f"{CGROUP_ROOT}/{c}" for c in CONTROLLERS]
    for root in roots:
        with open(f"{root}{group.path}/cgroup.procs", "w") as file:
            file.write(str(pid))
    return pid


def test_who_is_in_it_and_kill(host: Host, group: Cgroup) -> None:
    assert group.exists() and group.pids() == []
    pids = {put(host, group), put(host, group)}
    assert set(group.pids()) == pids
    assert group.remove() is False
    group.kill()
    assert asyncio.run(Child(pids.pop()).wait_exit()) == 137


def test_frozen_processes_are_killed_too(host: Host, group: Cgroup) -> None:
    pid = put(host, group)
    group.freeze(True)
    assert group.is_frozen()
    group.kill()
    assert asyncio.run(Child(pid).wait_exit()) == 137


def test_end_kills_all_and_takes_the_group_away(host: Host, group: Cgroup) -> None:
    for _ in range(3):
        put(host, group)
    assert group.end(5.0) and not group.exists()
    assert group.end(5.0)  # of nothing


def test_freeze_and_thaw(host: Host, group: Cgroup) -> None:
    put(host, group)
    assert not group.is_frozen()
    group.freeze(True)
    group.freeze(False)
    assert not group.is_frozen()


def test_usage(host: Host, group: Cgroup) -> None:
    put(host, group, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 100")
    usage = group.usage()
    assert isinstance(usage, Usage) and usage.pids in (0, 1)
    assert usage.memory_bytes >= 0 and usage.cpu_ns >= 0


def test_a_group_that_does_not_exist_is_empty(host: Host) -> None:
    nobody = Cgroup(host, "/nrtest-nobody")
    assert not nobody.exists() and nobody.pids() == [] and not nobody.is_frozen()
    nobody.kill()
    assert nobody.remove()
    assert nobody.usage() == Usage()
    with pytest.raises(OSError):
        nobody.freeze(True)
