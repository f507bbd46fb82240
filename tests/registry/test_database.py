from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from naru.errors import Conflict, Internal, InvalidArgument, Unavailable
from naru.registry import records
from naru.registry.database import Connection, Database, open_database
from naru.registry.migrate import migrate


def names(c: Connection) -> list[str]:
    return [name for (name,) in c.rows("SELECT name FROM repository ORDER BY name")]


async def test_a_function_that_raises_leaves_nothing_and_disturbs_nobody(database: Database) -> None:
    def half(c: Connection) -> None:
        records.ensure_repository(c, "half", 0)
        raise Conflict("no")

    async def whole(number: int) -> int:
        return await database.write(records.ensure_repository, f"whole{number}", 0)

    outcomes = await asyncio.gather(
        *(database.write(half) if number % 3 == 0 else whole(number) for number in range(30)), return_exceptions=True
    )
    assert [isinstance(one, Conflict) for one in outcomes] == [number % 3 == 0 for number in range(30)]
    assert await database.read(names) == sorted(f"whole{number}" for number in range(30) if number % 3)


async def test_what_was_written_is_read_at_once(database: Database) -> None:
    for number in range(20):
        await database.write(records.ensure_repository, f"r{number:02}", 0)
        assert len(await database.read(names)) == number + 1 == len(await database.scan(names))


async def test_writers_are_as_if_alone(database: Database) -> None:
    """Read, decide, write: nobody else's decision comes in between (write skew, which snapshots alone would allow)."""

    def add_one(c: Connection) -> None:
        (count,) = c.rows("SELECT count(*) FROM repository")[0]
        if count < 5:
            c.run("INSERT INTO repository (name, created_at) VALUES (?, 0)", f"n{count}")

    await asyncio.gather(*(database.write(add_one) for _ in range(20)))
    assert await database.read(names) == [f"n{number}" for number in range(5)]


async def test_a_constraint_is_a_conflict(database: Database) -> None:
    def twice(c: Connection) -> None:
        for _ in range(2):
            c.run("INSERT INTO repository (name, created_at) VALUES ('same', 0)")

    with pytest.raises(Conflict):
        await database.write(twice)
    assert await database.read(names) == []


async def test_a_mistake_in_sql_is_an_error_of_the_database(database: Database) -> None:
    with pytest.raises((Unavailable, sqlite3.Error)):
        await database.write(lambda c: c.run("INSERT INTO nowhere VALUES (1)"))
    await database.write(records.ensure_repository, "after", 0)
    assert await database.read(names) == ["after"]


async def test_byte_order_and_percent_signs(database: Database) -> None:
    for name in ("b-a", "b/a", "b_a", "ba", "Z"):
        await database.write(records.ensure_repository, name, 0)
    assert await database.read(names) == sorted(("b-a", "b/a", "b_a", "ba", "Z"))
    found = await database.read(
        lambda c: c.rows("SELECT name FROM repository WHERE name LIKE 'b%' AND name LIKE ?", "%/%")
    )
    assert found == [("b/a",)]


async def test_migrating_again_changes_nothing_and_a_newer_one_is_refused(database: Database) -> None:
    await migrate(database, "naru.registry", "registry_version")
    await database.write(lambda c: c.run("UPDATE registry_version SET version_num = '9999'"))
    with pytest.raises(Internal, match="newer"):
        await migrate(database, "naru.registry", "registry_version")


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is not a database, it is a text of some length. " * 100)
    with pytest.raises(Internal, match="not a database"):
        open_database(str(tmp_path / "text"))
    with pytest.raises(InvalidArgument):
        open_database("mysql://somewhere/naru")


async def test_a_cancelled_writer_has_written(database: Database) -> None:
    writing = asyncio.create_task(database.write(records.ensure_repository, "cancelled", 0))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await database.read(names) == ["cancelled"]
