"""The database: all or nothing, damaged files put aside, newer schemas refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from naru.errors import Internal, Unsupported
from naru.store.db import SCHEMA_VERSION, Database

INSERT = "INSERT INTO volume (name, record) VALUES (?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "naru.db")


@pytest.fixture
def db(path: str) -> Iterator[Database]:
    with closing(Database(path)) as made:
        yield made


def names(db: Database) -> list[str]:
    return [name for (name,) in db.rows("SELECT name FROM volume ORDER BY name")]


def test_write_and_read(db: Database) -> None:
    assert db.write(INSERT, "a", "1") == 1
    assert db.write(INSERT, "b", "2", durable=True) == 1
    assert db.row("SELECT record FROM volume WHERE name = ?", "b") == ("2",)
    assert db.row("SELECT record FROM volume WHERE name = ?", "c") is None
    assert db.write("UPDATE volume SET record = 'x'") == 2


@pytest.mark.parametrize("durable", [True, False])
def test_a_transaction_is_all_or_nothing(db: Database, durable: bool) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction(durable=durable) as execute:
        execute(INSERT, "a", "1")
        raise ZeroDivisionError
    with pytest.raises(sqlite3.IntegrityError), db.transaction(durable=durable) as execute:
        execute(INSERT, "b", "1")
        execute(INSERT, "b", "1")
    assert names(db) == []
    with db.transaction(durable=durable) as execute:
        assert execute(INSERT, "c", "1") == 1
    assert names(db) == ["c"]


def test_foreign_keys_are_kept(db: Database) -> None:
    db.write("INSERT INTO lease VALUES ('l', 0)")
    db.write("INSERT INTO lease_blob VALUES ('l', 'd')")
    with pytest.raises(sqlite3.IntegrityError):
        db.write("INSERT INTO lease_blob VALUES ('nosuch', 'd')")
    db.write("DELETE FROM lease")
    assert db.rows("SELECT * FROM lease_blob") == []


def test_threads(db: Database) -> None:
    def work(number: int) -> None:
        for step in range(50):
            with db.transaction() as execute:
                execute(INSERT, f"{number}-{step}", "")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(db)) == 400


def test_what_was_written_survives_a_kill(path: str) -> None:
    code = f"""if True:
        import os, signal
        from naru.store.db import Database
        db = Database({path!r})
        for n in range(100): db.write("INSERT INTO volume (name, record) VALUES (?, '')", str(n))
        with db.transaction() as execute:
            execute("INSERT INTO volume (name, record) VALUES ('half', '')")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -9
    with closing(Database(path)) as db:
        assert len(names(db)) == 100 and db.damaged is None


@pytest.mark.parametrize(
    "damage", [b"this is no database " * 500, b"\0" * 10_000, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_damaged_database_is_put_aside_and_a_new_one_begun(path: str, damage: bytes) -> None:
    for number in (1, 2):
        Path(path).write_bytes(damage)
        for suffix in ("-wal", "-shm"):
            Path(path + suffix).write_bytes(b"old")
        with closing(Database(path)) as db:
            assert db.damaged == f"{path}.damaged-{number}"
            assert Path(db.damaged).read_bytes() == damage
            db.write(INSERT, "a", "1")
        with closing(Database(path)) as db:
            assert names(db) == ["a"] and db.damaged is None


def test_a_database_cut_in_half(path: str) -> None:
    with closing(Database(path)) as db:
        for number in range(500):
            db.write(INSERT, str(number), "x" * 500)
    os.truncate(path, os.path.getsize(path) // 2)
    with closing(Database(path)) as db:
        assert db.damaged is not None and names(db) == []


def test_a_newer_schema_is_refused_and_left_alone(path: str) -> None:
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(Unsupported, match="newer than this naru's"):
        Database(path)
    assert os.listdir(os.path.dirname(path)) == ["naru.db"]


def test_opening_again_keeps_everything(path: str) -> None:
    with closing(Database(path)) as db:
        db.write(INSERT, "a", "1")
    with closing(Database(path)) as db:
        assert names(db) == ["a"]
        assert db.row("PRAGMA user_version") == (SCHEMA_VERSION,)
        assert db.row("PRAGMA journal_mode") == ("wal",)


def test_one_sync_does_for_all_who_wait(tmp_path: Path) -> None:
    async def story() -> int:
        db = Database(str(tmp_path / "naru.db"))
        begun = 0
        sync = db._sync_log

        def counted() -> None:
            nonlocal begun
            begun += 1
            time.sleep(0.02)
            sync()

        db._sync_log = counted  # type: ignore[method-assign]
        waiting = []
        for number in range(20):
            db.write("INSERT INTO meta VALUES (?, 'x')", str(number))
            waiting.append(asyncio.ensure_future(db.wait_durable()))
            await asyncio.sleep(0.001)
        await asyncio.gather(*waiting)
        db.close()
        return begun

    assert 2 <= asyncio.run(story()) < 15


def test_a_sync_that_fails_is_told_to_all_and_the_next_one_is_a_new_one(tmp_path: Path) -> None:
    async def story() -> None:
        db = Database(str(tmp_path / "naru.db"))
        db.write("INSERT INTO meta VALUES ('a', 'x')")
        os.rename(f"{db.path}-wal", f"{db.path}-away")
        for failure in await asyncio.gather(db.wait_durable(), db.wait_durable(), return_exceptions=True):
            assert isinstance(failure, Internal) and "No such file" in str(failure)
        os.rename(f"{db.path}-away", f"{db.path}-wal")
        await db.wait_durable()
        db.close()

    asyncio.run(story())
