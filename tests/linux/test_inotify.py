"""To be told when a file grows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from naru.linux.inotify import Arrivals, Watch


def test_changes_are_told_once_each(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()

    async def main() -> None:
        with Watch(str(path)) as watch, path.open("ab", buffering=0) as file:
            file.write(b"a")  # before anybody waits
            await watch.wait_change()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await watch.wait_change()
            waiting = asyncio.ensure_future(watch.wait_change())
            await asyncio.sleep(0)
            file.write(b"b")
            await waiting

    asyncio.run(asyncio.wait_for(main(), 5))


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
    for kind in (Watch, Arrivals):
        with pytest.raises(FileNotFoundError) as caught:
            kind(str(tmp_path / "nosuch"))
        assert "inotify_add_watch" in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) == before
