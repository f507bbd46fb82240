"""The unpacking child's start, which is part of every `docker cp`, every layer and every build context."""

from __future__ import annotations

import subprocess
import sys

from naru.snapshots import apply

# Each more, beside os, errno, stat and resource, is time of every unpack.
ALLOWED = {
    "__future__", "_signal", "_socket", "fcntl", "naru", "naru.errors", "naru.linux", "naru.linux.erase", "naru.linux.forkserver_child", "naru.snapshots",
    "naru.snapshots.extract", "naru.snapshots.inflate", "naru.snapshots.tarformat", "naru.snapshots.tarstream",
    "naru.snapshots.unpack_child",
}  # fmt: skip


def test_the_child_imports_next_to_nothing() -> None:
    code = f"import sys, os, errno, stat, resource; bare = set(sys.modules); {apply._BOOT.replace('run()', 'print(*sorted(set(sys.modules) - bare))')}"
    out = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(out.split()) <= ALLOWED
