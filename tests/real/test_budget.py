"""What a run may cost: programs started and syncs waited for, counted. Times depend on the machine; these do not."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.root
EXECS, SYNCS = ("execve", "execveat"), ("fsync", "fdatasync", "syncfs", "sync", "sync_file_range")
_CALL = re.compile(r"(?:\d+ +|<\.\.\. )(\w+)(?:\(| resumed>).* = 0$")


@contextmanager
def counted(pid: int, log: Path) -> Iterator[Counter[str]]:
    """Successful calls of a process and its children, filled in when the block has ended."""
    calls: Counter[str] = Counter()
    words = ["strace", "-f", "-qq", "-e", f"trace={','.join(EXECS + SYNCS)}", "-o", str(log), "-p", str(pid)]
    tracer = subprocess.Popen(words)
    try:
        while f"TracerPid:\t{tracer.pid}\n" not in Path(f"/proc/{pid}/status").read_text():
            assert tracer.poll() is None, "strace cannot attach"
            time.sleep(0.01)
        yield calls
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
    for line in log.read_text().splitlines():
        if (found := _CALL.search(line)) is not None:
            calls[found[1]] += 1


def test_a_run_starts_three_programs_and_waits_for_three_syncs_at_most(
    make_daemon: Callable[..., Any], tmp_path: Path
) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()

    def run() -> None:
        container = daemon.client.containers.create("busybox", ["true"])
        container.start()
        assert container.wait()["StatusCode"] == 0
        container.remove()

    run()  # the first one finds nothing ready
    with counted(daemon.pid, tmp_path / "calls") as calls:
        run()
        run()
    assert 0 < sum(calls[name] for name in EXECS) <= 2 * 3, calls
    assert 0 < sum(calls[name] for name in SYNCS) <= 2 * 3, calls
