"""A log on its way to its destination: servers that are away, daemons that die, runs that end and begin again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from loglines import line

from naru.linux.inotify import IN_MOVED_TO, Notifier
from naru.logs import shipping
from naru.logs.files import LogFiles, pack
from naru.logs.live import Live
from naru.logs.messages import Message
from naru.logs.shipping import Shipper, is_behind
from naru.logs.values import Policy


class Server:
    """Takes messages, while it is there."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.refuse = 0
        self.asked = asyncio.Event()
        self.closed = False

    async def send(self, messages: Sequence[Message]) -> None:
        if self.refuse:
            self.refuse -= 1
            self.asked.set()
            raise ConnectionRefusedError(111, "Connection refused")
        self.messages += [message.text for message in messages]
        self.asked.set()

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(shipping, "_NOTE_S", 0.005)


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    return LogFiles(str(tmp_path / "id.log"))


def write(files: LogFiles, data: bytes) -> None:
    with open(files.path, "ab") as file:
        file.write(data)


def ship(files: LogFiles) -> list[bytes]:
    """What a daemon ships of a run that has ended."""

    async def main() -> list[bytes]:
        server = Server()
        await Shipper("c" * 64, files, server).run()
        assert server.closed
        return server.messages

    return asyncio.run(asyncio.wait_for(main(), 10))


def test_each_line_is_shipped_once_over_parts_and_runs(files: LogFiles) -> None:
    assert ship(files) == [] and not is_behind(files)
    write(files, line(1, b"a") + line(2, b"b"))
    assert is_behind(files)
    assert ship(files) == [b"a", b"b"] and not is_behind(files)
    write(files, line(3, b"c"))
    assert is_behind(files) and ship(files) == [b"c"] and ship(files) == []
    write(files, line(4, b"d"))
    Path(files.path).rename(files.name(1))
    write(files, line(5, b"e"))  # the next part
    pack(files.name(1))
    assert ship(files) == [b"d", b"e"] and not is_behind(files)


def test_a_note_that_is_damaged_means_from_the_beginning(files: LogFiles) -> None:
    write(files, line(1, b"a"))
    ship(files)
    for damage in ("", "[]", "{}", '{"part": 1, "position": 0, "lines": {"1": 5}}', "\0"):
        Path(f"{files.path}.shipped").write_text(damage)
        assert ship(files) == [b"a"]


def test_a_live_log_is_shipped_as_it_grows_and_noted(files: LogFiles) -> None:
    async def main() -> None:
        write(files, line(1, b"a"))
        notifier, server = Notifier(pause_s=0.001), Server()
        live = Live(files, Policy(None, None, False), "/nosuch", notifier, lambda: None)
        live.begin()
        shipper = Shipper("c" * 64, files, server)
        shipper.live = live
        task = asyncio.ensure_future(shipper.run())
        await server.asked.wait()
        write(files, line(2, b"half", tag="P"))
        changed = asyncio.Event()
        watch = notifier.add(str(Path(files.path).parent), IN_MOVED_TO, changed.set)
        while not is_noted(files, 1):
            changed.clear()
            await changed.wait()
        notifier.remove(watch)
        task.cancel()  # the daemon dies; the next one goes on
        await asyncio.wait((task,))
        again = Server()
        shipper = Shipper("c" * 64, files, again)
        shipper.live = live
        task = asyncio.ensure_future(shipper.run())
        write(files, line(3, b" and half") + line(4, b"tail", tag="P"))
        await again.asked.wait()
        live.end()
        await task
        notifier.close()
        assert server.messages == [b"a"] and again.messages == [b"half and half", b"tail"]

    asyncio.run(asyncio.wait_for(main(), 10))


def is_noted(files: LogFiles, lines: int) -> bool:
    try:
        return len(json.loads(Path(f"{files.path}.shipped").read_text())["lines"]) == lines
    except FileNotFoundError:
        return False


def test_a_server_that_is_away_is_told_of_once_and_misses_nothing(
    files: LogFiles, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        write(files, b"".join(line(1, b"%d" % number) for number in range(1000)))
        server = Server()
        server.refuse = 4
        with caplog.at_level("INFO"):
            await Shipper("c" * 64, files, server).run()
        assert server.messages == [b"%d" % number for number in range(1000)]

    asyncio.run(asyncio.wait_for(main(), 10))
    assert [record.message.partition(": ")[2] for record in caplog.records if record.name == "naru.logs.shipping"] == [
        "its log server cannot be reached, and is tried again: [Errno 111] Connection refused", "its log server is there again",
    ]  # fmt: skip


def test_a_run_that_begins_while_the_last_one_is_being_shipped(files: LogFiles) -> None:
    async def main() -> None:
        write(files, line(1, b"a"))
        notifier, server = Notifier(pause_s=0.001), Server()
        policy = Policy(None, None, False)
        first, second = (Live(files, policy, "/nosuch", notifier, lambda: None) for _ in range(2))
        first.begin()
        server.refuse = 3
        shipper = Shipper("c" * 64, files, server)
        shipper.live = first
        task = asyncio.ensure_future(shipper.run())
        await server.asked.wait()
        first.end()
        second.begin()
        shipper.live = second
        write(files, line(2, b"b"))
        while server.messages != [b"a", b"b"]:
            server.asked.clear()
            await server.asked.wait()
        second.end()
        await task
        notifier.close()

    asyncio.run(asyncio.wait_for(main(), 10))
