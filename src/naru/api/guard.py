"""Who may ask over tcp at all: no browser, and on a socket without TLS no name that somebody else could have made. Pure.

A web page can send requests to addresses that only its reader reaches. It cannot help sending `Origin` with those that
change something, and one that has its own name point here (DNS rebinding) cannot help sending that name as `Host`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_PRIVATE = (".localhost", ".local", ".internal", ".test")  # names nobody can register: RFC 6761, 6762, ICANN 2024


def refusal(headers: Mapping[str, str], *, tls: bool, own_name: str) -> str:
    """Why a request with these headers (in lower case) is refused; "" if it is not."""
    if "origin" in headers:
        return "requests of web pages are refused: this one has an Origin header"
    host = headers.get("host", "")
    if tls or not host or _is_ours(host, own_name):
        return ""
    return f"the host name {host} is refused on a tcp socket without TLS: use an address, localhost or the machine's own name"


def _is_ours(host: str, own_name: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    name = name.strip("[]").rstrip(".").lower()
    if "." not in name and ":" not in name:  # no public domain is one label: `localhost`, `docker` in a CI job
        return True
    if name == own_name.lower() or name.endswith(_PRIVATE):
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
