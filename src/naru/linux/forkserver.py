"""Short-lived Python children without a Python's start (20 ms): forked of a small process that has loaded what they need.

That process, the server, is started at the first job, and ends when there has been none for IDLE_S, or with us. It sees of a
job what is in `job`'s arguments, one message (SOCK_SEQPACKET) for each; what it does there is `forkserver_child.serve`.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from naru.linux.process import kill_and_reap, spawn, wait_readable

IDLE_S = 30.0
_PIECE = 1 << 16


class ForkServer:
    """For the event loop's thread. `argv` is a Python that calls `serve`, with our socket as its descriptor 0."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._pid = 0
        self._control: socket.socket | None = None
        self._jobs = 0
        self._rest: asyncio.TimerHandle | None = None

    async def job(self, arguments: Sequence[str], fds: Sequence[int], *, errors: int) -> bytes:
        """What a child has reported, which has ended when this returns or raises; cancelled, it is killed.

        It is given the arguments (no NUL in them), copies of the descriptors, and `errors` as its stderr. Raises
        ChildProcessError if it could not be started.
        """
        if self._rest is not None:
            self._rest.cancel()
        self._jobs += 1
        try:
            for _ in range(2):  # a server that somebody has killed is noticed by its silence
                report, theirs = socket.socketpair()
                with report:
                    report.setblocking(False)
                    with theirs:
                        self._send(
                            "\0".join(arguments).encode("utf-8", "surrogateescape"), [theirs.fileno(), errors, *fds]
                        )
                    if (pidfd := await _begun(report)) >= 0:
                        return await _ended(report, pidfd)
                self.close()
            raise ChildProcessError(0, "the server of children ends before it starts one", self._argv[0])
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._rest = asyncio.get_running_loop().call_later(IDLE_S, self.close)

    def close(self) -> None:
        """End the server, and with it the children that it has. The next job starts another."""
        if self._control is not None:
            self._control.close()
            self._control = None
            kill_and_reap(self._pid)

    def _send(self, message: bytes, fds: Sequence[int]) -> None:
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._pid = spawn(self._argv, env={}, fds={0: theirs.fileno()})
        try:
            socket.send_fds(self._control, [message], fds)
        except (BrokenPipeError, ConnectionResetError):
            return  # and nobody begins


async def _begun(report: socket.socket) -> int:
    """The child's pidfd; -1 if there is going to be none."""
    try:
        await wait_readable(report.fileno())
    except asyncio.CancelledError:
        report.setblocking(True)  # it is about to be forked
        if (pidfd := _receive(report)) >= 0:
            _kill(pidfd)
            os.close(pidfd)
        raise
    return _receive(report)


def _receive(report: socket.socket) -> int:
    try:
        _, fds, _, _ = socket.recv_fds(report, 1, 1)
    except ConnectionResetError:
        return -1
    return fds[0] if fds else -1


async def _ended(report: socket.socket, pidfd: int) -> bytes:
    loop, told = asyncio.get_running_loop(), bytearray()
    try:
        while piece := await loop.sock_recv(report, _PIECE):
            told += piece
        await wait_readable(pidfd)
    except asyncio.CancelledError:
        _kill(pidfd)
        raise
    finally:
        os.close(pidfd)
    return bytes(told)


def _kill(pidfd: int) -> None:
    """It has ended, whatever it was at, when this returns: who cancels goes on to remove what it wrote."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        ended.poll()
