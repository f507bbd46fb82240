"""The listening side: sockets that are accepted on, the connections there are, and how all of it comes to its end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from naru.api.http import Connection, Handler
from naru.api.tls import TlsConnection
from naru.linux.sockets import Hangups


class Server:
    """Listens on sockets given to it and runs the handler for each request, in its own task group."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[Connection] = set()
        self.hangups = Hangups()
        self._group: asyncio.TaskGroup | None = None
        self._listeners: list[asyncio.Server] = []

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        assert self._group is not None, "serve() is not running"
        return self._group.create_task(work)  # type: ignore[arg-type]

    async def listen(
        self, sock: socket.socket, tls: ssl.SSLContext | None = None, handler: Handler | None = None
    ) -> None:
        """Accept on a listening socket from now on; requests that come by it may have a handler of their own."""
        loop = asyncio.get_running_loop()
        mine = handler or self.handler

        def make() -> asyncio.Protocol:
            return Connection(self, mine) if tls is None else TlsConnection(tls, lambda: Connection(self, mine))

        start = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        self._listeners.append(await start(make, sock=sock))

    async def serve(self, stop: asyncio.Event, grace_s: Callable[[], float | None] = lambda: 0.0) -> None:
        """Until stop is set. Then nobody new is let in; requests that have not begun to answer get `grace_s` to do so (None:
        for ever), streams do not; connections are closed and handlers cancelled."""
        async with asyncio.TaskGroup() as self._group:
            await stop.wait()
            for listener in self._listeners:
                listener.close()
            await self._drain(grace_s())
            for connection in list(self.connections):
                connection.end()
        self.hangups.close()

    async def _drain(self, grace_s: float | None) -> None:
        tasks = [task for each in self.connections if (task := each.brief_task) is not None]
        if tasks and grace_s != 0:
            await asyncio.wait(tasks, timeout=grace_s)
