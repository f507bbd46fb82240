#!/usr/bin/env python3
"""Power cuts during pushes: what was acknowledged is there afterwards, and nothing broken is served: bench/powercut.py [CUTS] [SEED]

`naru registry serve` on a file system over a disk that loses what was not flushed (tests/registry/lossydisk.py), and eight clients that
push by every way there is (at once, POST and PUT, chunks, mounts), move and delete tags, delete manifests and blobs, and leave uploads
half done, while garbage is collected after two seconds. Each notes where the disk's record stood before it asked and after it was
answered. One such load serves many cuts: at moments just after an answer, at any moment, and while the registry started for the first
time. Of what was written since the last flush before the cut a disk may have kept nothing, all, some writes, or some sectors of them.

After each cut the file system is mounted, and checked afterwards by its own check; the registry is started on it, and
- each client's repository is as it was after its last answered request, or as after the one under way then: all of it or nothing;
- every manifest's blobs are there, and every byte served has the digest it was asked for by;
- an upload is either unknown or goes on from where its Range says, and is then either the blob or refused, never a wrong blob;
- an image can be pushed and pulled; what is due is collected, no file is left that no row knows, and SQLite's own check finds nothing.

`--without blobs` runs it with a registry whose fsync of files does nothing, `--without order` with one where it comes 50 ms late, and
`--without rows` with one whose database does not sync: then it has to find losses. Needs root; leaves nothing behind (a mount namespace
of its own).
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/registry"))

import lossydisk
from notingclients import CLIENTS, GRACE_S, Client, Web

from naru.errors import NaruError
from naru.linux.mounts import enter_private_namespace
from naru.linux.syscalls import mount, umount
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest
from naru.registry.database import Connection
from naru.registry.garbage import Collector, Policy, backlog
from naru.registry.server import Settings, opened, running

SOURCES = str(Path(__file__).parents[1] / "src")
DISK_BYTES = 1 << 30
_WITHOUT = {
    "": "",
    "blobs": "import os; os.fsync = os.fdatasync = lambda fd: None; ",
    "order": "import os, threading; sync = os.fsync; "
    "os.fsync = lambda fd: threading.Timer(0.05, lambda d: (sync(d), os.close(d)), [os.dup(fd)]).start(); ",
    "rows": "import naru.registry.database as d; run = d.SqliteConnection.run; d.SqliteConnection.run = "
    "lambda c, sql, *p: run(c, 'PRAGMA synchronous = OFF' if 'synchronous' in sql else sql, *p); ",
}
_SERVE = "import sys; sys.path.insert(0, {src!r}); {without}from naru.__main__ import main; sys.exit(main())"


async def load(tree: Path, record: lossydisk.Record, seconds: float, seed: int, without: str, counts: collections.Counter[str]) -> tuple[list[Client], int]:  # fmt: skip
    """The clients, with what they know, and the position at which the registry was there."""
    serve = _SERVE.format(src=SOURCES, without=_WITHOUT[without])
    options = ["--listen", "127.0.0.1:0", "--data-root", str(tree / "registry"), "--grace", f"{GRACE_S:.0f}s"]
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", serve, "registry", "serve", *options]
    server = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        assert server.stderr is not None
        line = (await server.stderr.readline()).decode()
        assert "http://" in line, line
        reading = asyncio.create_task(server.stderr.read())
        ready = record.position()
        async with aiohttp.ClientSession() as session:
            web = Web("http://" + line.partition("http://")[2].partition(",")[0], session)
            clients = [Client(number, seed, record, counts) for number in range(CLIENTS)]
            until_s = time.monotonic() + seconds
            await asyncio.gather(*(client.run(web, until_s) for client in clients))
    finally:
        server.kill()
        await server.wait()
    if logged := (await reading).decode():
        counts[f"ERROR logged: {logged[:500]}"] += 1
    return clients, ready


class Check:
    """Of one registry after one cut; in words, what it has lost and what is broken."""

    def __init__(self, root: Path, clients: list[Client], position: int, cut_s: float, counts: collections.Counter[str]) -> None:  # fmt: skip
        self._root, self._clients, self._position, self._cut_s, self._counts = root, clients, position, cut_s, counts
        self.lost: list[str] = []
        self.broken: list[str] = []

    async def run(self) -> None:
        try:
            async with aiohttp.ClientSession() as session:
                async with running(self._settings(read_only=True)) as registry:
                    for client in self._clients:
                        await self._state(Web(registry.url, session), client)
                async with running(self._settings(read_only=False)) as registry:
                    web = Web(registry.url, session)
                    for client in self._clients:
                        await self._uploads(web, client)
                    await self._new(web)
            await self._inside()
        except (NaruError, OSError, aiohttp.ClientError) as error:
            self.broken.append(f"{type(error).__name__}: {error}")

    def _settings(self, *, read_only: bool) -> Settings:
        return Settings("127.0.0.1:0", str(self._root), read_only=read_only, policy=Policy(GRACE_S))

    async def _state(self, web: Web, client: Client) -> None:
        base = f"/v2/{client.repository}"
        found: dict[str, str] = {}
        sure, perhaps = client.states(self._position)
        begun = {key for act in client.acts if act.begun <= self._position for key in act.changes}
        for key in sorted(begun):
            status, headers, body = await web.ask("GET", f"{base}/manifests/{key}")
            if status == 200:
                found[key] = headers["Docker-Content-Digest"]
                if str(Digest.of(body)) != found[key]:
                    self.broken.append(f"{key} of {client.repository}: wrong bytes")
            elif status != 404:
                self.broken.append(f"{key} of {client.repository}: {status} {body[:200]!r}")
        if found not in (sure, perhaps):
            self.lost.append(f"{client.repository} is {found}, neither {sure} nor {perhaps}")
        needed = dict.fromkeys(_blobs(client, found), True)
        for digest, there in (client.strays(self._position, self._cut_s) | needed).items():
            status, _, body = await web.ask("GET", f"{base}/blobs/{digest}")
            if status == 200 and Digest.of(body) != digest:
                self.broken.append(f"{digest} of {client.repository}: wrong bytes")
            elif status != (200 if there else 404):
                self.lost.append(f"{digest} of {client.repository}: {status}, it was {'there' if there else 'deleted'}")
        self._counts["checked"] += len(found) + len(needed)

    async def _uploads(self, web: Web, client: Client) -> None:
        """Open ones go on from where they say they are."""
        for one in [one for one in client.pending if one.begun <= self._position < one.closed][-3:]:
            path, digest = f"/v2/{client.repository}/blobs/uploads/{one.id}", Digest.of(one.data)
            status, headers, _ = await web.ask("GET", path)
            outcome = "unknown"
            if status == 204:
                have = int(headers["Range"].partition("-")[2])
                offset = have + 1 if have else 0
                if offset < len(one.data):
                    content_range = f"{offset}-{len(one.data) - 1}"
                    status, _, _ = await web.ask("PATCH", path, one.data[offset:], Content_Range=content_range)
                    outcome = "known, then unknown" if status == 404 else f"status {status}"
                if offset == len(one.data) or status == 202:
                    status, _, body = await web.ask("PUT", f"{path}?digest={digest}")
                    outcome = {201: "finished", 400: "refused", 404: "known, then unknown"}.get(status, f"status {status}")  # fmt: skip
            self._counts[f"uploads {outcome}"] += 1
            if outcome == "finished":
                status, _, body = await web.ask("GET", f"/v2/{client.repository}/blobs/{digest}")
                if (status, Digest.of(body)) != (200, digest):
                    self.broken.append(f"upload {one.id} of {client.repository}: finished, and then {status}")
            elif outcome.startswith("status") or status not in (201, 400, 404):
                self.broken.append(f"upload {one.id} of {client.repository}: {outcome}")

    async def _new(self, web: Web) -> None:
        data, config = os.urandom(10_000), os.urandom(40)
        for blob in (data, config):
            await web.ask("POST", f"/v2/new/blobs/uploads/?digest={Digest.of(blob)}", blob)
        layer = Descriptor(OCI_LAYER, Digest.of(data), len(data))
        raw = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(config), len(config)), (layer,)).raw
        await web.ask("PUT", "/v2/new/manifests/new", raw, Content_Type=OCI_MANIFEST)
        pulled = [(await web.ask("GET", f"/v2/new/{path}"))[2] for path in ("manifests/new", f"blobs/{layer.digest}")]
        if pulled != [raw, data]:
            self.broken.append("a new image cannot be pushed and pulled")

    async def _inside(self) -> None:
        """Garbage goes, and nothing else; the files are those that the rows know."""
        async with opened(self._settings(read_only=False)) as registry:
            storage = registry.storage
            collector = Collector(storage.database, storage.blobs, registry.uploads, storage.policy)
            self._counts["orphans"] += await collector.sweep(time.time() + 60)
            await collector.round()
            left = await storage.database.scan(backlog, time.time())
            if left.due or left.discarded:
                self.broken.append(f"garbage is left: {left}")
            damage, holes, keys, sessions = await storage.database.scan(_look)
            files = {key for key, _ in storage.blobs.walk()}
        self.broken += [f"database: {damage}"] * (damage != "ok") + [f"{holes} manifests without their blobs"] * bool(holes)  # fmt: skip
        if unclaimed := files - keys.keys() - sessions:
            self.broken.append(f"files that nobody knows: {sorted(unclaimed)}")
        for key, digest in keys.items():
            path = self._root / "blobs" / key[:2] / key
            if not path.exists() or Digest.of(path.read_bytes()) != digest:
                self.broken.append(f"{digest} has the wrong bytes, or none, in {path.name}")


def _look(c: Connection) -> tuple[str, int, dict[str, Digest], set[str]]:
    hole = "SELECT count(*) FROM reference r WHERE NOT EXISTS (SELECT 1 FROM link JOIN blob USING (digest) WHERE link.repository = r.repository AND digest = r.target)"
    keys = {str(key): Digest(digest) for key, digest in c.rows("SELECT key, digest FROM blob")}
    sessions = {str(key) for (key,) in c.rows("SELECT id FROM upload")}
    damage = "; ".join(str(row) for (row,) in c.rows("PRAGMA integrity_check"))
    return damage, int(c.rows(hole)[0][0]), keys, sessions


def _blobs(client: Client, found: Mapping[str, str]) -> set[Digest]:
    parsed = [Manifest.parse(client.manifests[digest], OCI_MANIFEST) for digest in set(found.values())]
    return {one.digest for manifest in parsed for one in (manifest.config, *manifest.layers)}


def positions(clients: list[Client], ready: int, end: int, count: int, chance: random.Random) -> list[int]:
    """Where to cut: half of them where somebody has just been told something, a tenth while the registry started."""
    answers = sorted({act.done for client in clients for act in client.acts})
    chosen = []
    for number in range(count):
        kind = number % 10
        chosen.append(chance.randrange(ready) if kind == 9 else chance.choice(answers) if kind % 2 else chance.randint(ready, end))  # fmt: skip
    return sorted(chosen)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cuts", nargs="?", type=int, default=100)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load")
    parser.add_argument("--file-system", default="ext4", choices=["ext4", "xfs", "btrfs"])
    parser.add_argument("--without", default="", choices=list(_WITHOUT))
    options = parser.parse_args()
    if obstacle := lossydisk.obstacle():
        parser.error(obstacle)
    signal.signal(signal.SIGTERM, _ended)
    enter_private_namespace()
    with tempfile.TemporaryDirectory(prefix="naru-powercut-") as folder:
        mount("tmpfs", folder, "tmpfs", 0, "size=75%")  # it ends with us, and the machine's own disk has nothing to do
        try:
            return measure(Path(folder), options)
        finally:
            umount(folder)


def _ended(*_: object) -> NoReturn:
    sys.exit(143)


def measure(folder: Path, options: argparse.Namespace) -> int:
    counts: collections.Counter[str] = collections.Counter()
    chance, lost, broken = random.Random(options.seed), list[str](), list[str]()
    with lossydisk.recording(folder, DISK_BYTES, options.file_system) as (record, tree):
        clients, ready = asyncio.run(load(tree, record, options.seconds, options.seed, options.without, counts))
        end = record.position()
    cuts = lossydisk.Cuts(record, folder / "flushed")
    image, tree, begun_s = folder / "image", folder / "after", time.monotonic()
    tree.mkdir()
    for number, position in enumerate(positions(clients, ready, end, options.cuts, chance)):
        kept = cuts.cut(position, chance, image)
        check = Check(tree / "registry", clients, position, cuts.operations[max(position - 1, 0)].time_s, counts)
        try:
            with lossydisk.mounted(image, tree):
                asyncio.run(check.run())
        except subprocess.CalledProcessError as error:
            check.broken.append(f"cannot be mounted: {error.stderr}")
        if fault := lossydisk.fault(image, options.file_system):
            check.broken.append(f"file system: {fault}")
        for fault in check.lost + check.broken:
            print(f"cut {number} at {position} of {end}, {kept}: {fault[:1000]}")
        lost += check.lost
        broken += check.broken
    operations = cuts.operations[:end]
    cuts.close()
    errors = [what for what in counts if what.startswith("ERROR")]
    print(f"{options.file_system}, {options.seconds:.0f} s of {CLIENTS} clients, seed {options.seed}")
    figures = {
        "writes": sum(not one.is_flush for one in operations),
        "MB written": sum(one.size_bytes for one in operations) >> 20,
        "flushes": sum(one.is_flush for one in operations),
        "cuts": options.cuts,
        **{what: counts[what] for what in sorted(counts)},
        "ms per cut": round((time.monotonic() - begun_s) * 1000 / max(options.cuts, 1)),
        "lost": len(lost),
        "broken": len(broken),
    }
    for what, count in figures.items():
        print(f"{count:9} {what}")
    return int(bool(lost or broken or errors))


if __name__ == "__main__":
    sys.exit(main())
