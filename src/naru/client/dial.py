"""Connecting to an endpoint: unix socket, TCP, TLS over TCP, or `ssh HOST docker system dial-stdio`.

Owns sockets until they are connected; what is said over them is `client/http.py`. Uses `_socket`, the C module: `socket`
and `ssl` take longer to import than a request takes.
"""

from __future__ import annotations

import _socket
import errno
import os

from naru.errors import Forbidden, InvalidArgument, NaruError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.client.endpoint import Endpoint, Tls
    from naru.client.tls import TlsSocket

SSH_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY", "TERM", "LANG")


class Socket:
    """A connected socket, and the child process behind it (ssh), if any."""

    __slots__ = ("pid", "raw")

    def __init__(self, raw: _socket.socket | TlsSocket, pid: int = 0) -> None:
        self.raw, self.pid = raw, pid

    def close(self) -> None:
        """Close it and end the child behind it."""
        self.raw.close()
        if self.pid:
            os.kill(self.pid, 15)
            os.waitpid(self.pid, 0)
            self.pid = 0


def connect(endpoint: Endpoint) -> Socket:
    """A blocking, connected socket. Raises Unavailable or Forbidden with Docker's advice, InvalidArgument for bad keys."""
    try:
        return _BY_SCHEME[endpoint.scheme](endpoint)
    except OSError as error:
        raise _explain(endpoint, error) from error


def _explain(endpoint: Endpoint, error: OSError) -> NaruError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Forbidden(
            f"permission denied while trying to connect to the Docker daemon socket at {endpoint.host}: "
            f"connect: permission denied"
        )
    message = f"Cannot connect to the Docker daemon at {endpoint.host}. Is the docker daemon running?"
    if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
        message = f"error during connect: {endpoint.host}: {error.strerror or error}"
    return Unavailable(message)


def _unix(endpoint: Endpoint) -> Socket:
    raw = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        raw.connect(endpoint.address)
    except BaseException:
        raw.close()
        raise
    return Socket(raw)


def _tcp(endpoint: Endpoint) -> Socket:
    name, _, port = endpoint.address.rpartition(":")
    name = name.strip("[]")
    last = OSError(errno.EHOSTUNREACH, f"no address for {name}")
    host = name.encode() if name.isascii() else name  # for text, Python loads IDNA, and `re` with it
    for family, kind, protocol, _, address in _socket.getaddrinfo(host, int(port), 0, _socket.SOCK_STREAM):
        raw = _socket.socket(family, kind, protocol)
        try:
            raw.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
            raw.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            raw.connect(address)
            return Socket(raw if endpoint.tls is None else _secure(raw, name, endpoint.tls))
        except OSError as error:
            raw.close()
            last = error
        except BaseException:
            raw.close()
            raise
    raise last


def _secure(raw: _socket.socket, name: str, tls: Tls) -> TlsSocket:
    from naru.client.tls import TlsSocket, make_context

    return TlsSocket(raw, make_context(tls), name)


def _ssh(endpoint: Endpoint) -> Socket:
    from naru.linux.process import spawn

    program = find_program("ssh")
    target, colon, port = endpoint.address.partition("/")[0].rpartition(":")
    if not colon:
        target, port = port, ""
    if target.startswith("-"):
        raise InvalidArgument(f"ssh host {target!r} may not begin with a dash")
    argv = [
        program,
        "-o",
        "ConnectTimeout=30",
        "-T",
        *(["-p", port] if port else []),
        "--",
        target,
        "docker",
        "system",
        "dial-stdio",
    ]
    ours, theirs = _socket.socketpair()
    try:
        environment = {name: os.environ[name] for name in SSH_VARIABLES if name in os.environ}
        pid = spawn(argv, env=environment, fds={0: theirs.fileno(), 1: theirs.fileno(), 2: 2}, new_session=False)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Socket(ours, pid=pid)


def find_program(name: str) -> str:
    """The path of an executable of PATH. Raises Unavailable."""
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        path = f"{folder}/{name}"
        if os.path.isabs(path) and os.access(path, os.X_OK):
            return path
    raise Unavailable(f'exec: "{name}": executable file not found in $PATH')


_BY_SCHEME = {"unix": _unix, "tcp": _tcp, "ssh": _ssh}
