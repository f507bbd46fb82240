"""Children forked of a server: their report, their end, and the end of the server at any time."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

import naru
from naru.linux import forkserver
from naru.linux.forkserver import ForkServer

_SOURCE = os.path.dirname(os.path.dirname(naru.__file__))
_JOBS = """
import os, sys, time
def job(arguments, fds):
    verb, *rest = arguments
    if verb == "read":
        return os.read(fds[0], 100) + b" " + str(os.getpid()).encode() + b" " + str(os.getppid()).encode()
    if verb == "sleep":
        os.write(fds[0], str(os.getpid()).encode())
        time.sleep(60)
    if verb == "large":
        return bytes(int(rest[0]))
    raise ValueError(rest[0])
"""
ARGV = [
    sys.executable, "-I", "-c",
    f"import sys; sys.path.insert(0, {_SOURCE!r})\n{_JOBS}\nfrom naru.linux.forkserver_child import serve; serve(job, int)",
]  # fmt: skip


def in_a_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: object, **fixtures: object) -> None:
        asyncio.run(test(*args, **fixtures))

    return run


@asynccontextmanager
async def serving() -> AsyncIterator[Callable[..., Awaitable[bytes]]]:
    server = ForkServer(ARGV)
    errors = os.memfd_create("errors")
    try:
        yield lambda *arguments, fds=(): server.job(arguments, fds, errors=errors)
        errors_told = os.pread(errors, 1 << 16, 0)
        assert b"Traceback" not in errors_told, errors_told
    finally:
        os.close(errors)
        server.close()


async def read_of(job: Callable[..., Awaitable[bytes]], text: bytes) -> list[bytes]:
    read, write = os.pipe()
    os.write(write, text)
    os.close(write)
    try:
        return (await job("read", fds=(read,))).split()
    finally:
        os.close(read)


async def sleeper(job: Callable[..., Awaitable[bytes]]) -> tuple[asyncio.Task[bytes], int]:
    """A job that takes long, and its process."""
    read, write = os.pipe()
    task = asyncio.ensure_future(job("sleep", fds=(write,)))
    pid = int(await asyncio.to_thread(os.read, read, 20))
    os.close(read)
    os.close(write)
    return task, pid


def exists(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


async def until_gone(pid: int) -> None:
    for _ in range(500):
        if not exists(pid):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{pid} is still there")


@in_a_loop
async def test_a_child_for_each_job_and_one_server() -> None:
    async with serving() as job:
        answers = [
            await read_of(job, b"a"),
            await read_of(job, b"b"),
            *await asyncio.gather(read_of(job, b"c"), read_of(job, b"d")),
        ]
        assert [answer[0] for answer in answers] == [b"a", b"b", b"c", b"d"]
        assert len({answer[1] for answer in answers}) == 4
        assert len({answer[2] for answer in answers}) == 1
        for answer in answers:
            await until_gone(int(answer[1]))
    assert not exists(int(answers[0][2]))


@in_a_loop
async def test_reports_are_as_long_as_they_are() -> None:
    async with serving() as job:
        assert len(await job("large", "3000000")) == 3_000_000


@in_a_loop
async def test_the_cancelled_are_killed() -> None:
    async with serving() as job:
        task, pid = await sleeper(job)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until_gone(pid)
        early = asyncio.ensure_future(job("sleep", fds=(1,)))
        await asyncio.sleep(0)
        early.cancel()
        with pytest.raises(asyncio.CancelledError):
            await early
        assert (await read_of(job, b"x"))[0] == b"x"


@in_a_loop
async def test_a_killed_server_is_started_again() -> None:
    async with serving() as job:
        for _ in range(3):
            server = int((await read_of(job, b"x"))[2])
            os.kill(server, signal.SIGKILL)
        assert int((await read_of(job, b"x"))[2]) != server


@in_a_loop
async def test_a_killed_child_has_no_report() -> None:
    async with serving() as job:
        task, pid = await sleeper(job)
        os.kill(pid, signal.SIGKILL)
        assert await task == b""


@in_a_loop
async def test_what_a_child_raises_is_told_as_an_error() -> None:
    server = ForkServer(ARGV)
    errors = os.memfd_create("errors")
    try:
        assert await server.job(["raise", "because"], (), errors=errors) == b""
        assert b"ValueError: because" in os.pread(errors, 1 << 16, 0)
    finally:
        os.close(errors)
        server.close()


@in_a_loop
async def test_the_idle_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "IDLE_S", 0.2)
    async with serving() as job:
        begun = time.monotonic()
        *_, server = await read_of(job, b"x")
        assert exists(int(server))
        await until_gone(int(server))
        assert time.monotonic() - begun >= 0.2
        assert (await read_of(job, b"y"))[0] == b"y"


@in_a_loop
async def test_what_cannot_be_started_says_so() -> None:
    server = ForkServer(["/bin/false"])
    with pytest.raises(ChildProcessError):
        await server.job(["x"], (), errors=2)


@in_a_loop
async def test_no_descriptor_is_left() -> None:
    async with serving() as job:
        await read_of(job, b"x")
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await read_of(job, b"x")
        assert set(os.listdir("/proc/self/fd")) == before
