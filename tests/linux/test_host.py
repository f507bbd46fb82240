"""What this host can do: a value that agrees with the host."""

from __future__ import annotations

import os

import pytest

from naru.linux.host import CGROUP_ROOT, probe


def test_the_probe_agrees_with_the_host() -> None:
    host = probe()
    assert host.machine == os.uname().machine and host.kernel == os.uname().release and host.name == os.uname().nodename
    assert host.kernel_version >= (5, 15) and host.cpus >= 1 and host.memory_bytes > 1 << 28
    assert host.cgroup_version == (2 if os.path.exists(f"{CGROUP_ROOT}/cgroup.controllers") else 1)
    assert {"memory", "cpu", "pids"} <= host.controllers
    assert not (host.hybrid and host.cgroup_version == 2)


def test_programs() -> None:
    host = probe(("sh", "nosuch-program"))
    assert os.path.samefile(host.program("sh"), "/bin/sh")
    with pytest.raises(FileNotFoundError, match="program not found: nosuch-program"):
        host.program("nosuch-program")
