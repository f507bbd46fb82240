"""Several instances on one PostgreSQL and one bucket: whatever one has begun, another goes on with, also when the first is killed."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import bucketserver
import postgresql
import psycopg
import pytest
from peer import Peer, peering

from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.registry.database import Connection
from naru.registry.seals import own_keys
from naru.registry.server import Settings as RegistrySettings

pytestmark = pytest.mark.slow
DATA = os.urandom(12 << 20)
D = Digest.of(DATA)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """A database, a bucket, and the file of their secrets' key."""
    keys = str(tmp_path_factory.mktemp("keys") / "secret.keys")
    own_keys(keys)
    with postgresql.server() as database, bucketserver.server() as endpoint:
        bucketserver.make_client(endpoint).create_bucket(Bucket="naru")
        with psycopg.connect(database.format("postgres"), autocommit=True) as connection:
            for name in ("naru", "killed"):
                connection.execute(f"CREATE DATABASE {name}")
        yield database.format("naru"), f"s3://naru/hub?endpoint={endpoint}", keys


def settings(servers: tuple[str, str, str]) -> Settings:
    registry = RegistrySettings("127.0.0.1:0", "/nowhere", database=servers[0], blobs=servers[1])
    return Settings(registry, allow_private=True, secret_keys=servers[2])


async def test_two_instances_are_one_hub(servers: tuple[str, str, str]) -> None:
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(running)
            for running in (peering(settings(servers)), peering(settings(servers)))
        ]
        ann = await one.user("ann")
        await one.push("ann/web", "1", ann)
        bearer = await one.token(ann, "repository:ann/web:pull,push")
        answer = await other.ask("GET", "/v2/ann/web/manifests/1", bearer)
        assert answer.status == 200  # signed by one, believed by the other
        layer = Digest.of(b"layer")
        answer = await other.ask("GET", f"/v2/ann/web/blobs/{layer}", bearer)
        assert answer.status == 307 and "X-Amz-Signature" in answer.headers["Location"]
        assert (await other.ask("GET", answer.headers["Location"])).body == b"layer"
        await chunks(one, other, bearer)
        both = await asyncio.gather(
            *(peer.push("ann/web", "2", ann, b"same") for peer in (one, other) for _ in range(3))
        )
        assert len(set(both)) == 1


async def chunks(one: Peer, other: Peer, bearer: str) -> None:
    """An upload whose requests go to either instance in turn."""
    where = (await one.ask("POST", "/v2/ann/web/blobs/uploads/", bearer)).headers["Location"]
    size = 5_000_001
    for number, first in enumerate(range(0, len(DATA), size)):
        piece = DATA[first : first + size]
        instance = (other, one)[number % 2]
        content_range = f"{first}-{first + len(piece) - 1}"
        answer = await instance.ask("PATCH", where, bearer, piece, Content_Range=content_range)
        assert answer.status == 202 and answer.headers["Range"] == f"0-{first + len(piece) - 1}"
    assert (await one.ask("PUT", f"{where}?digest={Digest.of(b'?')}", bearer)).code == "DIGEST_INVALID"
    where = (await one.ask("POST", "/v2/ann/web/blobs/uploads/", bearer)).headers["Location"]
    await other.ask("PATCH", where, bearer, DATA[:7_000_000])
    assert (await one.ask("GET", where, bearer)).headers["Range"] == "0-6999999"
    answer = await one.ask("PUT", f"{where}?digest={D}", bearer, DATA[7_000_000:])
    assert answer.status == 201
    answer = await other.ask("GET", answer.headers["Location"], bearer)
    assert (await other.ask("GET", answer.headers["Location"])).body == DATA


_SERVE = (
    "import asyncio, logging, sys; from naru.registry.server import Settings, serve; "
    "logging.basicConfig(level=20, format='%(message)s'); "
    "asyncio.run(serve(Settings('127.0.0.1:0', '/nowhere', database=sys.argv[1], blobs=sys.argv[2])))"
)


async def kill_in_the_middle(process: subprocess.Popen[str], first: str, second: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def ask(url: str, method: str, path: str, data: bytes | None = None) -> tuple[int, str]:
            body = None if data is None else io.BytesIO(data)
            async with session.request(method, url + path, data=body, allow_redirects=False) as answer:
                return answer.status, answer.headers.get("Location", "")

        _, where = await ask(first, "POST", "/v2/killed/blobs/uploads/")
        assert (await ask(first, "PATCH", where, DATA[:6_000_000]))[0] == 202
        process.send_signal(signal.SIGKILL)
        assert (await ask(second, "PATCH", where, DATA[6_000_000:]))[0] == 202
        assert (await ask(second, "PUT", f"{where}?digest={D}"))[0] == 201
        status, location = await ask(second, "GET", f"/v2/killed/blobs/{D}")
        async with session.get(location) as answer:
            assert (status, await answer.read()) == (307, DATA)


def test_an_instance_is_killed_in_the_middle_of_an_upload(servers: tuple[str, str, str]) -> None:
    """Both begin at once, on a database without tables."""
    command = [
        sys.executable,
        "-c",
        _SERVE,
        servers[0].replace("/naru?", "/killed?"),
        servers[1].replace("/hub", "/killed"),
    ]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        urls = []
        for process in processes:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("registry listening on http://"), line
            urls.append("http://" + line.partition("http://")[2].partition(",")[0])
        asyncio.run(kill_in_the_middle(processes[0], *urls))
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_database_that_is_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    from naru.errors import Unavailable
    from naru.registry.database import open_database

    monkeypatch.setattr("naru.registry.postgres._WAIT_S", 1.0)
    with pytest.raises(Unavailable, match="database postgresql://localhost:1/naru"):
        open_database("postgresql://naru:secret@localhost:1/naru")


async def test_tables_are_the_same_on_both_engines(servers: tuple[str, str, str], tmp_path: Path) -> None:
    def columns(c: Connection) -> set[tuple[str, str]]:
        if c.dialect == "postgresql":
            sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        else:
            sql = "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'"
        return {(str(table), str(column)) for table, column in c.rows(sql) if not str(table).startswith("sqlite_")}

    async with (
        peering(settings(servers)) as one,
        peering(Settings(RegistrySettings("127.0.0.1:0", str(tmp_path)))) as other,
    ):
        assert await one.hub.database.read(columns) == await other.hub.database.read(columns)
