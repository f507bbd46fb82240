"""`naru daemon`: read the configuration, listen, serve until told to stop. Containers run on when it ends."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import naru
from naru.api.exchange import Exchange
from naru.api.guard import refusal
from naru.api.http import Handler
from naru.api.server import Server
from naru.api.status import error_body
from naru.daemon import logs
from naru.daemon.checks import host_and_port
from naru.daemon.compose import Running, running
from naru.daemon.config import Config, arguments, load
from naru.daemon.listen import Listener, listen, metrics_socket, tls_context
from naru.daemon.live import Live
from naru.daemon.notify import notify, reloading
from naru.daemon.parts import container_defaults
from naru.errors import NaruError
from naru.linux.process import adopt_orphans, keep_descriptors
from naru.linux.threads import share_memory

log = logging.getLogger("naru.daemon")
_SWITCH_S = 0.001  # how long a thread may keep the event loop waiting for the interpreter


def main(argv: Sequence[str]) -> int:
    """Exit code 0 after a clean stop, 1 for an error that is said on stderr."""
    given = arguments(argv)
    if given.version:
        print(f"naru {naru.__version__}")
        return 0
    try:
        config = load(given)
        if given.validate:
            validate(config)
            print("configuration OK")
            return 0
        logs.configure(config)
        for note in config.without_effect:
            log.warning("%s", note)
        keep_descriptors()
        share_memory()
        sys.setswitchinterval(_SWITCH_S)
        asyncio.run(serve(config, partial(load, given), given))
    except NaruError as error:
        print(f"naru daemon: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"naru daemon: {error.strerror}: {error.filename}" if error.filename else f"naru daemon: {error}",
            file=sys.stderr,
        )
        return 1
    return 0


def validate(config: Config) -> None:
    """Also the files that it names. Raises InvalidArgument."""
    tls_context(config)
    container_defaults(config)


async def serve(config: Config, read: Callable[[], Config], given: argparse.Namespace) -> None:
    """Until SIGTERM or SIGINT. Sockets accept when everything is taken up. `read` gives the configuration anew, at SIGHUP."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # before there is anything to reload, it must not end us
    loop.add_signal_handler(signal.SIGUSR1, tell_tasks)
    os.umask(0o022)
    adopt_orphans()
    async with running(config) as daemon:
        loop.add_signal_handler(signal.SIGHUP, _reload, daemon.live, read, given.config_file)
        server = Server(daemon.app)
        listeners = listen(config)
        try:
            await _accept(server, listeners, daemon, config)
            _write_pidfile(config)
            log.info("naru %s is ready on %s", naru.__version__, ", ".join(config.hosts))
            notify("READY=1")
            await server.serve(stop, lambda: _grace_s(daemon.live.config))
        finally:
            for listener in listeners:
                listener.close()
            with suppress(FileNotFoundError):
                os.unlink(_pidfile(config))


async def _accept(server: Server, listeners: list[Listener], daemon: Running, config: Config) -> None:
    for listener in listeners:
        handler = _guarded(daemon.app, tls=listener.tls is not None) if listener.is_tcp else None
        await server.listen(listener.sock, listener.tls, handler)
    if daemon.metrics is not None:
        address = host_and_port(config.metrics_addr, "metrics-addr")
        await server.listen(metrics_socket(address), handler=daemon.metrics)
        log.info("metrics are served at http://%s/metrics", config.metrics_addr)


def tell_tasks() -> None:
    """To the log: how many tasks there are, and of which kinds. For whoever looks for a leak."""
    kinds = Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    log.warning("asyncio tasks: %d (%s)", kinds.total(), ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(12)))


def _guarded(handler: Handler, *, tls: bool) -> Handler:
    """The same for what may be asked over tcp, and 403 for the rest."""
    own_name = os.uname().nodename

    async def handle(exchange: Exchange) -> None:
        why = refusal(exchange.headers, tls=tls, own_name=own_name)
        if not why:
            await handler(exchange)
            return
        await exchange.send(403, [("Content-Type", "application/json")], error_body(why))

    return handle


def _stop(stop: asyncio.Event) -> None:
    notify("STOPPING=1")
    stop.set()


def _reload(live: Live, read: Callable[[], Config], path: str) -> None:
    log.info("Got signal to reload configuration", extra={"fields": {"config-file": path}})
    notify(reloading())
    try:
        live.reload(read())
    except NaruError as error:
        log.error("Error reloading configuration", extra={"fields": {"error": str(error)}})
    finally:
        notify("READY=1")


def _grace_s(config: Config) -> float | None:
    return None if config.shutdown_timeout < 0 else float(config.shutdown_timeout)


def _pidfile(config: Config) -> str:
    return config.pidfile or os.path.join(config.exec_root, "naru.pid")


def _write_pidfile(config: Config) -> None:
    with open(_pidfile(config), "w") as file:
        file.write(f"{os.getpid()}\n")
