#!/usr/bin/env python3
"""How long a hub's pages take to their first byte: bench/pages.py [ROUNDS]

A hub of its own under TMPDIR, with 10,000 repositories of 100 accounts and one of 100,000 tags. Every page is asked for ROUNDS times (default 15)
over one connection; what is printed are medians and the longest, in milliseconds. The budget is 30 ms.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from naru.hub.catalog import repositories
from naru.hub.pages.visit import SESSION
from naru.hub.people import accounts, credentials
from naru.hub.people.passwords import hash_password
from naru.hub.server import Settings, opened_hub
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest
from naru.registry.access import Caller
from naru.registry.database import Connection
from naru.registry.server import Settings as RegistrySettings
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads

PORT, BUDGET_MS = 5074, 30.0
ACCOUNTS, REPOSITORIES, TAGS, IMAGES = 100, 10_000, 100_000, 50
CALLER = Caller("ann")


def people_and_repositories(c: Connection, password: str) -> None:
    chance = random.Random(1)
    accounts.create(c, "ann", accounts.USER, time.time(), password=password, is_admin=True)
    for number in range(ACCOUNTS):
        accounts.create(c, f"user{number}", accounts.USER, time.time())
    for number in range(REPOSITORIES):
        made = repositories.create(c, f"user{number % ACCOUNTS}/app{number}", time.time(), is_private=number % 10 == 0)
        used = chance.randrange(100), chance.randrange(1_000_000), f"The summary of application {number}", made.id
        c.run("UPDATE profile SET stars = ?, pulls = ?, summary = ? WHERE repository = ?", *used)
        repositories.set_categories(c, made.id, chance.sample(repositories.CATEGORIES, 2))


async def push(storage: Storage, uploads: Uploads, data: bytes) -> Descriptor:
    digest = Digest.of(data)
    session = await uploads.begin("ann/tags", CALLER.name, "sha256")
    async with uploads.turn(session.id, "ann/tags", CALLER.name) as upload:
        upload.write(data)
        await storage.commit(CALLER, upload, digest)
    return Descriptor(OCI_LAYER, digest, len(data))


async def fill(folder: Path) -> str:
    """The cookie of an admin's session."""
    settings = Settings(RegistrySettings("127.0.0.1:0", str(folder)))
    hashed = await hash_password("correct horse")
    async with opened_hub(settings) as hub:
        storage, uploads = hub.registry.storage, hub.registry.uploads
        await hub.database.write(people_and_repositories, hashed)
        history = [{"created_by": f"RUN /bin/sh -c step {number} # buildkit"} for number in range(5)]
        digests = []
        for number in range(IMAGES):
            layer = await push(storage, uploads, f"layer {number}".encode())
            config = {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": []},
                "history": history,
            }
            told = await push(storage, uploads, json.dumps({**config, "author": str(number)}).encode())
            raw = Manifest.build(Descriptor(OCI_CONFIG, told.digest, told.size), (layer,) * 5).raw
            digests.append((await storage.put_manifest(CALLER, "ann/tags", f"v{number}", OCI_MANIFEST, raw)).digest)

        def tag(c: Connection) -> None:
            (repository,) = c.rows("SELECT id FROM repository WHERE name = 'ann/tags'")[0]
            for number in range(IMAGES, TAGS):
                c.run(
                    "INSERT INTO tag (repository, name, digest, pushed_at) VALUES (?, ?, ?, ?)",
                    repository, f"v{number}", digests[number % IMAGES], time.time(),
                )  # fmt: skip

        await hub.database.write(tag)
        while await hub.workers.step():
            pass
        ann = await hub.database.read(accounts.get, "ann")
        return await hub.database.write(credentials.open_browser, ann.id, "bench/pages.py", "127.0.0.1", time.time())


PAGES: Mapping[str, str] = {
    "home": "/",
    "explore": "/explore",
    "explore, a category": "/explore?category=Databases+%26+storage",
    "explore, page 300": "/explore?page=300",
    "explore, page 300 by pulls": "/explore?page=300&sort=pulls",
    "search": "/explore?q=app12",
    "search, page 300": "/explore?q=app&page=300",
    "an account with 100 repositories": "/u/user7",
    "repository with 100,000 tags": "/r/ann/tags",
    "its tags": "/r/ann/tags/-/tags",
    "its tags, page 2000": "/r/ann/tags/-/tags?page=2000",
    "its tags, some": "/r/ann/tags/-/tags?q=v99",
    "a tag": "/r/ann/tags/-/tags/v7",
    "two tags compared": "/r/ann/tags/-/compare?a=v7&b=v8",
    "its settings": "/r/ann/tags/-/settings",
    "admin: storage": "/admin/storage",
    "admin: people": "/admin/users",
    "audit": "/admin/audit",
}


def measured(connection: http.client.HTTPConnection, path: str, cookie: str) -> float:
    begun_s = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()  # its first bytes are here
    took_s = time.perf_counter() - begun_s
    body = answer.read()
    assert answer.status == 200, (path, answer.status, body[:500])
    return took_s * 1000


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    late = 0
    with tempfile.TemporaryDirectory(prefix="naru-pages-") as name:
        cookie = f"{SESSION}={asyncio.run(fill(Path(name)))}"
        command = [sys.executable, "-m", "naru", "hub", "serve", "--listen", f"127.0.0.1:{PORT}", "--data-root", name]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None and "listening" in server.stderr.readline()
            connection = http.client.HTTPConnection("127.0.0.1", PORT)
            for title, path in PAGES.items():
                times = [measured(connection, path, cookie) for _ in range(rounds + 1)][1:]
                median = statistics.median(times)
                late += median > BUDGET_MS
                print(f"{median:8.1f} {max(times):8.1f}  {title}", flush=True)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main())
