"""Logs that are being written: followed, and rotated with what stands in for conmon's half of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from loglines import line

from naru.linux.inotify import Notifier
from naru.logs.cri import Window
from naru.logs.files import LogFiles
from naru.logs.live import Live, ask_to_reopen, tidy
from naru.logs.reading import read
from naru.logs.values import Policy

NO_BOUND = Policy(None, None, False)


class Conmon:
    """Writes a log as conmon does, and reopens it when it is told to by its fifo."""

    def __init__(self, folder: Path) -> None:
        self.path, self.control = folder / "id.log", folder / "ctl"
        os.mkfifo(self.control)
        self._fifo = os.open(self.control, os.O_RDWR | os.O_NONBLOCK)
        self._log = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, data: bytes) -> None:
        os.write(self._log, data)

    def obey(self) -> bool:
        try:
            told = os.read(self._fifo, 100)
        except BlockingIOError:
            return False
        assert told == b"2 0 0\n"
        self.reopen()
        return True

    def reopen(self) -> None:
        os.close(self._log)
        self._log = os.open(f"{self.path}.tmp", os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
        os.rename(f"{self.path}.tmp", self.path)

    def close(self) -> None:
        os.close(self._log)
        os.close(self._fifo)


async def kept_in(path: Path) -> bytes:
    return b"".join(
        [text async for batch in read(LogFiles(str(path)), Window()) for _, texts in batch for text in texts]
    )


def run(folder: Path, policy: Policy, work: Callable[[Conmon, Live], Awaitable[None]]) -> None:
    async def main() -> None:
        conmon, notifier = Conmon(folder), Notifier(pause_s=0.001)
        files = LogFiles(str(conmon.path))
        live = Live(files, policy, str(conmon.control), notifier, lambda: tidy(files, policy))
        live.begin()
        try:
            await work(conmon, live)
        finally:
            live.end()
            notifier.close()
            conmon.close()

    asyncio.run(asyncio.wait_for(main(), 10))


async def wait_change(live: Live) -> None:
    await live.wait_change(live.changes)


def test_following(tmp_path: Path) -> None:
    async def work(conmon: Conmon, live: Live) -> None:
        conmon.write(line(1, b"old") + line(2, b"half a line")[:40])
        seen = b""
        async for batch in read(live.files, Window(), live):
            seen += b"".join(text for _, texts in batch for text in texts)
            if seen == b"old\n":
                conmon.write(line(2, b"half a line")[40:])
            elif seen == b"old\nhalf a line\n":
                conmon.write(line(3, b"last"))
                live.end()  # what was written before the end is still read
        assert seen == b"old\nhalf a line\nlast\n"

    run(tmp_path, NO_BOUND, work)


def test_following_stops_at_until(tmp_path: Path) -> None:
    async def work(conmon: Conmon, live: Live) -> None:
        conmon.write(line(1, b"a") + line(9, b"b"))
        window = Window(until="2026-11-25T16:45:05.000000000Z")
        seen = [text async for batch in read(live.files, window, live) for _, texts in batch for text in texts]
        assert seen == [b"a\n"]

    run(tmp_path, NO_BOUND, work)


def test_reading_without_following_ends_where_the_log_ended(tmp_path: Path) -> None:
    async def work(conmon: Conmon, live: Live) -> None:
        conmon.write(line(1, b"a"))
        seen = b""
        async for batch in read(live.files, Window()):
            seen += b"".join(text for _, texts in batch for text in texts)
            conmon.write(line(2, b"more"))
        assert seen == b"a\n"

    run(tmp_path, NO_BOUND, work)


@pytest.mark.parametrize("compress", [False, True])
def test_rotation_keeps_its_bounds_and_loses_nothing_for_those_who_follow(tmp_path: Path, compress: bool) -> None:
    async def work(conmon: Conmon, live: Live) -> None:
        seen = bytearray()

        async def follow() -> None:
            async for batch in read(live.files, Window(), live):
                for _, texts in batch:
                    seen.extend(b"".join(texts))

        following = asyncio.ensure_future(follow())
        for number in range(60):
            conmon.write(line(number, b"%d" % number + b"x" * 100))
            await wait_change(live)
            if conmon.obey():
                await wait_change(live)
        live.end()
        await following
        expected = b"".join(b"%d" % number + b"x" * 100 + b"\n" for number in range(60))
        assert bytes(seen) == expected
        kept = await kept_in(conmon.path)
        assert expected.endswith(kept) and 400 < len(kept) < 2000
        names = sorted(name for name in os.listdir(tmp_path) if name.startswith("id.log."))
        assert len(names) == 4 and len([name for name in names if name.endswith(".gz")]) == (2 if compress else 0)

    run(tmp_path, Policy(500, 3, compress), work)


def test_conmon_is_asked_once(tmp_path: Path) -> None:
    conmon = Conmon(tmp_path)
    try:
        assert ask_to_reopen(str(conmon.control)) and ask_to_reopen(str(conmon.control))
        assert conmon.obey() and not conmon.obey()
    finally:
        conmon.close()
    assert not ask_to_reopen(str(conmon.control))  # it has ended
    assert not ask_to_reopen(str(tmp_path / "nosuch"))


@pytest.mark.parametrize(
    "died", ["before it was asked", "before it obeyed", "before the new file had its name", "twice"]
)
def test_a_daemon_that_dies_in_the_middle_loses_nothing(tmp_path: Path, died: str) -> None:
    """The next daemon's `begin` finds what the last one left at that step."""
    big = line(1, b"x" * 600)

    async def first(conmon: Conmon, live: Live) -> None:
        live.end()
        conmon.write(big)
        if died != "before it was asked":
            assert ask_to_reopen(str(conmon.control))
        if died in ("before the new file had its name", "twice"):
            assert conmon.obey()
            conmon.write(line(2, b"new"))
        again, notifier = LogFiles(str(conmon.path)), Notifier(pause_s=0.001)
        policy = Policy(500, 3, True)
        second = Live(again, policy, str(conmon.control), notifier, lambda: tidy(again, policy))
        second.begin()
        if died.startswith("before it"):
            assert conmon.obey() and not conmon.obey()
            await wait_change(second)
            conmon.write(line(2, b"new"))
        if died == "twice":  # on its own accord, at --log-size-max
            conmon.reopen()
            await wait_change(second)
            conmon.write(line(3, b"newer"))
        second.end()
        notifier.close()
        assert await kept_in(conmon.path) == b"x" * 600 + b"\nnew\n" + (b"newer\n" if died == "twice" else b"")

    run(tmp_path, NO_BOUND, first)


def test_a_disk_without_room_is_told_of_once_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device", str(args[0]))

    async def work(conmon: Conmon, live: Live) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", full)
            for number in range(3):
                conmon.write(line(number, b"x"))
                conmon.reopen()
                await wait_change(live)
                conmon.write(line(number, b"y"))
        conmon.write(line(4, b"z"))
        conmon.reopen()
        await asyncio.sleep(0.01)
        live.end()
        assert await kept_in(conmon.path)

    run(tmp_path, NO_BOUND, work)
    assert [record.message for record in caplog.records if "cannot be rotated" in record.message] == [
        f"{tmp_path}/id.log: its log cannot be rotated: No space left on device"
    ]
