"""A process is who it was only with its start time."""

from __future__ import annotations

import asyncio
import os
import subprocess

from naru.linux.identity import Process


def test_identity_ends_with_the_process() -> None:
    child = subprocess.Popen(["sleep", "60"])
    process = Process.of(child.pid)
    assert process is not None and process.is_alive
    assert not asyncio.run(process.wait_end_within(0.01))
    process.kill()
    assert asyncio.run(process.wait_end_within(5))  # a zombie has ended
    assert Process.of(child.pid) is None
    child.wait()
    process.kill()  # no error
    asyncio.run(process.wait_end())


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    child = subprocess.Popen(["sleep", "60"])
    real = Process.of(child.pid)
    assert real is not None
    impostor = Process(real.pid, real.start + 1)
    assert not impostor.is_alive
    impostor.kill()
    asyncio.run(impostor.wait_end())
    assert child.poll() is None
    real.kill()
    child.wait()


def test_ourselves() -> None:
    assert Process.of(os.getpid()) == Process.of(os.getpid())
    assert Process.of(2**22 + 1) is None
