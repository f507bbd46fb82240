#!/usr/bin/env python3
"""Pushes, pulls and deletions against a registry that collects garbage with hardly any grace: bench/race.py [MINUTES]

`naru registry serve --grace 10s --collect-untagged` on a folder under /tmp, and eight clients that push small images with layers from a
common pool, ask for blobs before they push them, mount from one another, move tags, delete, and pull what they have just pushed. An error
is any answer that breaks a promise: a blob that was said to be there and is not when its manifest comes, a tag whose image is not whole.
Grace is far shorter than in real life, so a push that takes longer than it would rightly fail: clients here are quick.
"""

from __future__ import annotations

import asyncio
import collections
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest, dump_json

CLIENTS, REPOSITORIES, LAYERS, TAGS = 8, 4, 250, 6
GRACE_S = 10.0


class Client:
    def __init__(self, url: str, session: aiohttp.ClientSession, number: int, counts: collections.Counter[str]) -> None:
        self._url, self._session, self._counts = url, session, counts
        self._chance = random.Random(number)

    async def ask(self, method: str, path: str, data: bytes | None = None, media_type: str = "") -> tuple[int, bytes]:
        headers = {"Content-Type": media_type} if media_type else {}
        async with self._session.request(method, self._url + path, data=data, headers=headers) as answer:
            return answer.status, await answer.read()

    def expect(self, what: str, status: int, *allowed: int) -> bool:
        self._counts[what] += 1
        if status not in allowed:
            self._counts[f"ERROR {what} {status}"] += 1
        return status in allowed

    async def blob(self, repository: str, data: bytes) -> Descriptor:
        digest = Digest.of(data)
        status, _ = await self.ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        if status != 200:
            other = f"r{self._chance.randrange(REPOSITORIES)}"
            status, _ = await self.ask("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={other}")
            if status == 202:
                status, _ = await self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
            self.expect("blob", status, 201)
        return Descriptor(OCI_LAYER, digest, len(data))

    async def push(self, repository: str) -> Digest:
        layers = [
            await self.blob(repository, bytes([self._chance.randrange(LAYERS)]) * self._chance.choice((100, 5000)))
            for _ in range(3)
        ]
        config = await self.blob(repository, b'{"n":%d}' % self._chance.randrange(50))
        raw = Manifest.build(Descriptor(OCI_CONFIG, config.digest, config.size), tuple(layers)).raw
        tag = f"t{self._chance.randrange(TAGS)}" if self._chance.random() < 0.8 else str(Digest.of(raw))
        status, _ = await self.ask("PUT", f"/v2/{repository}/manifests/{tag}", raw, OCI_MANIFEST)
        self.expect("manifest", status, 201)
        if self._chance.random() < 0.2:
            children = [Descriptor(OCI_MANIFEST, Digest.of(raw), len(raw)).to_json()]
            index = dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})
            status, _ = await self.ask(
                "PUT", f"/v2/{repository}/manifests/i{self._chance.randrange(TAGS)}", index, OCI_INDEX
            )
            self.expect("index", status, 201)
        return Digest.of(raw)

    async def pull(self, repository: str, digest: Digest) -> None:
        status, raw = await self.ask("GET", f"/v2/{repository}/manifests/{digest}")
        if status == 404:  # somebody has deleted it
            return
        self.expect("pull", status, 200)
        for one in Manifest.parse(raw, OCI_MANIFEST).layers:
            status, body = await self.ask("GET", f"/v2/{repository}/blobs/{one.digest}")
            if self.expect("layer", status, 200) and Digest.of(body) != one.digest:
                self._counts["ERROR damaged layer"] += 1

    async def run(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            repository = f"r{self._chance.randrange(REPOSITORIES)}"
            await self.pull(repository, await self.push(repository))
            if self._chance.random() < 0.5:
                which = f"{self._chance.choice('ti')}{self._chance.randrange(TAGS)}"
                status, _ = await self.ask("DELETE", f"/v2/{repository}/manifests/{which}")
                self.expect("delete", status, 202, 404)


async def main(minutes: float) -> int:
    root = tempfile.mkdtemp(prefix="naru-race-")
    command = [sys.executable, "-m", "naru", "registry", "serve", "--listen", "127.0.0.1:0", "--data-root", root]
    command += ["--grace", f"{GRACE_S:.0f}s", "--collect-untagged"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    server = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    counts: collections.Counter[str] = collections.Counter()
    try:
        assert server.stderr is not None
        line = (await server.stderr.readline()).decode()
        url = "http://" + line.partition("http://")[2].partition(",")[0]
        reading = asyncio.create_task(server.stderr.read())
        async with aiohttp.ClientSession() as session:
            until_s = time.monotonic() + minutes * 60
            await asyncio.gather(*(Client(url, session, number, counts).run(until_s) for number in range(CLIENTS)))
    finally:
        server.terminate()
        await server.wait()
        logged = (await reading).decode()
        shutil.rmtree(root)
    for what, count in sorted(counts.items()):
        print(f"{count:9} {what}")
    print(f"the registry logged {logged.count('ERROR')} errors")
    return int(any(what.startswith("ERROR") for what in counts) or "ERROR" in logged)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30)))
