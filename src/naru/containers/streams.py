"""Live stdio of a container or exec, as a value with two directions.

`Output` is (stream, bytes) pairs until the process has closed them; `write` and `close_stdin` are the other way. Framing
for the wire is the API's business. A reader that stalls holds up only the process it reads from, and only until that
process is killed: `abandon` lets go of it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Protocol

from naru.linux.process import settle
from naru.linux.threads import in_own_thread

_PACKET = 8192  # conmon reads stdin in pieces of this size
_READ = 65536
_TURN_S = 10
_LAST_WORDS_BYTES = 4 << 20


class Stdio(Protocol):
    """Raises BrokenPipeError or ConnectionError from write once the process has gone."""

    async def read(self) -> tuple[int, bytes] | None:
        """The next piece (1 stdout, 2 stderr), or None at the end."""
        ...

    async def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def close(self) -> None: ...


def _wait_turn(sock: socket.socket, address: str) -> None:
    """Blocks. Python's own time limit would not: it asks the kernel not to wait, and this is nothing that it could poll for."""
    sock.setblocking(True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _TURN_S, 0))
    try:
        sock.connect(address)
    except BlockingIOError:
        raise TimeoutError(errno.ETIMEDOUT, "connect", "attach") from None


class ConmonStdio:
    """conmon's attach socket: one packet a piece, whose first byte is 2 for stdout and 3 for stderr."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reading = False
        self._draining = False
        self._drained: asyncio.Queue[bytes] = asyncio.Queue()  # what was taken while nobody read; b"" is the end
        self._drained_bytes = 0

    @classmethod
    async def connect(cls, bundle: str) -> ConmonStdio:
        """Raises ConnectionError or FileNotFoundError if no monitor listens there, TimeoutError if it does not answer."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        folder = os.open(bundle, os.O_PATH | os.O_DIRECTORY)  # the path itself may be longer than a socket's name
        try:
            address = f"/proc/self/fd/{folder}/attach"
            try:
                sock.connect(address)
            except BlockingIOError:  # ten wait there already: nothing tells when it is our turn, but a thread can wait
                await in_own_thread(lambda: _wait_turn(sock, address))
                sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        finally:
            os.close(folder)
        return cls(sock)

    async def read(self) -> tuple[int, bytes] | None:
        if self._draining:
            packet = await self._drained.get()
        else:
            self._reading = True
            try:
                packet = await asyncio.get_running_loop().sock_recv(self._sock, _PACKET + 1)
            except (ConnectionError, OSError):
                return None
            finally:
                self._reading = False
        return (packet[0] - 1, packet[1:]) if packet else None

    def drain(self) -> None:
        """The process has ended. conmon cannot say so while it waits for us to read what is left, which is no more than the
        pipes hold: take it, at the pace of whoever reads there. Does nothing where somebody does read."""
        if not self._draining and not self._reading and self._sock.fileno() >= 0:
            self._draining = True
            asyncio.get_running_loop().add_reader(self._sock.fileno(), self._take)

    def _take(self) -> None:
        try:
            packet = self._sock.recv(_PACKET + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        self._drained_bytes += len(packet)
        if self._drained_bytes > _LAST_WORDS_BYTES:  # somebody else writes on in its place
            packet = b""
        self._drained.put_nowait(packet)
        if not packet:
            self._stop_taking()
            self._sock.close()

    def _stop_taking(self) -> None:
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), _PACKET):
            await loop.sock_sendall(self._sock, data[start : start + _PACKET])

    def close_stdin(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._draining:
            self._stop_taking()
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
