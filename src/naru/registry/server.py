"""Running the registry: an address, a folder, until told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

from naru.errors import Conflict, InvalidArgument, Unavailable
from naru.registry import garbage, records, uploads
from naru.registry.access import Access, OpenAccess
from naru.registry.app import ENDPOINTS, make_app
from naru.registry.blobstore import open_store
from naru.registry.context import Registry
from naru.registry.database import open_database
from naru.registry.garbage import Collector, Policy
from naru.registry.metrics import Metrics
from naru.registry.migrate import migrate
from naru.registry.rules import Rules
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads
from naru.wire.exposition import CONTENT_TYPE

log = logging.getLogger("naru.registry")

_READ_BYTES = 1 << 21  # of a body, before its sender is made to wait
_DRAIN_S = 10.0  # what running requests are given at the end


def parse_listen(listen: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `:port` (all addresses). Raises InvalidArgument."""
    host, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidArgument(f"invalid address to listen on: {listen!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


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
    settings: Settings, access: Access | None = None, rules: Rules | None = None
) -> AsyncIterator[Registry]:
    """The registry's parts, with its tables there, and garbage being collected. Raises Conflict if the data root is in use."""
    async with AsyncExitStack() as undo:
        if not (settings.database and settings.blobs):
            os.makedirs(settings.data_root, mode=0o710, exist_ok=True)
            undo.callback(os.close, _take_lock(settings.data_root))
        database = open_database(settings.database or os.path.join(settings.data_root, "registry.db"))
        undo.callback(database.close)
        await migrate(database, "naru.registry", "registry_version")
        blobs = open_store(settings.blobs or os.path.join(settings.data_root, "blobs"))
        sessions = Uploads(database, blobs)
        undo.callback(sessions.close)
        storage = Storage(database, blobs, policy=settings.policy, rules=rules)
        if not settings.read_only:
            collecting = asyncio.create_task(Collector(database, blobs, sessions, settings.policy).run())
            undo.push_async_callback(_stop, collecting)
        yield Registry(storage, sessions, access or OpenAccess(), Metrics(ENDPOINTS), settings.read_only)


async def _stop(task: asyncio.Task[None]) -> None:
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
        address = await _listen(undo, make_app(registry), settings.listen, tls.context if tls else None)
        metrics = await _listen(undo, _metrics_app(registry), settings.metrics) if settings.metrics else ""
        yield Running(address, metrics, tls)


@dataclass(frozen=True, slots=True)
class Running:
    """Addresses, as `host:port`; that of metrics is "" where there are none."""

    address: str
    metrics: str
    tls: Tls | None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"


class Tls:
    """A server's certificate, which `reload` reads again. Raises InvalidArgument for what is none."""

    def __init__(self, certificate: str, key: str) -> None:
        if not (certificate and key):
            raise InvalidArgument("a TLS certificate and its key belong together: give both files")
        self._files = certificate, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.reload()

    def reload(self) -> None:
        """Connections that are made from now on get what the files hold now."""
        certificate, key = self._files
        try:
            self.context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or getattr(error, "reason", "") or error
            raise InvalidArgument(f"TLS certificate {certificate} with key {key}: {reason}") from error


async def _listen(undo: AsyncExitStack, app: web.Application, listen: str, tls: ssl.SSLContext | None = None) -> str:
    host, port = parse_listen(listen)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_S, read_bufsize=_READ_BYTES)
    await runner.setup()
    undo.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host or None, port, ssl_context=tls).start()
    except OSError as error:
        raise Unavailable(f"listen tcp {listen}: {error.strerror}") from error
    bound_host, bound_port = runner.addresses[0][:2]
    return f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"


def _metrics_app(registry: Registry) -> web.Application:
    async def tell(request: web.Request) -> web.Response:
        database = registry.storage.database
        counts, open_uploads = await database.scan(records.counts), await database.scan(uploads.count)
        text = registry.metrics.text(open_uploads, counts, await database.scan(garbage.backlog, time.time()))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", tell)
    return app


async def serve(settings: Settings, access: Access | None = None) -> None:
    """Run a registry until SIGTERM or SIGINT; SIGHUP has it read its certificate again. Raises as `running`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # before there is anything to reload, it must not end us
    try:
        async with running(settings, access) as registry:
            loop.add_signal_handler(signal.SIGHUP, _reload, registry.tls)
            log.info("registry listening on %s, data in %s", registry.url, settings.data_root)
            if registry.metrics:
                log.info("metrics on http://%s/metrics", registry.metrics)
            await stop.wait()
            log.info("registry stopping")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _reload(tls: Tls | None) -> None:
    if tls is None:
        return
    try:
        tls.reload()
        log.info("the certificate has been read again")
    except InvalidArgument as error:
        log.error("%s; the one of before stays", error)
