"""The sockets that the daemon answers on: unix, tcp with and without TLS, and those that systemd has opened."""

from __future__ import annotations

import grp
import logging
import os
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass

from naru.daemon.checks import tcp_address
from naru.daemon.config import Config
from naru.daemon.notify import chosen, take_sockets
from naru.errors import InvalidArgument

log = logging.getLogger(__name__)
_BACKLOG = 1024
_HOME = "/root/.docker"  # where dockerd looks for certificates that are not named


@dataclass(frozen=True, slots=True)
class Listener:
    sock: socket.socket
    tls: ssl.SSLContext | None = None
    path: str = ""  # of a unix socket of ours, to be removed at the end

    @property
    def is_tcp(self) -> bool:
        return self.sock.family != socket.AF_UNIX

    def close(self) -> None:
        self.sock.close()
        if self.path:
            with suppress(FileNotFoundError):
                os.unlink(self.path)


def tls_context(config: Config) -> ssl.SSLContext | None:
    """None without TLS. Raises InvalidArgument for certificates that cannot be used."""
    if not config.uses_tls:
        return None
    cert, key = config.tlscert or f"{_HOME}/cert.pem", config.tlskey or f"{_HOME}/key.pem"
    authority = config.tlscacert or f"{_HOME}/ca.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        raise InvalidArgument(
            f'invalid TLS configuration: could not load X509 key pair (cert: "{cert}", key: "{key}"): {error}'
        ) from error
    if config.tlsverify:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(authority)
        except (OSError, ValueError) as error:
            raise InvalidArgument(
                f'invalid TLS configuration: could not read CA certificate "{authority}": {error}'
            ) from error
    return context


def listen(config: Config) -> list[Listener]:
    """All of them listen when this returns. Raises InvalidArgument, OSError; then none is left."""
    tls = tls_context(config)
    passed = take_sockets()
    out: list[Listener] = []
    try:
        for host in config.hosts:
            scheme, _, rest = host.partition("://")
            if scheme == "unix":
                out.append(Listener(_listen_unix(rest, config.group), path=rest))
            elif scheme == "tcp":
                out.append(Listener(_listen_tcp(*tcp_address(rest, tls=tls is not None)), tls))
            else:
                out += [_passed(sock, tls, config) for sock in chosen(passed, rest)]
    except BaseException:
        for listener in out:
            listener.close()
        raise
    if any(listener.is_tcp for listener in out) and not config.tlsverify:
        log.warning(
            "the API is reachable over tcp without client certificates: whoever reaches it is root on this machine"
        )
    return out


def _passed(sock: socket.socket, tls: ssl.SSLContext | None, config: Config) -> Listener:
    if sock.family == socket.AF_UNIX:
        return Listener(sock)
    if tls is None and config.tls is None and config.tlsverify is None:
        raise InvalidArgument(
            f"refusing to listen on {sock.getsockname()} from systemd without TLS: say --tlsverify=false if you mean it"
        )
    return Listener(sock, tls)


def _listen_tcp(name: str, port: int) -> socket.socket:
    """The first address of the name. Raises OSError that names it."""
    try:
        family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise InvalidArgument(f"cannot listen on tcp://{name}:{port}: {error.strerror}") from error
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen: {error.strerror or error}", f"tcp://{name}:{port}") from error
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
            sock.close()
            raise InvalidArgument(f"group {group} does not exist") from error
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    return sock


def metrics_socket(address: tuple[str, int]) -> socket.socket:
    """Where metrics are served. Raises OSError."""
    return _listen_tcp(address[0] or "0.0.0.0", address[1])
