"""Running the registry: an address, a folder, until told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

from naru.errors import Conflict
from naru.registry import garbage, listening, records, uploads
from naru.registry.access import Access, OpenAccess
from naru.registry.app import ENDPOINTS, make_app
from naru.registry.blobstore import open_store
from naru.registry.context import Registry
from naru.registry.database import open_database
from naru.registry.garbage import Collector, Policy
from naru.registry.listening import Running, Tls, listen
from naru.registry.metrics import Metrics
from naru.registry.migrate import migrate
from naru.registry.rules import Rules
from naru.registry.seals import Seals
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads
from naru.wire.exposition import CONTENT_TYPE

log = logging.getLogger("naru.registry")


@dataclass(frozen=True, slots=True)
class Settings:
    """`certificate` and `key` are PEM files: with them it is https. `metrics` is a second address, for Prometheus.

    `database` and `blobs` are in the data root unless they say otherwise: `postgresql://…`, `s3://BUCKET/PREFIX`. With both, several
    instances may work with them, and nothing is kept on this machine.
    """

    listen: str
    data_root: str
    certificate: str = ""
    key: str = ""
    read_only: bool = False
    metrics: str = ""
    database: str = ""
    blobs: str = ""
    policy: Policy = field(default_factory=Policy)


@asynccontextmanager
async def opened(
    settings: Settings,
    access: Access | None = None,
    rules: Rules | None = None,
    seals: Callable[[], Seals] = Seals,
) -> AsyncIterator[Registry]:
    """The registry's parts, with its tables there, and garbage being collected. Raises Conflict if the data root is in use.

    `seals` is asked for when the data root is ours.
    """
    async with AsyncExitStack() as undo:
        if not (settings.database and settings.blobs):
            os.makedirs(settings.data_root, mode=0o710, exist_ok=True)
            undo.callback(os.close, _take_lock(settings.data_root))
        database = open_database(settings.database or os.path.join(settings.data_root, "registry.db"), seals())
        undo.callback(database.close)
        await migrate(database, "naru.registry", "registry_version")
        blobs = open_store(settings.blobs or os.path.join(settings.data_root, "blobs"))
        sessions = Uploads(database, blobs)
        undo.callback(sessions.close)
        storage = Storage(database, blobs, policy=settings.policy, rules=rules)
        if not (settings.read_only or settings.database or settings.blobs):
            await sessions.recover()
        if not settings.read_only:
            collecting = asyncio.create_task(Collector(database, blobs, sessions, settings.policy).run())
            undo.push_async_callback(end_task, collecting)
        yield Registry(storage, sessions, access or OpenAccess(), Metrics(ENDPOINTS), settings.read_only)


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancelled, and over, when this returns."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _take_lock(root: str) -> int:
    fd = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 20, 0).decode(errors="replace").strip()
        os.close(fd)
        raise Conflict(f"data root {root} is in use by another registry (pid {holder or 'unknown'})") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd


@asynccontextmanager
async def running(settings: Settings, access: Access | None = None) -> AsyncIterator[Running]:
    """A registry that answers until the end of the `async with`; then requests under way are drained.

    Raises Conflict if the data root is in use, Unavailable if an address is, InvalidArgument.
    """
    tls = Tls(settings.certificate, settings.key) if settings.certificate or settings.key else None
    async with opened(settings, access) as registry, AsyncExitStack() as undo:
        address = await listen(undo, make_app(registry), settings.listen, tls.context if tls else None)
        metrics = await listen(undo, metrics_app(registry), settings.metrics) if settings.metrics else ""
        yield Running(address, metrics, tls)


def metrics_app(registry: Registry) -> web.Application:
    async def tell(request: web.Request) -> web.Response:
        database = registry.storage.database
        counts, open_uploads = await database.scan(records.counts), await database.scan(uploads.count)
        text = registry.metrics.text(open_uploads, counts, await database.scan(garbage.backlog, time.time()))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", tell)
    return app


async def serve(settings: Settings, access: Access | None = None) -> None:
    """Run a registry until SIGTERM or SIGINT. Raises as `running`."""
    await listening.serve(running(settings, access), "registry", settings.data_root)
