"""conmon's attach socket, in the hands of somebody who lets others wait."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator

import pytest

from naru.containers import streams
from naru.containers.streams import ConmonStdio


@pytest.fixture
def bundle() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="naru-") as folder:
        yield folder


def crowded(bundle: str) -> tuple[socket.socket, list[socket.socket]]:
    """A monitor with as many before its door as may wait there."""
    monitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monitor.bind(os.path.join(bundle, "attach"))
    monitor.listen(1)
    waiting = []
    while True:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.setblocking(False)
        try:
            one.connect(os.path.join(bundle, "attach"))
        except BlockingIOError:
            one.close()
            return monitor, waiting
        waiting.append(one)


def test_who_comes_late_waits_for_his_turn(bundle: str) -> None:
    monitor, waiting = crowded(bundle)

    async def main() -> tuple[int, bytes] | None:
        connecting = asyncio.ensure_future(ConmonStdio.connect(bundle))
        await asyncio.sleep(0.1)
        assert not connecting.done()
        let_in = [monitor.accept()[0] for _ in waiting]
        stdio = await connecting
        ours = monitor.accept()[0]
        ours.send(b"\x02hello")
        try:
            return await stdio.read()
        finally:
            stdio.close()
            for one in (ours, *let_in):
                one.close()

    try:
        assert asyncio.run(main()) == (1, b"hello")
    finally:
        for one in (monitor, *waiting):
            one.close()


def test_nobody_waits_for_ever(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_TURN_S", 1)
    monitor, waiting = crowded(bundle)
    try:
        with pytest.raises(TimeoutError):
            asyncio.run(ConmonStdio.connect(bundle))
    finally:
        for one in (monitor, *waiting):
            one.close()
