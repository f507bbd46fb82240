"""Child processes: spawned by vfork, watched by pidfd, with exactly the descriptors they are given.

No `preexec_fn`, no fork of our own address space and no watcher thread (a fork of a large Python takes 25 ms, a vfork
half a millisecond). A child inherits 0, 1, 2 and what `fds` names, an empty signal mask, default
SIGPIPE, and the environment given, nothing of the daemon's.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import threading
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from naru.linux import posixspawn
from naru.linux.syscalls import PR_SET_CHILD_SUBREAPER, prctl

DEVNULL = -3
_CLEAR = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
_HIGH = 200  # sources are first moved above this, so that no dup2 overwrites the next one's source
_ORPHAN_S = 0.02  # until when those who wait for a child of ours have reaped it
_ours: set[int] = set()  # pids that we have spawned and not reaped yet
_children = threading.Lock()  # between the spawning of a child and its name in the list


@dataclass(frozen=True, slots=True)
class Result:
    exit_code: int  # 128 + n if killed by signal n
    stdout: bytes
    stderr: bytes


def keep_descriptors() -> None:
    """Give none of the descriptors that we were started with to children. Python opens its own that way; those that a shell
    or a service manager left open would otherwise live as long as the longest monitor."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # the one that the listing itself had open
                os.set_inheritable(int(name), False)


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], fds: Mapping[int, int] | None = None, new_session: bool = True
) -> int:
    """Start argv[0] (an absolute path) and return its pid. `fds` maps the child's descriptor to ours (or DEVNULL).

    Raises OSError naming the program. The caller keeps its descriptors and must wait for the child (see `Child`).
    """
    wanted = {0: DEVNULL, 1: DEVNULL, 2: DEVNULL, **(fds or {})}
    moved = {
        child: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, _HIGH) for child, ours in wanted.items() if ours != DEVNULL
    }
    given = {child: moved.get(child, "/dev/null") for child in wanted}
    try:
        with _children:
            pid = posixspawn.spawn(argv, env, given, new_session=new_session, default_signals=_CLEAR)
            _ours.add(pid)
        return pid
    except OSError as error:
        raise OSError(error.errno, f"exec: {os.strerror(error.errno or 0)}", argv[0]) from error
    finally:
        for fd in moved.values():
            os.close(fd)


def settle(future: asyncio.Future[None]) -> None:
    """Wake who waits, once: the event loop may report a descriptor again before they have run."""
    if not future.done():
        future.set_result(None)


async def wait_readable(fd: int) -> None:
    """Return when fd is readable (a pidfd is readable once its process has ended)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    loop.add_reader(fd, settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def ended_within(work: Awaitable[object], timeout_s: float | None) -> bool:
    """True if work has ended in time (None: it is waited for for ever); else it is cancelled. Raises what it raises."""
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except TimeoutError:
        return False
    return True


class Child:
    """A process that we started. Await `wait_exit` exactly once; it reaps the process and closes the pidfd."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)

    async def wait_exit(self) -> int:
        """The exit code, or 128 + n if signal n killed it."""
        try:
            await wait_readable(self.pidfd)
            status = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)  # noqa: ASYNC222 - it has ended
        finally:
            os.close(self.pidfd)
        _ours.discard(self.pid)
        assert status is not None
        return status.si_status if status.si_code == os.CLD_EXITED else 128 + status.si_status

    def signal(self, number: int) -> None:
        """Raises ProcessLookupError if it has ended."""
        signal.pidfd_send_signal(self.pidfd, number)


def kill_and_reap(pid: int) -> None:
    """End a child of ours; it is gone when this returns. Blocks for as long as the kernel needs to tear it down."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    _ours.discard(pid)


def wait(pid: int) -> int:
    """The exit code of a child of ours (128 + n if signal n killed it), for a thread that may block."""
    _, status = os.waitpid(pid, 0)
    _ours.discard(pid)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def reap(pid: int) -> None:
    """Let go of a child that has ended; of any other process, nothing."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    _ours.discard(pid)


def adopt_orphans() -> None:
    """From now on, on the running event loop: the processes that our children leave behind become ours, and are reaped.

    crun may leave a zombie in a container's pid namespace, whose end waits for it. Were it left to process 1, that would be
    when process 1 gets round to it: never, if it is some program that reaps nobody. PR_SET_CHILD_SUBREAPER of prctl(2).
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    loop = asyncio.get_running_loop()

    def soon() -> None:
        loop.call_later(_ORPHAN_S, now)

    def now() -> None:
        if not _children.acquire(blocking=False):  # a child is being spawned: the loop must not wait for that
            soon()
            return
        try:
            _reap_orphans()
        finally:
            _children.release()

    loop.add_signal_handler(signal.SIGCHLD, soon)


def _reap_orphans() -> None:
    with suppress(ChildProcessError):
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        for task in os.listdir("/proc/self/task"):
            with suppress(FileNotFoundError), open(f"/proc/self/task/{task}/children") as file:
                for pid in map(int, file.read().split()):
                    if pid not in _ours:
                        os.waitpid(pid, os.WNOHANG)


def _drain(fd: int, limit_bytes: int) -> bytes:
    """All that is left in a pipe or memfd, up to limit_bytes."""
    out = bytearray()
    while len(out) < limit_bytes and (piece := os.read(fd, 65536)):
        out += piece
    return bytes(out[:limit_bytes])


async def run(argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes = b"", limit_bytes: int = 1 << 20) -> Result:
    """Run a short program to its end; its output goes through memory files, so it can never block on us.

    A cancelled run kills the program.
    """
    files = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr")]
    try:
        os.write(files[0], stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        child = Child(spawn(argv, env=env, fds=dict(enumerate(files))))
        try:
            code = await child.wait_exit()
        except asyncio.CancelledError:
            kill_and_reap(child.pid)
            raise
        for fd in files[1:]:
            os.lseek(fd, 0, os.SEEK_SET)
        return Result(code, _drain(files[1], limit_bytes), _drain(files[2], limit_bytes))
    finally:
        for fd in files:
            os.close(fd)
