"""Behind a proxy: who really asks, and how they wrote the hub's address. Believed only of proxies that the hub has been told of.

Whoever is not one of them may send any header; what it says is about nobody but itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from naru.errors import InvalidArgument

Network = IPv4Network | IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8,::1`, separated by commas. Raises InvalidArgument."""
    try:
        return tuple(ip_network(one.strip(), strict=False) for one in text.split(",") if one.strip())
    except ValueError as error:
        raise InvalidArgument(f"trusted proxies {text[:100]!r}: {error}") from error


def is_trusted(address: str, proxies: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in proxies)


def client_address(remote: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The last address on the way that is not one of our proxies'. `forwarded` are X-Forwarded-For's, the nearest one last."""
    nearest = remote
    for said in reversed(forwarded):
        address = _address(said)
        if not address or not is_trusted(nearest, proxies):
            break
        nearest = address
    return nearest


def _address(text: str) -> str:
    """Without the port that some proxies add to it; "" for what is none: `unknown`, and what clients make up."""
    bare = text.strip('"')
    bare = bare[1:].partition("]")[0] if bare.startswith("[") else bare
    bare = bare.partition(":")[0] if bare.count(":") == 1 else bare
    try:
        return str(ip_address(bare))
    except ValueError:
        return ""


def middleware(proxies: Sequence[Network]) -> Middleware:
    @web.middleware
    async def behind(request: web.Request, handler: Handler) -> web.StreamResponse:
        remote = request.remote or ""
        if not is_trusted(remote, proxies):
            return await handler(request)
        given = ",".join(request.headers.getall("X-Forwarded-For", []))
        forwarded = [one.strip() for one in given.split(",") if one.strip()]
        scheme = "https" if request.headers.get("X-Forwarded-Proto", request.scheme) == "https" else "http"
        host = request.headers.get("X-Forwarded-Host", request.host)
        return await handler(request.clone(remote=client_address(remote, forwarded, proxies), scheme=scheme, host=host))

    return behind
