"""The logs of all containers: beginning, ending, and being removed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from loglines import line

from naru.logs import service
from naru.logs.files import LogFiles
from naru.logs.messages import Message
from naru.logs.service import Logs
from naru.logs.values import Policy

ID = "c" * 64


class Server:
    def __init__(self, error: OSError | None = None) -> None:
        self.error = error
        self.texts: list[bytes] = []

    async def send(self, messages: Sequence[Message]) -> None:
        if self.error is not None:
            raise self.error
        await asyncio.sleep(0.01)
        self.texts += [message.text for message in messages]

    def close(self) -> None: ...


def run(work: Callable[[Logs], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            logs = Logs(lambda coroutine: tasks.append(group.create_task(coroutine)) or tasks[-1])
            try:
                await work(logs)
            finally:
                logs.close()
                for task in tasks:
                    task.cancel()

    asyncio.run(asyncio.wait_for(main(), 10))


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    path = tmp_path / "id.log"
    path.write_bytes(b"".join(line(1, b"%d" % number) for number in range(1000)))
    return LogFiles(str(path))


def test_what_a_removed_container_said_last_is_shipped(files: LogFiles) -> None:
    async def work(logs: Logs) -> None:
        server = Server()
        logs.begin(ID, files, Policy(None, None, False), "/nosuch", server)
        assert logs.live(ID) is not None
        logs.end(ID)
        assert logs.live(ID) is None
        await logs.forget(ID)
        assert server.texts == [b"%d" % number for number in range(1000)]

    run(work)


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "Connection refused"), TimeoutError()])
def test_a_server_that_is_away_does_not_keep_a_container(files: LogFiles, error: OSError) -> None:
    async def work(logs: Logs) -> None:
        logs.begin(ID, files, Policy(None, None, False), "/nosuch", Server(error))
        await asyncio.wait_for(logs.forget(ID), 1)

    run(work)


def test_a_server_that_hangs_does_not_either(files: LogFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LAST_WORDS_S", 0.01)

    class Hanging(Server):
        async def send(self, messages: Sequence[Message]) -> None:
            await asyncio.Event().wait()

    async def work(logs: Logs) -> None:
        logs.begin(ID, files, Policy(None, None, False), "/nosuch", Hanging())
        await asyncio.wait_for(logs.forget(ID), 1)

    run(work)


def test_nothing_touches_the_files_of_a_removed_container(files: LogFiles) -> None:
    """Its old parts are being compressed when it is removed."""

    async def work(logs: Logs) -> None:
        for number in range(1, 6):
            Path(files.name(number)).write_bytes(os.urandom(1 << 18))
        logs.begin(ID, files, Policy(1 << 30, 10, True), "/nosuch")
        await asyncio.sleep(0.001)
        await logs.forget(ID)
        before = sorted(os.listdir(os.path.dirname(files.path)))
        await asyncio.sleep(0.02)
        assert sorted(os.listdir(os.path.dirname(files.path))) == before
        assert not [name for name in before if name.endswith(".part")]

    run(work)


def test_old_parts_are_compressed_and_thrown_away(files: LogFiles) -> None:
    async def work(logs: Logs) -> None:
        for number in range(1, 6):
            Path(files.name(number)).write_bytes(line(1, b"x"))
        logs.begin(ID, files, Policy(1 << 30, 3, True), "/nosuch")
        while not os.path.exists(files.name(5) + ".gz"):  # noqa: ASYNC110 - a thread does it
            await asyncio.sleep(0.001)
        assert [part.number for part in files.parts()] == [4, 5, 6]

    run(work)
