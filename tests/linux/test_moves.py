"""Moves between control groups are prepared without moving anybody."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from naru.linux.host import probe
from naru.linux.moves import Moves

pytestmark = pytest.mark.root


def test_preparing_changes_no_group() -> None:
    before, threads = Path("/proc/self/cgroup").read_text(), threading.active_count()
    with closing(Moves(probe())) as moves:
        for _ in range(3):
            moves.prepare()
            time.sleep(0.01)  # what is prepared happens in a thread that nobody waits for
    assert threading.active_count() == threads
    assert Path("/proc/self/cgroup").read_text() == before
