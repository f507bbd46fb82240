"""Listening, with TLS or without, until told to stop: what every server of this folder and of the hub does the same way."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from aiohttp import web

from naru.errors import InvalidArgument, Unavailable

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


async def listen(undo: AsyncExitStack, app: web.Application, listen: str, tls: ssl.SSLContext | None = None) -> str:
    """The address it listens on until `undo` is unwound; requests under way are drained then. Raises Unavailable, InvalidArgument."""
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


async def serve(server: AbstractAsyncContextManager[Running], name: str, data: str) -> None:
    """Run it until SIGTERM or SIGINT; SIGHUP has it read its certificate again. Raises what entering it does."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # before there is anything to reload, it must not end us
    try:
        async with server as running:
            loop.add_signal_handler(signal.SIGHUP, _reload, running.tls)
            log.info("%s listening on %s, data in %s", name, running.url, data)
            if running.metrics:
                log.info("metrics on http://%s/metrics", running.metrics)
            await stop.wait()
            log.info("%s stopping", name)
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
