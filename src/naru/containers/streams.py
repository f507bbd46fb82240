"""Live stdio of a container or exec, as a value with two directions.

`Output` is (stream, bytes) pairs until the process has closed them; `write` and `close_stdin` are the other way. Framing
for the wire is the API's business. A reader that stalls holds up only the process it reads from, and only until that
process is killed: `abandon` lets go of it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Protocol

from naru.linux.process import settle

_PACKET = 8192  # conmon reads stdin in pieces of this size
_READ = 65536


class Stdio(Protocol):
    """Raises BrokenPipeError or ConnectionError from write once the process has gone."""

    async def read(self) -> tuple[int, bytes] | None:
        """The next piece (1 stdout, 2 stderr), or None at the end."""
        ...

    async def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def close(self) -> None: ...


class ConmonStdio:
    """conmon's attach socket: one packet a piece, whose first byte is 2 for stdout and 3 for stderr."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @classmethod
    async def connect(cls, bundle: str) -> ConmonStdio:
        """Raises ConnectionError or FileNotFoundError if no monitor listens there."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        folder = os.open(bundle, os.O_PATH | os.O_DIRECTORY)  # the path itself may be longer than a socket's name
        try:
            sock.connect(f"/proc/self/fd/{folder}/attach")
        except BaseException:
            sock.close()
            raise
        finally:
            os.close(folder)
        return cls(sock)

    async def read(self) -> tuple[int, bytes] | None:
        try:
            packet = await asyncio.get_running_loop().sock_recv(self._sock, _PACKET + 1)
        except (ConnectionError, OSError):
            return None
        return (packet[0] - 1, packet[1:]) if packet else None

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), _PACKET):
            await loop.sock_sendall(self._sock, data[start : start + _PACKET])

    def close_stdin(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()


class PipeStdio:
    """Pipes (or one terminal) held by ourselves: an exec's. Takes ownership of the descriptors, -1 for none."""

    def __init__(self, stdin: int, outputs: dict[int, int]) -> None:
        self._stdin = stdin
        self._open = dict(outputs)
        self._waiting: asyncio.Future[None] | None = None
        for fd in (stdin, *outputs.values()):
            if fd >= 0:
                os.set_blocking(fd, False)

    async def read(self) -> tuple[int, bytes] | None:
        while self._open:
            for stream, fd in list(self._open.items()):
                try:
                    data = os.read(fd, _READ)
                except BlockingIOError:
                    continue
                except OSError:  # EIO: the last process left the terminal
                    data = b""
                if data:
                    return stream, data
                self._close_output(stream)
            if self._open:
                await self._wait_readable()
        return None

    async def _wait_readable(self) -> None:
        """Readers are registered only while somebody waits: unread data must not spin the loop."""
        loop = asyncio.get_running_loop()
        self._waiting = waiting = loop.create_future()
        fds = list(self._open.values())
        for fd in fds:
            loop.add_reader(fd, lambda: settle(waiting))
        try:
            await waiting
        finally:
            self._waiting = None
            for fd in fds:
                loop.remove_reader(fd)

    def _close_output(self, stream: int) -> None:
        fd = self._open.pop(stream)
        if fd != self._stdin:
            os.close(fd)

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._stdin < 0:
                raise BrokenPipeError("stdin is closed")
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                await self._wait_writable()

    async def _wait_writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        fd = self._stdin
        loop.add_writer(fd, lambda: settle(ready))
        try:
            await ready
        finally:
            loop.remove_writer(fd)

    def close_stdin(self) -> None:
        if self._stdin >= 0 and self._stdin not in self._open.values():  # a terminal has no half to close
            os.close(self._stdin)
            self._stdin = -1

    def close(self) -> None:
        for stream in list(self._open):
            self._close_output(stream)
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
