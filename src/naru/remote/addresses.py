"""Public and private addresses: a registry on the internet must not send us to what only we can reach (SSRF)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(ip, "ipv4_mapped", None) or ip).is_global


def is_loopback_name(host: str) -> bool:
    """RFC 6761 section 6.3: these names are this machine's, also where a resolver without /etc/hosts knows none of them."""
    return host == "localhost" or host.endswith(".localhost")


async def is_private(host: str) -> bool:
    """True if host has any address that is not public; a name that does not resolve is for the request to report."""
    if is_loopback_name(host):
        return True
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return not all(is_public(str(sockaddr[0])) for *_, sockaddr in found)


def is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def checked(url: URL) -> URL:
    """The same; a URL taken as it is parses its host and port when first asked. Raises ValueError for bad ones."""
    if (url.explicit_port or 0) > 65535:
        raise ValueError("port out of range")
    (url.raw_host or "").encode("idna")  # empty and overlong labels
    return url


class PublicResolver(ThreadedResolver):
    """Refuses names that lead to addresses which are not public."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [] if is_loopback_name(host) else await super().resolve(host, port, family)
        if not found or not all(is_public(one["host"]) for one in found):
            raise OSError(f"{host}: refusing a private address for a public registry")
        return found
