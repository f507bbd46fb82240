"""A PostgreSQL server of the tests' own, without a port, from Debian's package."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=", "max_connections=100")


@contextmanager
def server() -> Iterator[str]:
    """Where it is: a URL without the name of a database, to which one is appended."""
    programs = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
    root = tempfile.mkdtemp(prefix="naru-pg-")  # not pytest's folder: user postgres could not enter it
    shutil.chown(root, "postgres", "postgres")
    as_postgres = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": root}
    try:
        _run([f"{programs}/initdb", "-D", f"{root}/data", "-A", "trust", "-E", "UTF8", "-N"], as_postgres)
        options = " ".join(["-k", root, *(f"-c {option}" for option in _FAST)])
        control = [f"{programs}/pg_ctl", "-D", f"{root}/data", "-w", "-l", f"{root}/log"]
        _run([*control, "-o", options, "start"], as_postgres)
        try:
            yield f"postgresql://postgres@/{{}}?host={root}"
        finally:
            _run([*control, "-m", "immediate", "stop"], as_postgres)
    finally:
        shutil.rmtree(root)


def _run(command: list[str], how: dict[str, object]) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, **how)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr.decode()
