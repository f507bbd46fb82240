"""A container whose processes do not end: whoever asks for their end is told so in time, and nobody else notices."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError
from hungfs import HungFs

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def hung(daemon: Any) -> Iterator[HungFs]:
    os.mkdir(f"{daemon.path}/hung")
    made = HungFs(f"{daemon.path}/hung")
    try:
        yield made
    finally:
        with suppress(OSError):
            made.close()
        os.rmdir(f"{daemon.path}/hung")


class Background:
    """Work in a thread: how long it took, and the error."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.took_s, self.error = 0.0, ""
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._work()
        except (APIError, requests.RequestException) as error:
            self.error = str(error)
        self.took_s = time.monotonic() - began

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(40)
        assert self.is_done


@pytest.mark.parametrize("patience", [90], indirect=True)
def test_processes_that_wait_in_the_kernel(
    daemon: Any, client: docker.DockerClient, hung: HungFs, patience: None
) -> None:
    """cat waits for a file system that does not answer; so does a `cp`. stop, kill and rm -f say that it does not end."""
    mount = {hung.path: {"bind": "/x", "mode": "rw"}}
    stuck = [client.containers.run("busybox", ["cat", "/x/file"], detach=True, volumes=mount) for _ in range(2)]
    assert hung.asked.wait(10)
    for each in stuck:
        each.reload()
    copying = [Background(lambda each=each: copy(daemon.url, each.id)) for each in stuck for _ in range(8)]  # type: ignore[misc]
    asked = [
        Background(lambda: stuck[0].stop(timeout=1)),
        Background(lambda: stuck[1].remove(force=True)),
    ]
    slowest, other = 0.0, client.containers.run("busybox", ["sleep", "600"], detach=True)
    while not all(each.is_done for each in asked):
        for call in (
            client.version, lambda: client.containers.list(all=True), lambda: other.exec_run(["true"]), stuck[0].reload,
            lambda: client.containers.run("busybox", ["true"], remove=True), lambda: other.stats(stream=False, one_shot=True),
        ):  # fmt: skip
            began = time.monotonic()
            call()
            slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.1)
    for each in asked:
        each.join()
        assert "did not receive an exit event" in each.error
        assert 9 < each.took_s < 18
    assert slowest < 2  # on a busy machine
    for each in stuck:
        each.reload()
        assert each.status == "running"
    hung.close()
    for each in stuck:
        assert each.wait(timeout=10)["StatusCode"] == 137
        each.remove()
    for each in copying:
        each.join()


def copy(url: str, id: str) -> None:
    with closing(docker.APIClient(base_url=url, version="1.56", timeout=30)) as api:
        stream, _ = api.get_archive(id, "/x/file")
        for _ in stream:
            pass
