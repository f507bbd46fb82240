"""The embedded resolver: one per container on a network with names, at 127.0.0.11 inside the container's namespace.

Its sockets live in the container, on ports of their own to which the container's port 53 of that address is led; the
daemon serves them. What is not a name of a neighbour goes to the host's servers, read anew for each query: they change
when a laptop moves or a VPN comes up. No tasks for UDP: each forwarded query is one small object with a timer.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from naru.errors import InvalidArgument
from naru.linux.nft import Nft
from naru.networks import dnsmessage, ruleset
from naru.networks.dnsmessage import Query
from naru.networks.etcfiles import RESOLVER

_DNS_PORT = 53
_UPSTREAM_TIMEOUT_S = 2.0
_IDLE_TIMEOUT_S = 10.0
_FORWARDS_LIMIT = 256  # per container
_BATCH = 32  # datagrams taken at once, so that one container cannot hold up the daemon

Lookup = Callable[[Query], list[bytes] | None]  # record data of a name we know (maybe none of that kind), or None
Upstreams = Callable[[], Sequence[str]]  # addresses of servers to ask, none for containers without a way out


@dataclass(frozen=True, slots=True)
class Sockets:
    udp: socket.socket
    tcp: socket.socket


def listen(table: str, opened: ExitStack) -> Sockets:
    """Open the resolver's sockets in the calling thread's namespace and lead port 53 to them. Raises OSError.

    opened gets what closes them.
    """
    udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
    tcp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
    udp.bind((RESOLVER, 0))
    tcp.bind((RESOLVER, 0))
    tcp.listen(16)
    with Nft() as nft:
        nft.run(ruleset.redirect_dns(table, RESOLVER, udp.getsockname()[1], tcp.getsockname()[1]))
    return Sockets(udp, tcp)


class Resolver:
    """Serves from `start` until `close`, which also closes the sockets: they would keep the namespace alive."""

    def __init__(self, sockets: Sockets, lookup: Lookup, upstreams: Upstreams) -> None:
        self.udp = sockets.udp
        self.upstreams = upstreams
        self._tcp = sockets.tcp
        self._lookup = lookup
        self._forwards: set[_Forward] = set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve_tcp, sock=self._tcp)
        asyncio.get_running_loop().add_reader(self.udp, self._on_readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.udp)
        for forward in list(self._forwards):
            forward.close()
        for writer in self._connections:
            writer.transport.abort()
        if self._server is not None:
            self._server.close()
        self._tcp.close()
        self.udp.close()

    def _respond(self, data: bytes, limit_bytes: int) -> bytes | Query | None:
        """The response, or the query to be sent on, or None for what deserves no answer."""
        try:
            query = dnsmessage.parse_query(data)
        except InvalidArgument:
            return dnsmessage.refuse(data, dnsmessage.FORMAT_ERROR)
        known = self._lookup(query)
        return query if known is None else dnsmessage.answer(query, known, limit_bytes=limit_bytes)

    def _on_readable(self) -> None:
        for _ in range(_BATCH):
            try:
                data, sender = self.udp.recvfrom(65535)
            except BlockingIOError:
                return
            response = self._respond(data, dnsmessage.UDP_LIMIT)
            if isinstance(response, Query):
                if len(self._forwards) >= _FORWARDS_LIMIT:
                    self.reply(dnsmessage.answer(response, code=dnsmessage.SERVER_FAILURE), sender)
                else:
                    self._forwards.add(_Forward(self, data, response, sender, self._forwards.discard))
            elif response is not None:
                self.reply(response, sender)

    def reply(self, data: bytes, sender: tuple[str, int]) -> None:
        try:
            self.udp.sendto(data, sender)
        except OSError:
            return  # a full buffer or a sender that is gone: to lose a datagram is UDP's way of saying so

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                async with asyncio.timeout(_IDLE_TIMEOUT_S):
                    data = await _read_message(reader)
                response = self._respond(data, dnsmessage.TCP_LIMIT)
                if response is None:
                    return
                if isinstance(response, Query):
                    response = await _forward_tcp(data, response, self.upstreams())
                writer.write(struct.pack("!H", len(response)) + response)
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            return  # the client went away or fell asleep
        finally:
            self._connections.discard(writer)
            writer.close()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(length)


async def _forward_tcp(data: bytes, query: Query, servers: Sequence[str]) -> bytes:
    for server in servers:
        try:
            async with asyncio.timeout(_UPSTREAM_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(server, _DNS_PORT)
                try:
                    writer.write(struct.pack("!H", len(data)) + data)
                    response = await _read_message(reader)
                finally:
                    writer.close()
            if dnsmessage.answers(response, query.id, query):
                return response
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            continue
    return dnsmessage.answer(query, code=dnsmessage.SERVER_FAILURE)


class _Forward:
    """One UDP query on its way through the servers, each asked once from a fresh port under a fresh id."""

    def __init__(
        self,
        resolver: Resolver,
        data: bytes,
        query: Query,
        sender: tuple[str, int],
        on_done: Callable[[_Forward], None],
    ) -> None:
        self._resolver, self._data, self._query, self._sender, self._on_done = resolver, data, query, sender, on_done
        self._loop = asyncio.get_running_loop()
        self._servers = list(resolver.upstreams())
        self._number = 0
        self._socket: socket.socket | None = None
        self._timer = self._loop.call_soon(self._ask_next)

    def close(self) -> None:
        self._timer.cancel()
        self._close_socket()
        self._on_done(self)

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _ask_next(self) -> None:
        self._close_socket()
        self._timer.cancel()
        while self._servers:
            server = self._servers.pop(0)
            family = socket.AF_INET6 if ":" in server else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._loop.add_reader(self._socket, self._on_answer)
            self._number = secrets.randbelow(1 << 16)
            try:
                self._socket.connect((server, _DNS_PORT))
                self._socket.send(dnsmessage.with_id(self._data, self._number))
            except OSError:  # no route to this one: the next
                self._close_socket()
                continue
            self._timer = self._loop.call_later(_UPSTREAM_TIMEOUT_S, self._ask_next)
            return
        self._finish(dnsmessage.answer(self._query, code=dnsmessage.SERVER_FAILURE))

    def _on_answer(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65535)
        except BlockingIOError:
            return
        except OSError:  # refused
            self._ask_next()
            return
        if dnsmessage.answers(data, self._number, self._query):
            self._finish(dnsmessage.with_id(data, self._query.id))

    def _finish(self, response: bytes) -> None:
        self._resolver.reply(response, self._sender)
        self.close()
