"""A registry that is killed while many push: what it has said is stored is there afterwards, and nothing broken is served."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("NARU_KILLS", "6"))
CLIENTS = 6
_SERVE = (
    "import asyncio, logging, sys; from naru.registry.server import Settings, serve; "
    "logging.basicConfig(level=20, format='%(message)s'); asyncio.run(serve(Settings('127.0.0.1:0', sys.argv[1])))"
)


class Served:
    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", _SERVE, root], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert line.startswith("registry listening on http://"), line
        self.port = int(line.partition(",")[0].rpartition(":")[2])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def ask(
        self, method: str, path: str, body: bytes | None = None, media_type: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": media_type} if media_type else {})
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"


class Pusher(threading.Thread):
    """Images one after the other, by every way of uploading, until nobody answers. It notes what it was told is stored."""

    def __init__(self, served: Served, number: int, seed: int) -> None:
        super().__init__()
        self.served, self.repository = served, f"r{number % 3}"
        self.random = random.Random(seed)
        self.blobs: dict[Digest, bytes] = {}
        self.tags: dict[str, Digest] = {}
        self.removed: set[str] = set()

    def run(self) -> None:
        with suppress(ConnectionError, http.client.HTTPException, TimeoutError):
            while True:
                self.push()

    def push(self) -> None:
        layer = self.random.randbytes(self.random.choice((100, 70_000, 3_000_000)))
        config = self.random.randbytes(50)
        for data in (layer, config):
            self.upload(data)
        raw = Manifest.build(
            Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
            (Descriptor(OCI_LAYER, Digest.of(layer), len(layer)),),
        ).raw
        tag = f"t{self.random.randrange(10**9)}"
        status, _, body = self.served.ask("PUT", f"/v2/{self.repository}/manifests/{tag}", raw, OCI_MANIFEST)
        assert status == 201, body
        self.tags[tag] = Digest.of(raw)
        if self.random.random() < 0.2:
            del self.tags[tag]  # without an answer it may be there or not
            status, _, body = self.served.ask("DELETE", f"/v2/{self.repository}/manifests/{tag}")
            assert status == 202, body
            self.removed.add(tag)

    def upload(self, data: bytes) -> None:
        digest, uploads = Digest.of(data), f"/v2/{self.repository}/blobs/uploads/"
        way = self.random.choice(("post", "put", "patch"))
        if way == "post":
            status, _, body = self.served.ask("POST", f"{uploads}?digest={digest}", data)
        else:
            location = self.served.ask("POST", uploads)[1]["Location"]
            if way == "patch":
                location = self.served.ask("PATCH", location, data)[1]["Location"]
            status, _, body = self.served.ask("PUT", f"{location}?digest={digest}", data if way == "put" else b"")
        assert status == 201, body
        self.blobs[digest] = data


def check(served: Served, pushers: list[Pusher]) -> int:
    """Everything that was acknowledged is there, whole; and what is listed can be pulled, whole, acknowledged or not."""
    seen = 0
    for pusher in pushers:
        for digest, data in pusher.blobs.items():
            status, _, body = served.ask("GET", f"/v2/{pusher.repository}/blobs/{digest}")
            assert (status, body == data) == (200, True)
            seen += 1
        for tag, digest in pusher.tags.items():
            status, headers, body = served.ask("GET", f"/v2/{pusher.repository}/manifests/{tag}")
            assert (status, headers["Docker-Content-Digest"], Digest.of(body)) == (200, digest, digest)
        for tag in pusher.removed:
            assert served.ask("GET", f"/v2/{pusher.repository}/manifests/{tag}")[0] == 404
    for repository in json.loads(served.ask("GET", "/v2/_catalog")[2])["repositories"]:
        for tag in json.loads(served.ask("GET", f"/v2/{repository}/tags/list")[2])["tags"]:
            status, _, raw = served.ask("GET", f"/v2/{repository}/manifests/{tag}")
            assert status == 200
            parsed = Manifest.parse(raw, OCI_MANIFEST)
            for one in (parsed.config, *parsed.layers):
                status, _, body = served.ask("GET", f"/v2/{repository}/blobs/{one.digest}")
                assert (status, Digest.of(body)) == (200, one.digest)
    return seen


def test_killed_while_many_push(root: Path) -> None:
    pushers: list[Pusher] = []
    seen = 0
    for round_ in range(ROUNDS):
        served = Served(root)
        try:
            seen = check(served, pushers)
            pushers = [Pusher(served, number, round_ * 100 + number) for number in range(CLIENTS)]
            for pusher in pushers:
                pusher.start()
            time.sleep(random.uniform(0.2, 1.0))
        finally:
            served.kill()
        for pusher in pushers:
            pusher.join()
    served = Served(root)
    try:
        seen = check(served, pushers)
        assert seen > 0
    finally:
        served.kill()
