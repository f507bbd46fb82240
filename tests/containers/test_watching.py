"""The end of a run is told once: by its exit code, or by the end of a monitor that left none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from naru.containers.watching import Files, Watch
from naru.linux.identity import Process
from naru.linux.process import spawn


def run(body: Callable[[Files], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def main() -> None:
        with closing(Files(str(folder))) as files:
            await body(files)

    asyncio.run(asyncio.wait_for(main(), 10))


def leave(folder: Path, name: str) -> None:
    """As conmon does: written aside, then moved."""
    (folder / f".{name}").write_text("0")
    (folder / f".{name}").rename(folder / name)


def monitor() -> Process:
    found = Process.of(spawn(["/bin/sleep", "60"], env={}))
    assert found is not None
    return found


def test_the_exit_code_tells_before_the_monitor_has_ended(tmp_path: Path) -> None:
    async def body(files: Files) -> None:
        told: list[str] = []
        watch = Watch(files, "one", lambda: told.append("end"))
        process = monitor()
        watch.begin(process, os.getpid())
        assert not await watch.wait_end_within(0.01)
        leave(tmp_path, "other")
        leave(tmp_path, "one")
        assert await watch.wait_end_within(5)
        assert told == ["end"] and process.is_alive
        process.kill()
        await watch.wait_gone()
        assert told == ["end"]
        assert not os.path.exists(f"/proc/{process.pid}")  # reaped

    run(body, tmp_path)


def test_a_killed_monitor_tells_too(tmp_path: Path) -> None:
    async def body(files: Files) -> None:
        told: list[str] = []
        watch = Watch(files, "one", lambda: told.append("end"))
        process = monitor()
        watch.begin(process, os.getpid())
        process.kill()
        assert await watch.wait_end_within(5)
        leave(tmp_path, "one")
        await watch.wait_gone()
        assert told == ["end"]

    run(body, tmp_path)


def test_a_run_that_has_ended_before_it_is_watched(tmp_path: Path) -> None:
    async def body(files: Files) -> None:
        leave(tmp_path, "one")
        for number in range(2):  # with a monitor that still lives, and with one that does not
            told: list[str] = []
            watch = Watch(files, "one", lambda told=told: told.append("end"))  # type: ignore[misc]
            process = monitor()
            if number:
                process.kill()
                await process.wait_end()
            watch.begin(process, os.getpid())
            assert await watch.wait_end_within(5)
            process.kill()
            await watch.wait_gone()
            assert told == ["end"]

    run(body, tmp_path)


def test_files_are_told_once_to_who_expects_them(tmp_path: Path) -> None:
    async def body(files: Files) -> None:
        told: list[str] = []
        seen = asyncio.Event()
        files.expect("a", lambda: (told.append("a"), seen.set())[1])
        files.expect("b", lambda: told.append("b"))
        files.forget("b")
        (tmp_path / "b").write_text("")
        (tmp_path / "a").write_text("1")
        (tmp_path / "a").write_text("2")
        await seen.wait()
        assert told == ["a"]

    run(body, tmp_path)


def test_the_exit_code_of_an_earlier_run_ends_no_later_one(tmp_path: Path) -> None:
    """A monitor that a dead daemon's start had left wrote it before anybody looked; it was cleared, but the kernel tells it yet."""

    async def body(files: Files) -> None:
        told: list[str] = []
        leave(tmp_path, "one")
        (tmp_path / "one").unlink()
        watch = Watch(files, "one", lambda: told.append("end"))
        process = monitor()
        watch.begin(process, os.getpid())
        assert not await watch.wait_end_within(0.05) and told == []
        leave(tmp_path, "one")
        assert await watch.wait_end_within(5)
        process.kill()
        await watch.wait_gone()

    run(body, tmp_path)
