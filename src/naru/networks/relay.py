"""From the host's IPv6 addresses to a container, where the kernel does not lead: connections that the daemon passes on.

The kernel cannot translate one IP version into the other, nor send on what comes from ::1. So what arrives at the socket
that holds such a port is relayed, as Docker's proxy does. Everything else goes by the firewall's maps and never comes
here. A relay knows the container by its address. No tasks for UDP: each client is one small object with a timer.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial

from naru.networks.records import PortBinding

_PIECE = 1 << 16
_CLIENTS_LIMIT = 1024  # per port; further ones wait (TCP) or are not heard (UDP)
_PAUSE_S = 0.5  # when there are no more descriptors
_IDLE_TIMEOUT_S = 90.0  # of UDP
_BATCH = 32  # datagrams taken at once, so that one port cannot hold up the daemon
_log = logging.getLogger(__name__)


class Relay:
    """Serves from when it is made until `close`. holder: the socket that holds the port; it stays the caller's."""

    def __init__(self, holder: socket.socket, binding: PortBinding, ip: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = holder.dup()
        self._socket.setblocking(False)
        self._target = (ip, binding.container_port)
        self._family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self._connections: set[asyncio.Task[None]] = set()
        self._clients: dict[tuple[str, int], _Client] = {}
        self._resume: asyncio.TimerHandle | None = None
        if binding.proto == "tcp":
            self._socket.listen(128)  # held with a backlog of none
        self._loop.add_reader(self._socket, self._on_connection if binding.proto == "tcp" else self._on_datagrams)

    def close(self) -> None:
        """Connections are cut."""
        self._loop.remove_reader(self._socket)
        if self._resume is not None:
            self._resume.cancel()
        for task in self._connections:
            task.cancel()
        for client in list(self._clients.values()):
            client.close()
        self._socket.close()

    # -- TCP

    def _on_connection(self) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._loop.remove_reader(self._socket)
                self._resume = self._loop.call_later(_PAUSE_S, self._accept_again)
            return  # else it has gone again
        client.setblocking(False)
        task = self._loop.create_task(self._pass_on(client))
        self._connections.add(task)
        task.add_done_callback(self._on_passed)
        if len(self._connections) >= _CLIENTS_LIMIT:
            self._loop.remove_reader(self._socket)

    def _on_passed(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if len(self._connections) == _CLIENTS_LIMIT - 1:
            self._accept_again()

    def _accept_again(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._on_connection)

    async def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as server:
            try:
                await self._loop.sock_connect(server, self._target)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(client, server))
                    group.create_task(self._copy(server, client))
            except* OSError as group_error:
                _log.debug("relay to %s:%d: %s", *self._target, group_error.exceptions[0])

    async def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        """Until the source ends; then the sink is told so, and may still answer."""
        while data := await self._loop.sock_recv(source, _PIECE):
            await self._loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)

    # -- UDP

    def _on_datagrams(self) -> None:
        for _ in range(_BATCH):
            try:
                data, sender = self._socket.recvfrom(_PIECE)
            except OSError:  # no more, or an ICMP error of an earlier answer
                return
            client = self._clients.get(sender)
            if client is None:
                if len(self._clients) >= _CLIENTS_LIMIT:
                    continue
                answer, forget = partial(self._answer, sender), partial(self._clients.pop, sender, None)
                client = self._clients[sender] = _Client(self._target, answer, forget)
            client.send(data)

    def _answer(self, sender: tuple[str, int], data: bytes) -> None:
        try:
            self._socket.sendto(data, sender)
        except OSError:
            return  # to lose a datagram is UDP's way of saying so


class _Client:
    """One sender of datagrams, with a socket of its own towards the container."""

    def __init__(
        self, target: tuple[str, int], answer: Callable[[bytes], None], on_closed: Callable[[], object]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._answer, self._on_closed = answer, on_closed
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        )
        self._socket.connect(target)
        self._loop.add_reader(self._socket, self._on_answer)
        self._timer = self._loop.call_later(_IDLE_TIMEOUT_S, self.close)

    def send(self, data: bytes) -> None:
        self._wake()
        try:
            self._socket.send(data)
        except OSError:
            return  # nobody listens there

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._on_closed()

    def _wake(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(_IDLE_TIMEOUT_S, self.close)

    def _on_answer(self) -> None:
        try:
            data = self._socket.recv(_PIECE)
        except OSError:
            return
        self._wake()
        self._answer(data)
