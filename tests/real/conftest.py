"""Fixtures: real daemons and a real registry, subprocesses all of them."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

sys.path.insert(0, os.path.dirname(__file__))  # for the two modules that the tests here share

from realdaemon import Daemon, lent, serving

PATIENCE_S = 60  # of a test that says nothing else: one that hangs fails, and is cleaned up after


@dataclass
class RegistryServer:
    address: str
    process: subprocess.Popen[bytes]


# -- fixtures -----------------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # docker-py leaves sockets and responses of hijacked connections to the garbage collector
    unclosed = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(unclosed)


@pytest.fixture(scope="session", autouse=True)
def orderly_end() -> Iterator[None]:
    """SIGTERM (a time limit around pytest, say) ends the session as Ctrl-C does: everything is taken down."""

    def leave(number: int, frame: object) -> None:
        pytest.exit("terminated")

    old = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, old)


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that hangs is interrupted. `@pytest.mark.parametrize("patience", [s], indirect=True)` gives another limit."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("the test does not end")

    old = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(getattr(request, "param", PATIENCE_S))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="session")
def session_daemon() -> Iterator[Daemon]:
    with serving(Daemon("-D")) as daemon:
        yield daemon


@pytest.fixture
def daemon(session_daemon: Daemon) -> Iterator[Daemon]:
    """The session's daemon; containers, networks and volumes of a test go with it."""
    with lent(session_daemon) as daemon:
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> docker.DockerClient:
    return daemon.client


@pytest.fixture
def make_daemon() -> Iterator[Callable[..., Daemon]]:
    """Daemons of a test's own, not started yet."""
    made: list[Daemon] = []

    def make(*flags: str) -> Daemon:
        made.append(Daemon(*flags))
        return made[-1]

    yield make
    for each in made:
        each.destroy()
    gc.collect()  # docker-py leaves sockets to the collector: here nobody minds (see the hook below)


@pytest.fixture(scope="session")
def registry() -> Iterator[RegistryServer]:
    """`naru registry serve` on a free port of the loopback."""
    with (
        tempfile.TemporaryDirectory(prefix="nr", dir="/tmp") as folder,
        socket.create_server(("127.0.0.1", 0)) as probe_,
    ):
        port = probe_.getsockname()[1]
        probe_.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "naru", "registry", "serve", "--listen", f"127.0.0.1:{port}", "--data-root", folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if b"listening on" in line:
                    break
            yield RegistryServer(f"127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.stderr.close()
            process.wait(15)
