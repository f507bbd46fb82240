"""Limits of other processes."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator

import pytest

from naru.linux.rlimits import allow, impose

FILES = resource.RLIMIT_NOFILE


@pytest.fixture
def pid() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child.pid
        child.kill()


@pytest.mark.root
def test_limits_of_another(pid: int) -> None:
    impose(pid, [(FILES, 10, 20)], 500)
    assert resource.prlimit(pid, FILES) == (10, 20)
    with open(f"/proc/{pid}/oom_score_adj") as file:
        assert file.read() == "500\n"


def test_hard_limits_are_never_lowered(pid: int) -> None:
    before = resource.prlimit(pid, FILES)
    allow(pid, [(FILES, 1, 2)])
    assert resource.prlimit(pid, FILES) == before


def test_one_that_is_gone(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        impose(2**22 + 1, [(FILES, 10, 20)], 0)
