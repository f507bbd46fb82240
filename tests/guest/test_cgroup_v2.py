"""Limits, statistics and life cycles where cgroup v2 is all there is: the same tests as here, in an emulated Debian (`bench/guest.sh`).

./check -m guest        about fifteen minutes without KVM; not part of ./check alone
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FILES = "tests/real/test_limits.py tests/real/test_docker_py.py tests/real/test_profile.py tests/real/test_execs.py tests/linux/test_cgroup.py"
# (That memory stays flat is seen after hundreds of execs: an emulated machine takes too long for them.)
# There must be no controller of v1, and each of v2's that limits need.
LOOK = "test ! -d /sys/fs/cgroup/memory && grep -w cpu /sys/fs/cgroup/cgroup.controllers | grep -w memory | grep -w io | grep -w pids"


@pytest.mark.guest
@pytest.mark.root
def test_the_same_on_cgroup_v2() -> None:
    command = f"{LOOK} && NARU_READY_S=200 python -m pytest -q -k 'not flat' {FILES}"
    ran = subprocess.run([PROJECT / "bench/guest.sh", command], capture_output=True, text=True, timeout=3600)
    assert ran.returncode == 0, f"{ran.stdout[-6000:]}\n{ran.stderr[-2000:]}"
    assert " passed" in ran.stdout or "[100%]" in ran.stdout
