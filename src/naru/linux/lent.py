"""A connected socket in the hands of a thread, for bytes that need not pass through the event loop, nor through Python.

The event loop's sockets never block, and stay so for everybody who has them: whoever waits here does so in a poll that can
be ended from outside (`stop`). Files leave by sendfile(2), bodies arrive by splice(2): pages change hands, or are copied
once, by the kernel.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from naru.linux.threads import in_fresh_thread, outlast

T = TypeVar("T")
_NOT_SPLICED = (errno.EINVAL, errno.EOPNOTSUPP)
_PIECE = 1 << 18
_SO_SNDBUFFORCE = 32  # socket(7): above the host's limit, for root
_UNDER_WAY_BYTES = 1 << 20
_ZEROS = bytes(1 << 16)


class Stopped(ConnectionError):
    """`stop` was called: the connection is not for us any more."""


class _Duplicable(Protocol):
    def dup(self) -> socket.socket: ...


class LentSocket:
    """A second descriptor of a socket that does not block; used by one thread, closed with `close`."""

    def __init__(self, sock: _Duplicable) -> None:
        self._sock = sock.dup()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopped = False  # for a thread that never has to wait
        self._readable, self._writable = (self._poll(events) for events in (select.POLLIN, select.POLLOUT))

    def _poll(self, events: int) -> select.poll:
        poll = select.poll()
        poll.register(self._sock, events)
        poll.register(self._stop, select.POLLIN)
        return poll

    def stop(self) -> None:
        """Whoever waits in a call of this object, or will, gets Stopped. For the thread that closes it."""
        self._stopped = True
        if not self.closed:
            os.eventfd_write(self._stop, 1)

    @property
    def closed(self) -> bool:
        return self._stop < 0

    def close(self) -> None:
        self._sock.close()
        os.close(self._stop)
        self._stop = -1

    def _when(self, ready: select.poll, call: Callable[..., T], *args: Any) -> T:
        """The call's result, as soon as the socket lets it have one."""
        while not self._stopped:
            try:
                return call(*args)
            except BlockingIOError:
                ready.poll()
        raise Stopped

    def widen(self) -> None:
        """Let more be under way to a reader on this host, who then is woken up less often. The buffers of other kinds of socket
        the kernel sizes by itself."""
        if self._sock.family == socket.AF_UNIX:
            with suppress(PermissionError):  # without CAP_NET_ADMIN it stays as it is, and works
                self._sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _UNDER_WAY_BYTES)

    # -- out ------------------------------------------------------------------------------------------------------------

    def send(self, buffers: Sequence[bytes | bytearray | memoryview]) -> None:
        """All of them, in this order. Raises ConnectionError when nobody is there to read, Stopped."""
        views = [memoryview(buffer) for buffer in buffers]
        while views:
            sent = self._when(self._writable, self._sock.sendmsg, views)
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if sent:
                views[0] = views[0][sent:]

    def send_file(self, fd: int, size_bytes: int) -> None:
        """Exactly that many bytes of the file, from its position; zeros for what it does not have, or cannot be read.

        Raises, after that, OSError if reading it failed; ConnectionError, Stopped.
        """
        left = size_bytes
        try:
            while left and (sent := self._some_of_file(fd, left)):
                left -= sent
        finally:
            while left:
                self.send([_ZEROS[:left]])
                left -= min(left, len(_ZEROS))

    def _some_of_file(self, fd: int, count: int) -> int:
        try:
            return self._when(self._writable, os.sendfile, self._sock.fileno(), fd, None, count)
        except OSError as error:
            if error.errno not in _NOT_SPLICED:
                raise
        data = os.read(fd, min(count, _PIECE))  # what has no pages to give has to be read
        self.send([data])
        return len(data)

    # -- in -------------------------------------------------------------------------------------------------------------

    def peek(self, count: int) -> bytes:
        """What comes next, at least a byte, b"" at the end; it stays to be read."""
        return self._when(self._readable, self._sock.recv, count, socket.MSG_PEEK)

    def skip(self, count: int) -> None:
        """Past what `peek` has shown."""
        while count:
            count -= len(self._when(self._readable, self._sock.recv, count))

    def splice(self, pipe: int, count: int) -> int:
        """Move some bytes into a pipe, whose fullness is waited for; how many, 0 at the end. BrokenPipeError is the pipe's."""
        return self._when(self._readable, os.splice, self._sock.fileno(), pipe, count)


async def use_lent(lent: LentSocket, work: Callable[[], T]) -> T:
    """The result of work, done in a thread of its own that is gone when this returns or raises; so is the descriptor.

    Cancelled, it stops the lent socket, and work hears of it there.
    """
    future = asyncio.wrap_future(in_fresh_thread(work))
    try:
        await asyncio.wait((future,))
    except asyncio.CancelledError:
        lent.stop()
        raise
    finally:
        await outlast(future)
        if not future.cancelled():
            future.exception()  # seen; it is raised below, unless being cancelled counts more
        lent.close()
    return future.result()
