"""`naru daemon`: read the configuration, listen, serve until told to stop. Containers run on when it ends."""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import naru
from naru.api.http import Server
from naru.daemon.compose import running
from naru.daemon.config import Config, arguments, load
from naru.errors import InvalidArgument, NaruError
from naru.linux.process import adopt_orphans, keep_descriptors
from naru.linux.threads import share_memory

log = logging.getLogger("naru.daemon")
_SWITCH_S = 0.001  # how long a thread may keep the event loop waiting for the interpreter
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def main(argv: Sequence[str]) -> int:
    """Exit code 0 after a clean stop, 1 for an error that is said on stderr."""
    given = arguments(argv)
    if given.version:
        print(f"naru {naru.__version__}")
        return 0
    try:
        config = load(given)
        level = _LEVELS["debug" if config.debug else config.log_level]
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
        keep_descriptors()
        share_memory()
        sys.setswitchinterval(_SWITCH_S)
        asyncio.run(serve(config))
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


async def serve(config: Config) -> None:
    """Until SIGTERM or SIGINT. Sockets accept when everything is taken up."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, tell_tasks)
    os.umask(0o022)
    adopt_orphans()
    async with running(config) as app:
        server = Server(app)
        sockets = [_listen(host, config.group) for host in config.hosts]
        try:
            for sock in sockets:
                await server.listen(sock)
            _write_pidfile(config)
            _notify_ready()
            log.info("naru %s is ready on %s", naru.__version__, ", ".join(config.hosts))
            await server.serve(stop)
        finally:
            for host, sock in zip(config.hosts, sockets, strict=True):
                sock.close()
                if host.startswith("unix://"):
                    with suppress(FileNotFoundError):
                        os.unlink(host.removeprefix("unix://"))
            with suppress(FileNotFoundError):
                os.unlink(_pidfile(config))


def tell_tasks() -> None:
    """To the log: how many tasks there are, and of which kinds. For whoever looks for a leak."""
    kinds = Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    log.warning("asyncio tasks: %d (%s)", kinds.total(), ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(12)))


def _listen(host: str, group: str) -> socket.socket:
    scheme, _, rest = host.partition("://")
    if scheme == "unix":
        return _listen_unix(rest, group)
    if scheme == "fd":  # systemd's first socket (sd_listen_fds(3))
        return socket.socket(fileno=3)
    name, _, port = rest.rpartition(":")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((name.strip("[]") or "127.0.0.1", int(port)))
    sock.listen(1024)
    sock.setblocking(False)
    return sock


def _listen_unix(path: str, group: str) -> socket.socket:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(FileNotFoundError):
        os.unlink(path)  # of a daemon that died: the lock on the data root says that none lives
    old = os.umask(0o117)
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen: {error.strerror or error}", path) from error
    finally:
        os.umask(old)
    if group:
        try:
            os.chown(path, 0, grp.getgrnam(group).gr_gid)
        except KeyError as error:
            raise InvalidArgument(f"group {group} does not exist") from error
    sock.listen(1024)
    sock.setblocking(False)
    return sock


def _pidfile(config: Config) -> str:
    return config.pidfile or os.path.join(config.exec_root, "naru.pid")


def _write_pidfile(config: Config) -> None:
    with open(_pidfile(config), "w") as file:
        file.write(f"{os.getpid()}\n")


def _notify_ready() -> None:
    """Tell systemd, if it waits (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)
