"""Running the registry: one address, one folder, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from naru.errors import InvalidArgument, Unavailable
from naru.registry.access import Access, OpenAccess
from naru.registry.app import make_app
from naru.registry.context import Registry
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads

log = logging.getLogger("naru.registry")

_DRAIN_S = 10.0  # what running requests are given at the end


def parse_listen(listen: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `:port` (all addresses). Raises InvalidArgument."""
    host, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidArgument(f"invalid address to listen on: {listen!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


@asynccontextmanager
async def running(listen: str, data_root: str, access: Access | None = None) -> AsyncIterator[str]:
    """A registry that answers, as `host:port`, until the end of the `async with`; then requests under way are drained.

    Raises Conflict if the data root is in use, Unavailable if the address is, InvalidArgument.
    """
    host, port = parse_listen(listen)
    with Storage(data_root) as storage:
        uploads = Uploads(storage.content)
        app = make_app(Registry(storage, uploads, access or OpenAccess()))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_S)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, host or None, port).start()
            except OSError as error:
                raise Unavailable(f"listen tcp {listen}: {error.strerror}") from error
            bound_host, bound_port = runner.addresses[0][:2]
            yield f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"
        finally:
            await runner.cleanup()
            uploads.close()


async def serve(listen: str, data_root: str, access: Access | None = None) -> None:
    """Run a registry until SIGTERM or SIGINT. Raises as `running`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with running(listen, data_root, access) as address:
            log.info("registry listening on http://%s, data in %s", address, data_root)
            await stop.wait()
            log.info("registry stopping")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
