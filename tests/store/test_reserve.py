"""A full disk: what frees room is done in the reserve, what adds is refused, and a database that cannot be opened is not damaged."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from naru.errors import Internal
from naru.store.db import Database
from naru.store.reserve import Reserve

pytestmark = pytest.mark.root
INSERT = "INSERT INTO volume (name, record) VALUES (?, ?)"
SIZE = 3 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "tmpfs", str(tmp_path)], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def fill(disk: Path) -> None:
    with suppress(OSError), open(disk / "filler", "ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def blocks(reserve: Reserve) -> int:
    return os.stat(reserve.path).st_blocks * 512


def grown(db: Database) -> None:
    """Its journal has no room left of its own."""
    with pytest.raises(Internal, match="no space left on device"):
        for number in range(10_000):
            db.write(INSERT, f"more-{number}", "x" * 2000)


def test_it_is_taken_given_up_and_taken_back(disk: Path) -> None:
    reserve = Reserve(str(disk / "reserve"), SIZE)
    assert reserve.is_whole and blocks(reserve) == SIZE
    assert Reserve(reserve.path, SIZE).is_whole
    fill(disk)
    (disk / "heir").write_bytes(b"")
    assert reserve.give_up(str(disk / "heir"))
    assert os.stat(disk / "heir").st_blocks * 512 == SIZE // 4
    assert not reserve.is_whole and not reserve.give_up() and not reserve.take_back()
    os.unlink(disk / "filler")
    assert reserve.take_back() and blocks(reserve) == SIZE


def test_a_disk_too_small_for_one_is_no_reason_not_to_start(disk: Path) -> None:
    reserve = Reserve(str(disk / "reserve"), 9 << 20)
    assert not reserve.is_whole and not reserve.give_up()


@pytest.mark.parametrize("durable", [True, False])
def test_what_frees_is_done_and_what_adds_is_refused(disk: Path, durable: bool) -> None:
    reserve = Reserve(str(disk / "reserve"), SIZE)
    with closing(Database(str(disk / "naru.db"), reserve)) as db:
        for number in range(100):
            db.write(INSERT, str(number), "x" * 2000)
        fill(disk)
        grown(db)
        fill(disk)
        assert reserve.is_whole
        with db.transaction(
            durable=durable
        ) as execute:  # all of it, also what came before the disk turned out to be full
            for number in range(90):
                assert execute("DELETE FROM volume WHERE name = ?", str(number)) == 1
            execute("UPDATE volume SET record = 'small' WHERE name = '95'")
        assert not reserve.is_whole
        fill(disk)  # somebody else takes what was given up
        for number in range(90, 100):
            assert db.write("DELETE FROM volume WHERE name = ?", str(number), durable=durable) == 1
        with pytest.raises(Internal, match="no space left on device"):
            db.write(INSERT, "new", "")
        assert db.row("SELECT count(*) FROM volume WHERE name NOT LIKE 'more-%'") == (0,)
        os.unlink(disk / "filler")
        db.write(INSERT, "new", "")
        assert reserve.is_whole


def test_a_full_disk_is_not_damage(disk: Path) -> None:
    path = str(disk / "naru.db")
    with closing(Database(path)) as db:
        db.write(INSERT, "a", "1")
    fill(disk)
    with pytest.raises(Internal):
        Database(path)
    os.unlink(disk / "filler")
    reserve = Reserve(str(disk / "reserve"), SIZE)
    fill(disk)
    with closing(Database(path, reserve)) as db:
        assert db.damaged is None and db.row("SELECT record FROM volume") == ("1",)
