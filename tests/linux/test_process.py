"""Children: exactly the descriptors, environment and signals they are given, and their true end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

from naru.linux.process import DEVNULL, Child, keep_descriptors, run, spawn, wait_readable

SH = "/bin/sh"


def output(script: str, **more: object) -> bytes:
    return asyncio.run(run([SH, "-c", script], env={"PATH": "/usr/bin:/bin"}, **more)).stdout  # type: ignore[arg-type]


def test_output_input_and_exit_code() -> None:
    result = asyncio.run(run([SH, "-c", "cat; echo oops >&2; exit 7"], env={}, stdin=b"in"))
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"in", b"oops\n")


@pytest.mark.parametrize(("number", "code"), [(9, 137), (15, 143), (11, 139)])
def test_killed_by_a_signal(number: int, code: int) -> None:
    assert asyncio.run(run([SH, "-c", f"kill -{number} $$"], env={})).exit_code == code


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        spawn(["/no/such"], env={})
    assert caught.value.filename == "/no/such" and "exec" in str(caught.value)


def test_only_the_given_descriptors_are_inherited() -> None:
    ours = [socket.socket() for _ in range(5)]
    ours[0].set_inheritable(True)  # as a shell leaves them to those it starts
    keep_descriptors()
    try:
        assert output("ls /proc/$$/fd").split() == [b"0", b"1", b"2"]
        read, write = os.pipe()
        pid = spawn(["/bin/ls", "/proc/self/fd"], env={}, fds={1: write, 7: write})  # 3 is the folder itself
        os.close(write)
        assert asyncio.run(Child(pid).wait_exit()) == 0
        assert os.read(read, 1000).split() == [b"0", b"1", b"2", b"3", b"7"]
        os.close(read)
    finally:
        for each in ours:
            each.close()


def test_descriptors_may_change_places() -> None:
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    pid = spawn([SH, "-c", "echo one >&1; echo two >&2"], env={}, fds={1: w2, 2: w1, 0: DEVNULL})
    os.close(w1)
    os.close(w2)
    asyncio.run(Child(pid).wait_exit())
    assert (os.read(r2, 10), os.read(r1, 10)) == (b"one\n", b"two\n")
    os.close(r1)
    os.close(r2)


def test_nothing_of_our_environment_or_signals() -> None:
    os.environ["NARU_SECRET"] = "x"
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        assert output("env").splitlines() == [b"PATH=/usr/bin:/bin", b"PWD=" + os.getcwd().encode()]
        status = dict(
            line.split(b":\t") for line in output("cat /proc/self/status").splitlines() if line.startswith(b"Sig")
        )
        assert int(status[b"SigBlk"], 16) == 0
        assert int(status[b"SigIgn"], 16) & (1 << (signal.SIGPIPE - 1)) == 0
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        del os.environ["NARU_SECRET"]


def test_a_session_of_its_own() -> None:
    pid = spawn([SH, "-c", "exit 0"], env={})
    assert os.getsid(pid) == pid
    asyncio.run(Child(pid).wait_exit())


def children() -> set[str]:
    """Ours that have not been reaped: other tests may have daemons running."""
    out = set()
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as file:
            out |= set(file.read().split())
    return out


def test_a_cancelled_run_kills_and_reaps() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(
            run([SH, "-c", "echo $$ > /proc/self/fd/1; exec sleep 100"], env={"PATH": "/bin:/usr/bin"})
        )
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before, others = len(os.listdir("/proc/self/fd")), children()
    asyncio.run(main())
    assert children() == others
    assert len(os.listdir("/proc/self/fd")) == before


def test_output_over_the_limit_is_cut_and_does_not_block() -> None:
    result = asyncio.run(run([SH, "-c", "head -c 3000000 /dev/zero"], env={"PATH": "/usr/bin:/bin"}, limit_bytes=1000))
    assert (result.exit_code, len(result.stdout)) == (0, 1000)


def test_a_child_can_be_signalled_until_it_ends() -> None:
    async def main() -> None:
        child = Child(spawn([SH, "-c", "exec sleep 100"], env={"PATH": "/bin:/usr/bin"}))
        child.signal(signal.SIGKILL)
        assert await child.wait_exit() == 137

    asyncio.run(main())


def test_wait_readable_can_be_cancelled_and_used_again() -> None:
    async def main() -> None:
        read, write = os.pipe()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await wait_readable(read)
        os.write(write, b"x")
        await wait_readable(read)
        os.close(read)
        os.close(write)

    asyncio.run(main())


ORPHANS = """
import asyncio, os
from naru.linux.process import Child, adopt_orphans, spawn

async def main():
    adopt_orphans()
    child = Child(spawn(["/bin/sh", "-c", "(sleep 0.1; exit 3) & exit 7"], env={"PATH": "/usr/bin:/bin"}))
    await asyncio.sleep(0.5)  # long after both have ended: what we wait for ourselves has to be there still
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        assert file.read().split() == [str(child.pid)]
    assert await child.wait_exit() == 7

asyncio.run(main())
"""


def test_orphans_are_adopted_and_reaped_and_children_are_not() -> None:
    subprocess.run([sys.executable, "-c", ORPHANS], check=True, timeout=10)


def test_words_and_variables_arrive_as_bytes() -> None:
    out = asyncio.run(run([SH, "-c", 'printf %s "$1$X"', "sh", "é\udcff"], env={"X": "=ü\udcfe=", "Y": ""}))
    assert out.stdout == "é".encode() + b"\xff=" + "ü".encode() + b"\xfe="


@pytest.mark.parametrize(("argv", "env"), [([SH, "a\0b"], {}), ([SH], {"X": "a\0b"})])
def test_what_cannot_be_passed_is_refused(argv: list[str], env: dict[str, str]) -> None:
    with pytest.raises(OSError, match=SH):
        spawn(argv, env=env)
