"""Which daemon: from flags, environment and contexts to one `Endpoint` value.

Order, as Docker's: `-H`, `--context`, DOCKER_HOST, DOCKER_CONTEXT, `currentContext` of config.json, and else the
default socket: Naru's own if it is there, Docker's otherwise. The context store on disk is `client/contexts.py`.
"""

from __future__ import annotations

import os

from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NARU_SOCKET = "/run/naru/naru.sock"
DOCKER_SOCKET = "/var/run/docker.sock"
_PORT, _PORT_TLS = 2375, 2376


class Tls:
    """Where the three PEM files are ("" = none), and whether the daemon must prove its name."""

    __slots__ = ("ca", "cert", "key", "verify")

    def __init__(self, ca: str = "", cert: str = "", key: str = "", *, verify: bool = True) -> None:
        self.ca, self.cert, self.key, self.verify = ca, cert, key, verify

    @classmethod
    def in_folder(cls, folder: str, *, verify: bool) -> Tls:
        """The files ca.pem, cert.pem and key.pem of folder, those of them that exist."""
        found = [path if os.path.exists(path := f"{folder}/{name}.pem") else "" for name in ("ca", "cert", "key")]
        return cls(*found, verify=verify)


class Endpoint:
    """`scheme` is unix, tcp or ssh; `address` a path, or host:port, or [user@]host[:port]."""

    __slots__ = ("address", "context", "host", "scheme", "tls")

    def __init__(self, host: str, tls: Tls | None = None, context: str = "default") -> None:
        """Raises InvalidArgument unless host is a URL that a daemon can be reached by."""
        self.host = normal_host(host, secure=tls is not None)
        self.scheme, _, self.address = self.host.partition("://")
        self.tls = tls if self.scheme == "tcp" else None
        self.context = context


def normal_host(host: str, *, secure: bool = False) -> str:
    """host with scheme and port: `1.2.3.4` → `tcp://1.2.3.4:2375`. Raises InvalidArgument."""
    scheme, separator, rest = host.strip().partition("://")
    if not separator:
        scheme, rest = "tcp", host.strip()
    if scheme in ("http", "https"):
        scheme = "tcp"
    if scheme not in ("unix", "tcp", "ssh") or (not rest and scheme != "unix"):
        raise InvalidArgument(f"unable to parse docker host `{host}`")
    if scheme == "tcp":
        rest = rest.partition("/")[0]
        name, colon, port = rest.rpartition(":")
        if not colon or rest.endswith("]"):
            rest = f"{rest}:{_PORT_TLS if secure else _PORT}"
        elif not port.isdigit() or int(port) > 65535:
            raise InvalidArgument(f"invalid proto, expected tcp: {host}: invalid port {port!r}")
        elif not name:
            rest = f"localhost:{port}"
    return f"{scheme}://{rest or DOCKER_SOCKET}"


def config_dir(environment: Mapping[str, str] = os.environ) -> str:
    return environment.get("DOCKER_CONFIG") or f"{environment.get('HOME') or '/root'}/.docker"


def default_host() -> str:
    return f"unix://{NARU_SOCKET if os.path.exists(NARU_SOCKET) else DOCKER_SOCKET}"


def resolve(
    *,
    host: str = "",
    context: str = "",
    tls: Tls | None = None,
    config: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Endpoint:
    """The endpoint that these flags and this environment mean. Raises InvalidArgument, NotFound (no such context)."""
    config = config or config_dir(environment)
    if host and context:
        raise InvalidArgument("conflicting options: cannot specify both --host and --context")
    if not host and not context and not environment.get("DOCKER_HOST"):
        context = environment.get("DOCKER_CONTEXT", "") or _current_context(config)
    if context and context != "default":
        from naru.client import contexts

        return contexts.load(config, context).endpoint()
    return Endpoint(
        host or environment.get("DOCKER_HOST") or default_host(), tls or _tls_of_environment(config, environment)
    )


def _current_context(config: str) -> str:
    if not os.path.exists(f"{config}/config.json"):
        return ""
    from naru.client.config import load

    return str(load(config).get("currentContext") or "")


def _tls_of_environment(config: str, environment: Mapping[str, str]) -> Tls | None:
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verify and not environment.get("DOCKER_TLS"):
        return None
    return Tls.in_folder(environment.get("DOCKER_CERT_PATH") or config, verify=verify)
