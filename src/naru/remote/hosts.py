"""Which hosts to ask for a reference, in which order, and how. Pure.

docker.io is served by registry-1.docker.io (or by the configured default registry), and pulls of its names try the
mirrors first. Everything else is served by the host in its name. TLS is a must but for *insecure* registries: those
listed, and loopback ones as long as nothing is listed (Engine 29.10).

An insecure registry may speak either http or https, and is asked by one anonymous `GET /v2/` which. Nothing secret is
sent before that is settled. A loopback registry is asked by http first: the bytes leave no machine, and a plain server
that waits silently for the rest of a TLS hello (Docker hangs on those) is not a case. Others are asked by https first.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from naru.errors import InvalidArgument
from naru.oci.reference import DEFAULT_HOST
from naru.remote.auth import is_loopback

HUB_HOST = "registry-1.docker.io"
HUB_INDEX = "index.docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server to ask. `schemes` are tried in this order, and more than one only for insecure registries."""

    host: str  # host[:port]
    schemes: tuple[str, ...] = ("https",)
    is_mirror: bool = False
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """What the user configured. Raises InvalidArgument for entries that make no sense."""

    mirrors: tuple[str, ...] = ()  # of docker.io: host[:port] or http(s)://host[:port]
    insecure: tuple[str, ...] | None = None  # host[:port] or CIDR; None: not configured, loopback is insecure
    default_registry: str = ""  # host[:port] that serves docker.io's names instead of Docker Hub
    attempts: int = 5  # at one transfer, the first included
    trusted_realms: tuple[str, ...] = ()  # hosts of token servers that may see credentials of registries elsewhere

    def __post_init__(self) -> None:
        for mirror in self.mirrors:
            _split_mirror(mirror)
        for entry in self.insecure or ():
            if "/" not in entry:
                split_host(entry)
            elif _network(entry) is None:
                raise InvalidArgument(f"invalid insecure registry: {entry!r} is neither host[:port] nor CIDR")
        if self.default_registry:
            split_host(self.default_registry)

    @property
    def retries(self) -> int:
        return max(0, self.attempts - 1)

    def endpoints(self, host: str, *, push: bool) -> tuple[Endpoint, ...]:
        """The servers of the registry called `host` in references, in the order to ask them; never empty."""
        if host != DEFAULT_HOST:
            return (self._endpoint(host),)
        origin = self._endpoint(self.default_registry or HUB_HOST)
        return (origin,) if push else (*map(self._mirror, self.mirrors), origin)

    def search_endpoints(self, host: str) -> tuple[Endpoint, ...]:
        """The servers to search, as `endpoints`; Docker Hub has another one for it than for images."""
        *mirrors, origin = self.endpoints(host, push=False)
        return (*mirrors, replace(origin, host=HUB_INDEX) if origin.host == HUB_HOST else origin)

    def is_insecure(self, host: str) -> bool:
        name, _ = split_host(host)
        if self.insecure is None:
            return is_loopback(name)
        if host in self.insecure or name in self.insecure:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:  # a name is never resolved to see whether its address is in a network: DNS is not trusted
            return False
        return any(address in network for entry in self.insecure if (network := _network(entry)) is not None)

    def _endpoint(self, host: str) -> Endpoint:
        if not self.is_insecure(host):
            return Endpoint(host)
        schemes = ("http", "https") if is_loopback(split_host(host)[0]) else ("https", "http")
        return Endpoint(host, schemes, verify_tls=False)

    def _mirror(self, mirror: str) -> Endpoint:
        scheme, host = _split_mirror(mirror)
        plain = self._endpoint(host)
        return Endpoint(host, (scheme,) if scheme else plain.schemes, True, plain.verify_tls)


def split_host(host: str) -> tuple[str, str]:
    """(name or address without brackets, port or ""). Raises InvalidArgument."""
    match = _HOST.fullmatch(host)
    if match is None or not 0 < int(match[2] or "1") < 65536:
        raise InvalidArgument(f"invalid registry host: {host[:200]!r}")
    return match[1].strip("[]"), match[2] or ""


def registry_of(server_address: str) -> str:
    """The registry a credential's server address means: `https://index.docker.io/v1/` is docker.io. Raises InvalidArgument."""
    host = server_address.partition("://")[2] or server_address
    host = host.partition("/")[0]
    if not host or host in _HUB_NAMES:
        return DEFAULT_HOST
    split_host(host)
    return host


def _split_mirror(mirror: str) -> tuple[str, str]:
    scheme, separator, rest = mirror.partition("://")
    if not separator:
        scheme, rest = "", mirror
    if scheme not in ("", "http", "https"):
        raise InvalidArgument(f"invalid mirror: unsupported scheme {scheme!r} in {mirror!r}")
    host = rest.removesuffix("/")
    if not _HOST.fullmatch(host):
        raise InvalidArgument(f"invalid mirror: {mirror!r} must be http(s)://host[:port], without path, query or user")
    split_host(host)
    return scheme, host


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False) if "/" in entry else None
    except ValueError:
        return None
