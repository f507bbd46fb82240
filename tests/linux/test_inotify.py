"""To be told when a file grows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from naru.linux.inotify import IN_ATTRIB, IN_MODIFY, Arrivals, Notifier


def test_a_folder_tells_the_names_of_what_is_written_or_moved_there(tmp_path: Path) -> None:
    watched, elsewhere = tmp_path / "watched", tmp_path / "elsewhere"
    watched.mkdir()
    elsewhere.touch()
    arrivals = Arrivals(str(watched))
    try:
        assert arrivals.names() == []
        (watched / "written").write_text("x")
        elsewhere.rename(watched / "moved")
        (watched / "folder").mkdir()
        assert arrivals.names() == ["written", "moved"]
        assert arrivals.names() == []
    finally:
        arrivals.close()


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError) as caught:
        Arrivals(str(tmp_path / "nosuch"))
    assert "inotify_add_watch" in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_instance_for_many_files(tmp_path: Path) -> None:
    async def main() -> None:
        notifier, seen = Notifier(pause_s=0.005), asyncio.Queue[str]()
        try:
            paths = [tmp_path / name for name in ("a", "b")]
            for path in paths:
                path.touch()
                notifier.add(str(path), IN_MODIFY, lambda name=path.name: seen.put_nowait(name))
            with paths[0].open("ab", buffering=0) as a, paths[1].open("ab", buffering=0) as b:
                a.write(b"x")
                assert await seen.get() == "a"
                for _ in range(50):  # a storm: told together
                    a.write(b"x")
                    b.write(b"x")
                assert {await seen.get(), await seen.get()} == {"a", "b"}
                await asyncio.sleep(0.02)
                assert seen.empty()
        finally:
            notifier.close()

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_file_that_is_replaced_tells_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        notifier, told = Notifier(), asyncio.Event()
        try:
            (tmp_path / "a").touch()
            (tmp_path / "name").hardlink_to(tmp_path / "a")
            watch = notifier.add(str(tmp_path / "name"), IN_ATTRIB, told.set)
            (tmp_path / "new").touch()
            (tmp_path / "new").rename(tmp_path / "a")
            await told.wait()
            notifier.remove(watch)
            notifier.remove(watch)
        finally:
            notifier.close()

    asyncio.run(asyncio.wait_for(main(), 5))
