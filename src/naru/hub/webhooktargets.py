"""Where a hub may be made to send requests: not into the network it stands in (server-side request forgery). Pure.

A user gives the URL, so the hub is a stranger's hand inside its own network unless it looks where it reaches. In this
order: split the URL (`target_of`), resolve its host, check URL and addresses together (`check_target`), connect to one
of *these* addresses, and follow no redirect: a name that is looked up again may say something else the second time.

Addresses are judged by IANA's special-purpose registries (RFC 6890 and after) as of 2026, written out here because
Python's own `is_private` and `is_global` differ between its versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from naru.errors import Forbidden, InvalidArgument

MAX_URL_CHARACTERS = 2048

_PORTS = {"http": 80, "https": 443}
_STRANGE = re.compile(r"[^\x21-\x7e]|[\\<>\"{}|^`]")  # RFC 3986 §2; and what browsers and libraries disagree about
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}\.?")

# network, what it is, and whether it may be one's own: of a hub on a private network, whose owner allows it.
# The first that has an address in it counts.
_SPECIAL = tuple(
    (ip_network(network), what, may_be_own)
    for network, what, may_be_own in (
        ("0.0.0.0/8", "this host", False),
        ("10.0.0.0/8", "private", True),
        ("100.100.100.200/32", "a cloud's own", False),  # Alibaba's, as 169.254.169.254 elsewhere
        ("100.64.0.0/10", "a provider's own", True),
        ("127.0.0.0/8", "loopback", True),
        ("169.254.0.0/16", "link-local", False),  # clouds keep their instances' credentials there
        ("168.63.129.16/32", "a cloud's own", False),  # Azure's, though it looks like anybody's
        ("172.16.0.0/12", "private", True),
        ("192.0.0.0/24", "reserved", False),
        ("192.0.2.0/24", "for documentation", False),
        ("192.31.196.0/24", "reserved", False),
        ("192.52.193.0/24", "reserved", False),
        ("192.88.99.0/24", "reserved", False),
        ("192.168.0.0/16", "private", True),
        ("192.175.48.0/24", "reserved", False),
        ("198.18.0.0/15", "for benchmarks", False),
        ("198.51.100.0/24", "for documentation", False),
        ("203.0.113.0/24", "for documentation", False),
        ("224.0.0.0/4", "multicast", False),
        ("240.0.0.0/4", "reserved", False),
        ("::/128", "this host", False),
        ("::1/128", "loopback", True),
        ("fd00:ec2::/32", "a cloud's own", False),  # Amazon's, of the same kind
        ("fd20:ce::/32", "a cloud's own", False),  # Google's
        ("fc00::/7", "private", True),
        ("fe80::/10", "link-local", False),
        ("ff00::/8", "multicast", False),
        ("2001::/23", "reserved", False),  # Teredo (2001::/32) and others
        ("2001:db8::/32", "for documentation", False),
        ("2002::/16", "reserved", False),  # 6to4
        ("2620:4f:8000::/48", "reserved", False),
        ("3fff::/20", "for documentation", False),
    )
)
_GLOBAL_V6 = ip_network("2000::/3")  # all that has been given out
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """`host` in small letters, without brackets: a name, or an IPv6 or IPv4 address."""

    url: str
    scheme: str
    host: str
    port: int


def target_of(url: str) -> Target:
    """What a URL leads to, before its host is resolved. Raises InvalidArgument for what is not a plain http or https
    URL."""
    if not url or len(url) > MAX_URL_CHARACTERS:
        raise InvalidArgument(f"webhook URL: {len(url)} characters, not 1 to {MAX_URL_CHARACTERS}")
    if strange := _STRANGE.search(url):
        raise InvalidArgument(f"webhook URL: {strange[0]!r} at character {strange.start() + 1} has to be escaped")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise InvalidArgument(f"webhook URL: {error}") from error
    if parts.scheme not in _PORTS:
        raise InvalidArgument(f"webhook URL: {parts.scheme[:20]!r} is neither http nor https")
    if "@" in parts.netloc:  # the secret that signs is the way to show who calls; and a URL is shown to many
        raise InvalidArgument("webhook URL: no user or password may be in it")
    if "#" in url:
        raise InvalidArgument("webhook URL: a fragment (#) is not sent")
    written = f"[{host}]" if _is_v6(host) else host
    is_exact = parts.netloc.lower() in (
        written,
        f"{written}:",
        f"{written}:{port}",
    )  # urlsplit overlooks the x of [::1]x
    if port == 0 or not is_exact or not (_HOST.fullmatch(host) or _is_v6(host)):
        raise InvalidArgument(f"webhook URL: no host that could be looked up: {parts.netloc[:100]!r}")
    return Target(url, parts.scheme, host, port if port is not None else _PORTS[parts.scheme])


def check_target(url: str, addresses: Iterable[str], allow_private: bool) -> Target:
    """The same, when all the addresses that its host resolved to are ones the hub may connect to.

    `allow_private` is for hubs whose receivers stand beside them; link-local and multicast addresses are refused even
    so. Raises InvalidArgument as `target_of` does and for no addresses, Forbidden for one that is out of bounds.
    """
    target = target_of(url)
    given = list(addresses)
    if not given:
        raise InvalidArgument(f"webhook URL: {target.host} has no address")
    for text in given:
        try:
            address = _unwrapped(ip_address(text.partition("%")[0]))
        except ValueError as error:
            raise InvalidArgument(f"webhook URL: {target.host} resolved to {text[:100]!r}, not an address") from error
        what, may_be_own = _kind(address)
        if what and not (may_be_own and allow_private):
            raise Forbidden(f"webhook URL: {target.host} is at {text}, and {address} is {what}")
    return target


def _kind(address: IPv4Address | IPv6Address) -> tuple[str, bool]:
    """What a special address is, and whether it may be one's own; "" for all others."""
    for network, what, may_be_own in _SPECIAL:
        if address in network:
            return what, may_be_own
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return "reserved", False
    return "", False


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address in an IPv6 one that only leads there."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_v6(host: str) -> bool:
    try:
        return isinstance(ip_address(host), IPv6Address) and "%" not in host
    except ValueError:
        return False
