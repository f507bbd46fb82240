"""What a socket's owner can know of the other end: whether it has read, whether it has gone."""

from __future__ import annotations

import asyncio
import fcntl
import select
import socket
import termios
from collections.abc import Callable


def unread_bytes(sock: socket.socket) -> int:
    """About how much of what was sent over this unix socket has not been read at the other end (SIOCOUTQ); 0 for other
    kinds of socket, of which the kernel knows only what has arrived."""
    if sock.family != socket.AF_UNIX:
        return 0
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), "little")


class Hangups:
    """Tells when the other end of a socket is closed altogether, which a half-closed one does not show by being readable.

    An event loop asks for nothing on such a socket; EPOLLHUP and EPOLLERR come unasked (epoll_ctl(2)), so a poll of our
    own, in which nothing else is asked for, is readable just then.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._told: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def watch(self, fd: int, tell: Callable[[], None]) -> None:
        """Call `tell` once when it happens. `forget` it before it is closed."""
        self._epoll.register(fd, 0)
        self._told[fd] = tell

    def forget(self, fd: int) -> None:
        if self._told.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _look(self) -> None:
        for fd, _ in self._epoll.poll(0):
            tell = self._told[fd]
            self.forget(fd)
            tell()

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
