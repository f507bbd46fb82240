"""A PostgreSQL server of the tests' own, without a port, from Debian's package."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=", "max_connections=100")
_START_S = 30.0


@contextmanager
def server() -> Iterator[str]:
    """Where it is: a URL in which `{}` stands for the name of a database."""
    programs = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
    root = tempfile.mkdtemp(prefix="naru-pg-")  # not pytest's folder: user postgres could not enter it
    shutil.chown(root, "postgres", "postgres")
    # it ends with us, also if we are killed
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=QUIT"]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    try:
        made = [*user, f"{programs}/initdb", "-D", f"{root}/data", "-A", "trust", "-E", "UTF8", "-N"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=root)
        options = [word for option in _FAST for word in ("-c", option)]
        command = [*user, f"{programs}/postgres", "-D", f"{root}/data", "-k", root, *options]
        with open(f"{root}/log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=root)
        url = f"postgresql://postgres@/{{}}?host={root}"
        try:
            _wait_until_it_answers(process, url, f"{root}/log")
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    finally:
        shutil.rmtree(root)


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: str) -> None:
    """Also after its pid file is there it says for a moment that it is starting up, so it is asked again and again."""
    ends_at = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(url.format("postgres")).close()
            return
        except psycopg.OperationalError:
            with open(log) as file:
                assert process.poll() is None and time.monotonic() < ends_at, file.read()
            time.sleep(0.05)
