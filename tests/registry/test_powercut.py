"""A power cut while many push: bench/powercut.py in short, and that the disk it is done with loses what it should and nothing else."""

from __future__ import annotations

import mmap
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lossydisk
import pytest

from naru.linux.mounts import in_private_namespace

BENCH = Path(__file__).parents[2] / "bench/powercut.py"
DATA = bytes(range(256)) * 400

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(lossydisk.obstacle()), reason=lossydisk.obstacle() or "can be done"),
]


def cut(*arguments: str) -> tuple[int, dict[str, int], str]:
    """Its exit code, its figures, and all that it said."""
    command = [sys.executable, str(BENCH), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    figures = {name: int(count) for count, name in re.findall(r"^ *(\d+) (.+)$", done.stdout, re.MULTILINE)}
    return done.returncode, figures, done.stdout + done.stderr


def test_what_was_acknowledged_is_there_after_a_power_cut() -> None:
    code, figures, said = cut("5", "1", "--seconds", "2.5")
    assert (code, figures.get("lost"), figures.get("broken")) == (0, 0, 0), said
    assert figures["flushes"] > 100 and figures["acknowledged"] > 100 and figures["checked"] > 100, said


@pytest.mark.parametrize("fault", ["blobs", "rows"])
def test_a_registry_that_does_not_sync_is_found_out(fault: str) -> None:
    code, figures, said = cut("2", "1", "--seconds", "1", "--without", fault)
    assert (code, figures.get("lost", 0) + figures.get("broken", 0) > 0) == (1, True), said


def write(path: Path, *, synced: bool) -> None:
    with open(path, "wb") as file:
        file.write(DATA)
        file.flush()
        if synced:
            os.fsync(file.fileno())


def after(record: lossydisk.Record, folder: Path, position: int, seed: int = 0) -> dict[str, bytes]:
    """The files after a cut there; the file system is sound."""
    image, tree = folder / "image", folder / "after"
    tree.mkdir(exist_ok=True)
    cuts = lossydisk.Cuts(record, folder / "flushed")
    try:
        cuts.cut(position, random.Random(seed), image)
    finally:
        cuts.close()
    with lossydisk.mounted(image, tree):
        found = {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file()}
    assert lossydisk.fault(image) == ""
    return found


def on_disk(folder: Path, work: Callable[[lossydisk.Record, Path], None]) -> None:
    def inside() -> None:
        with lossydisk.recording(folder, 64 << 20) as (record, tree):
            work(record, tree)

    in_private_namespace(inside)


def test_the_disk_loses_what_was_not_synced(tmp_path: Path) -> None:
    def work(record: lossydisk.Record, tree: Path) -> None:
        before = record.position()
        write(tree / "first", synced=False)
        write(tree / "second", synced=True)
        synced = record.position()
        write(tree / "third", synced=False)
        for position in (before, synced):
            files = after(record, tmp_path, position)
            assert (files.get("second") == DATA) is (position == synced)
            assert files.get("first", b"") == files.get("third", b"") == b""
        os.sync()
        assert after(record, tmp_path, record.position()) == dict.fromkeys(("first", "second", "third"), DATA)

    on_disk(tmp_path, work)


def test_of_what_was_not_flushed_any_part_may_be_there(tmp_path: Path) -> None:
    """A cut in the middle of a sync: sectors of the new content, sectors of the old."""

    def work(record: lossydisk.Record, tree: Path) -> None:
        write(tree / "file", synced=True)
        fd = os.open(tree / "file", os.O_WRONLY | os.O_DIRECT)
        try:  # past the page cache, onto the disk, and no flush
            with mmap.mmap(-1, 65536) as new:
                new.write(b"n" * 65536)
                os.write(fd, new)
        finally:
            os.close(fd)
        position = record.position()
        kept = {after(record, tmp_path, position, seed)["file"] for seed in range(12)}
        new_sectors = [sum(one[at : at + 512] == b"n" * 512 for at in range(0, 65536, 512)) for one in kept]
        assert {0, 128} < set(new_sectors)
        assert all(one[at : at + 512] in (b"n" * 512, DATA[at : at + 512]) for one in kept for at in range(0, 65536, 512))  # fmt: skip
        assert {one[65536:] for one in kept} == {DATA[65536:]}

    on_disk(tmp_path, work)
