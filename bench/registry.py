#!/usr/bin/env python3
"""Naru's registry beside Debian's docker-registry 2.8, in turn, on folders and ports of their own: bench/registry.py [ROUNDS]

Wants docker-registry and wrk (apt-get install docker-registry wrk), and 4 GiB of room in TMPDIR. Medians; ratios above 1 are in
Naru's favour. `manifest_auth` has Naru check a password at each request, `manifest_hub` is a hub's with a token, whose pulls are counted
and limited; docker-registry checks none.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt

BLOB_BYTES = 512 << 20
TAGS, REPOSITORIES = 100_000, 10_000
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "sha256:" + hashlib.sha256(b"{}").hexdigest()
USER = "Basic " + base64.b64encode(b"ann:secret").decode()


class Server:
    def __init__(self, name: str, port: int, folder: Path, argv: list[str]) -> None:
        self.name, self.port, self.folder = name, port, folder
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{name} does not listen")

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300, blocksize=1 << 20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)  # type: ignore[arg-type]
        return connection.getresponse()

    def must(self, method: str, path: str, body: object = None, **headers: str) -> http.client.HTTPResponse:
        response = self.ask(method, path, body, **headers)
        if response.status >= 300:
            raise RuntimeError(f"{self.name}: {method} {path}: {response.status} {response.read()[:300]!r}")
        return response

    def push_blob(self, repository: str, body: object, digest: str, size: int) -> None:
        location = self.must("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["Location"]
        path = re.sub(r"^https?://[^/]+", "", location)
        path += ("&" if "?" in path else "?") + f"digest={digest}"
        self.must("PUT", path, body, Content_Length=str(size), Content_Type="application/octet-stream").read()

    def push_image(self, repository: str, tag: str, layer: bytes = b"") -> None:
        self.push_blob(repository, b"{}", EMPTY, 2)
        layers = []
        if layer:
            digest = "sha256:" + hashlib.sha256(layer).hexdigest()
            self.push_blob(repository, layer, digest, len(layer))
            layers = [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": len(layer)}
            ]
        self.must("PUT", f"/v2/{repository}/manifests/{tag}", manifest(layers), Content_Type=MANIFEST).read()

    def memory_mib(self) -> float:
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) / 1024  # type: ignore[index]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def manifest(layers: list[dict[str, object]]) -> bytes:
    config = {"mediaType": CONFIG, "digest": EMPTY, "size": 2}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def drain(server: Server, path: str, range_: str = "") -> int:
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        head = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + (f"Range: {range_}\r\n" if range_ else "")
            + "\r\n"
        )
        sock.sendall(head.encode())
        buffer, size = bytearray(1 << 20), 0
        while count := sock.recv_into(buffer):
            size += count
    return size


def blob_path(digest: str) -> str:
    return f"/v2/big/blobs/{digest}"


def get_mib_s(server: Server, digest: str, streams: int = 1, range_: str = "") -> float:
    def one(_: int) -> None:
        if drain(server, blob_path(digest), range_) < BLOB_BYTES // 2:
            raise RuntimeError(f"{server.name}: a short answer")

    with ThreadPoolExecutor(streams) as pool:
        took = timed(lambda: list(pool.map(one, range(streams))))
    return streams * (BLOB_BYTES / 2**20) / took


def put_mib_s(server: Server, blob: Path, salt: bytes) -> float:
    """A blob that the registry has not seen: its last bytes are new."""
    with blob.open("r+b") as file:
        file.seek(-len(salt), os.SEEK_END)
        file.write(salt)
    with blob.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    with blob.open("rb") as file:
        return (BLOB_BYTES / 2**20) / timed(lambda: server.push_blob("put", file, digest, BLOB_BYTES))


def per_second(server: Server, path: str, *headers: str) -> float:
    argv = [
        "wrk",
        "-t1",
        "-c16",
        "-d3s",
        *(word for header in headers for word in ("-H", header)),
        f"http://127.0.0.1:{server.port}{path}",
    ]
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise RuntimeError(f"{server.name}: {out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]


def page_ms(server: Server, path: str, key: str, wanted: int) -> float:
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        found = json.loads(server.must("GET", path).read())[key]
        times.append((time.perf_counter() - begun) * 1e3)
        if len(found) < wanted:  # docker-registry 2.8 knows no pages of tags
            raise RuntimeError(f"{server.name}: {len(found)} of {wanted}")
    return statistics.median(times)


def many(server: Server) -> tuple[float, float]:
    """Seconds for 32 pushes of 4 MiB at once, and for 64 pulls of them."""
    layers = [os.urandom(4 << 20) for _ in range(32)]
    with ThreadPoolExecutor(64) as pool:
        pushed = timed(lambda: list(pool.map(lambda n: server.push_image(f"many/{n}", "v1", layers[n]), range(32))))

        def pull(n: int) -> None:
            found = json.loads(server.must("GET", f"/v2/many/{n % 32}/manifests/v1", Accept=MANIFEST).read())
            data = server.must("GET", f"/v2/many/{n % 32}/blobs/{found['layers'][0]['digest']}").read()
            if data != layers[n % 32]:
                raise RuntimeError("not what was pushed")

        pulled = timed(lambda: list(pool.map(pull, range(64))))
    return pushed, pulled


def fill(naru: Path, debian: Path) -> None:
    """A hundred thousand tags of one image and ten thousand repositories, as each keeps them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
    from naru.registry import records  # noqa: PLC0415
    from naru.registry.database import Connection  # noqa: PLC0415
    from naru.registry.server import Settings, opened  # noqa: PLC0415

    digest = hashlib.sha256(manifest([])).hexdigest()

    def rows(c: Connection) -> None:
        source = records.repository_id(c, "tags")
        for n in range(TAGS):
            c.run(
                "INSERT INTO tag SELECT repository, ?, digest, 0 FROM tag WHERE repository = ? AND name = 'v0' AND ? > 0",
                f"v{n}",
                source,
                n,
            )
        for n in range(REPOSITORIES):
            to = records.ensure_repository(c, f"repository/{n:05}", 0)
            columns = (
                "digest, media_type, size_bytes, total_bytes, subject, artifact_type, annotations, pushed_at, payload"
            )
            c.run(
                f"INSERT INTO manifest (repository, {columns}) SELECT ?, {columns} FROM manifest WHERE repository = ?",
                to,
                source,
            )
            c.run("INSERT INTO tag SELECT ?, 'v0', digest, 0 FROM manifest WHERE repository = ?", to, to)

    async def tables() -> None:
        async with opened(Settings("", str(naru))) as registry:
            await registry.storage.database.write(rows)

    asyncio.run(tables())
    top = debian / "docker/registry/v2/repositories"
    for n in range(TAGS):
        folder = top / f"tags/_manifests/tags/v{n}/current"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(f"sha256:{digest}")
    for n in range(REPOSITORIES):
        folder = top / f"repository/{n:05}/_manifests/tags/v0/current"
        folder.mkdir(parents=True)
        (folder / "link").write_text(f"sha256:{digest}")
        (top / f"repository/{n:05}/_layers").mkdir()  # what its catalog looks for


def start(folder: Path, password: bool = False) -> tuple[Server, Server]:
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {folder}/debian}}, "
        "delete: {enabled: true}}\nhttp: {addr: 127.0.0.1:5071}\n"
    )
    users = folder / "users"
    users.write_bytes(b"ann:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(10)) + b"\n")
    naru = [
        sys.executable,
        "-m",
        "naru",
        "registry",
        "serve",
        "--listen",
        "127.0.0.1:5072",
        "--data-root",
        f"{folder}/naru",
    ]
    return (
        Server("docker-registry", 5071, folder / "debian", ["docker-registry", "serve", str(config)]),
        Server(
            "naru", 5072, folder / "naru", naru + (["--htpasswd", str(users), "--anonymous-pull"] if password else [])
        ),
    )


def start_hub(folder: Path) -> tuple[Server, str]:
    """A hub with ann/tags:v0, and ann's token for it."""
    from naru.hub.people import accounts  # noqa: PLC0415
    from naru.hub.people.passwords import hash_password  # noqa: PLC0415
    from naru.registry.database import open_database  # noqa: PLC0415

    argv = [sys.executable, "-m", "naru", "hub", "serve", "--listen", "127.0.0.1:5073", "--data-root", str(folder)]
    server = Server("naru hub", 5073, folder, [*argv, "--account-limit", "1000000000/24h"])

    async def make_account() -> None:
        database = open_database(str(folder / "registry.db"))
        hashed = await hash_password("correct horse")
        await database.write(accounts.create, "ann", accounts.USER, time.time(), password=hashed)
        database.close()

    asyncio.run(make_account())
    basic = "Basic " + base64.b64encode(b"ann:correct horse").decode()
    scope = "/token?scope=repository:ann/tags:pull,push"
    token = "Bearer " + json.load(server.must("GET", scope, Authorization=basic))["token"]
    server.must("POST", f"/v2/ann/tags/blobs/uploads/?digest={EMPTY}", b"{}", Authorization=token)
    server.must("PUT", "/v2/ann/tags/manifests/v0", manifest([]), Content_Type=MANIFEST, Authorization=token)
    return server, token


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    folder = Path(tempfile.mkdtemp(prefix="naru-registry-bench-"))
    blob = folder / "blob"
    with blob.open("wb") as file:
        for _ in range(BLOB_BYTES >> 20):
            file.write(os.urandom(1 << 20))
    with blob.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    results: dict[str, tuple[str, list[list[float]]]] = {}

    def note(case: str, unit: str, server: int, value: float) -> None:
        results.setdefault(case, (unit, [[], []]))[1][server].append(value)

    servers: tuple[Server, ...] = start(folder)
    try:
        for server in servers:
            with blob.open("rb") as file:
                server.push_blob("big", file, digest, BLOB_BYTES)
            server.push_image("tags", "v0")
        for round_ in range(rounds):
            for number, server in enumerate(servers):
                note("blob_get", "MiB/s", number, get_mib_s(server, digest))
                note("blob_get_4", "MiB/s", number, get_mib_s(server, digest, streams=4))
                note("blob_range", "MiB/s", number, get_mib_s(server, digest, range_="bytes=100-"))
                os.sync()  # what the other has left for later is not for this one to wait for
                note("blob_put", "MiB/s", number, put_mib_s(server, blob, b"%d %d" % (round_, number)))
                note(
                    "manifest_by_tag", "1/s", number, per_second(server, "/v2/tags/manifests/v0", f"Accept: {MANIFEST}")
                )
        for number, server in enumerate(servers):
            pushed, pulled = many(server)
            note("push_32", "s", number, pushed)
            note("pull_64", "s", number, pulled)
        before = [server.memory_mib() for server in servers]
        for server in servers:
            for _ in range(5 << 30 // BLOB_BYTES):
                drain(server, blob_path(digest))
        for number, server in enumerate(servers):
            note("memory_after_5GiB", "MiB more", number, server.memory_mib() - before[number])
        for server in servers:
            server.stop()
        fill(folder / "naru", folder / "debian")
        servers = start(folder, password=True)
        for number, server in enumerate(servers):
            note(
                "manifest_auth",
                "1/s",
                number,
                per_second(server, "/v2/tags/manifests/v0", f"Accept: {MANIFEST}", f"Authorization: {USER}"),
            )
            note("tags_first_page", "ms", number, page_ms(server, "/v2/tags/tags/list?n=100", "tags", 100))
            note("catalog_first_page", "ms", number, page_ms(server, "/v2/_catalog?n=100", "repositories", 100))
        hub, token = start_hub(folder / "hub")
        servers = (*servers, hub)
        for _ in range(rounds):
            headers = f"Accept: {MANIFEST}", f"Authorization: {token}"
            note("manifest_hub", "1/s", 0, per_second(servers[0], "/v2/tags/manifests/v0", headers[0]))
            note("manifest_hub", "1/s", 1, per_second(hub, "/v2/ann/tags/manifests/v0", *headers))
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.stop()
        shutil.rmtree(folder)
    print(f"{'case':<20}{'':>10}{'docker-registry':>18}{'naru':>10}{'ratio':>8}")
    for case, (unit, (theirs, ours)) in results.items():
        a, b = statistics.median(theirs), statistics.median(ours)
        better = b / a if unit.endswith("/s") else a / b if b else 0
        print(f"{case:<20}{unit:>10}{a:>18.1f}{b:>10.1f}{better:>8.2f}")


if __name__ == "__main__":
    threading.stack_size(1 << 18)
    main()
