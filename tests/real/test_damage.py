"""Files of every kind, damaged or gone: the daemon starts, says so where something is lost, and everything else works."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
from docker.errors import ImageNotFound, NotFound

from naru.linux.nft import Nft, has_table

pytestmark = pytest.mark.root
START_S = 5.0


def spoil_record(daemon: Any, text: str, id: str) -> None:
    with closing(sqlite3.connect(f"{daemon.data_root}/naru.db")) as db:
        db.execute("UPDATE container SET record = ? WHERE id = ?", (text, id))
        db.commit()


def snapshot_of(daemon: Any, id: str) -> str:
    with closing(sqlite3.connect(f"{daemon.data_root}/naru.db")) as db:
        (number,) = db.execute("SELECT dir FROM active WHERE key = ?", (id,)).fetchone()
    return f"{daemon.data_root}/snapshots/{number}"


def write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def blobs(daemon: Any) -> list[str]:
    folder = f"{daemon.data_root}/content/blobs/sha256"
    return [f"{folder}/{name}" for name in os.listdir(folder)]


def litter(daemon: Any) -> None:
    """What nobody has made, in every folder."""
    for root in (daemon.data_root, daemon.exec_root):
        for folder in ("trash", "containers", "snapshots", "content/ingest", "exits", "execs", "runtime", "build"):
            if os.path.isdir(f"{root}/{folder}"):
                write(f"{root}/{folder}/stray-1", b"x")
                write(f"{root}/{folder}/stray-2/a/b", b"x")


DAMAGE: dict[str, Callable[[Any, str], object]] = {
    "journal": lambda d, id: write(f"{d.data_root}/naru.db-wal", b"garbage" * 999),
    "index": lambda d, id: write(f"{d.data_root}/naru.db-shm", b"garbage" * 999),
    "reserve": lambda d, id: write(f"{d.data_root}/reserve", b"x"),
    "engine-id": lambda d, id: write(f"{d.data_root}/engine-id", b""),
    "engine-id of bytes": lambda d, id: write(f"{d.data_root}/engine-id", b"\xff\0\xfe"),
    "lock": lambda d, id: write(f"{d.data_root}/lock", b"garbage"),
    "pid file": lambda d, id: write(f"{d.exec_root}/naru.pid", b"1\n"),
    "log": lambda d, id: write(f"{d.data_root}/containers/{id}/{id}.log", b"\0\xff" * 5000),
    "shipping": lambda d, id: write(f"{d.data_root}/containers/{id}/{id}.log.shipped", b"{"),
    "exit code": lambda d, id: write(f"{d.exec_root}/exits/{id}", b"garbage"),
    "litter": lambda d, id: litter(d),
    "empty record": lambda d, id: spoil_record(d, "", id),
    "half a record": lambda d, id: spoil_record(d, '{"id": "', id),
    "another record": lambda d, id: spoil_record(d, '{"id": 1, "state": {"status": "flying"}}', id),
    "list for a record": lambda d, id: spoil_record(d, "[]", id),
    "snapshot gone": lambda d, id: shutil.rmtree(snapshot_of(d, id)),
    "directory gone": lambda d, id: shutil.rmtree(f"{d.data_root}/containers/{id}"),
    "blobs gone": lambda d, id: [os.unlink(path) for path in blobs(d)],
    "blobs cut short": lambda d, id: [os.truncate(path, 10) for path in blobs(d)],
}


@pytest.fixture(scope="module")
def damaged(request: pytest.FixtureRequest) -> Any:
    """One daemon for all of it."""
    from realdaemon import Daemon

    daemon = Daemon()
    request.addfinalizer(daemon.destroy)
    daemon.start()
    return daemon


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_stops_nobody(damaged: Any, what: str) -> None:
    daemon = damaged
    daemon.import_busybox()
    client = daemon.client
    victim = client.containers.run("busybox", ["echo", "x"], detach=True)
    victim.wait()
    other = client.containers.run("busybox", ["sleep", "600"], detach=True)
    other.reload()
    pid = other.attrs["State"]["Pid"]
    daemon.stop()
    DAMAGE[what](daemon, victim.id)
    assert daemon.start() < START_S
    other.reload()
    assert (other.status, other.attrs["State"]["Pid"]) == ("running", pid)
    assert other.exec_run(["echo", "well"]).output == b"well\n"
    assert client.info()["ID"]
    try:
        victim.reload()
        victim.logs()
        victim.remove()
    except NotFound:
        assert "record" in what and "is damaged" in daemon.log()
        assert any(name.startswith("damaged-container-") for name in os.listdir(daemon.data_root))
    other.remove(force=True)
    if "blobs" in what:
        with suppress(ImageNotFound):
            client.images.remove("busybox", force=True)
    daemon.import_busybox()
    assert client.containers.run("busybox", ["echo", "again"], remove=True) == b"again\n"
    assert os.listdir(f"{daemon.data_root}/containers") == []


def test_a_flushed_ruleset_is_put_back(daemon: Any, client: Any) -> None:
    """As `nft flush ruleset` does it to everybody's, which here would be other engines', too."""
    container = client.containers.run("busybox", ["sleep", "600"], detach=True, ports={"80/tcp": None})
    table = f"naru-{daemon.bridge}"
    with Nft() as nft:
        before = nft.run(f"list table inet {table}")
        nft.run(f"delete table inet {table}")
        deadline = time.monotonic() + 10
        while not (has_table(nft, table) and nft.run(f"list table inet {table}") == before):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    container.remove(force=True)
