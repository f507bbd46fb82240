"""Searching a registry, by Docker Hub's v1 protocol: `GET /v1/search?q=TERM&n=LIMIT`.

A term that begins with a host is for that host; any other is for docker.io, its mirrors first, as in pulls.
"""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlencode

from naru.errors import Internal, InvalidArgument, Unavailable
from naru.oci.image import load_json
from naru.oci.reference import DEFAULT_HOST
from naru.remote.answers import clean, refusal
from naru.remote.auth import Credentials
from naru.remote.faults import Unreachable
from naru.remote.hosts import registry_of
from naru.remote.pull import from_any
from naru.remote.tokens import Key
from naru.remote.transport import Request, Server, Transport

SEARCH_LIMIT_BYTES = 1 << 20

T = TypeVar("T", str, bool, int)


async def search(
    transport: Transport, term: str, limit: int, credentials: Credentials | None
) -> list[dict[str, object]]:
    """At most `limit` rows, in the registry's order.

    Raises InvalidArgument, NotFound for a registry without search, Unauthenticated, Unavailable; Internal if no
    connection comes about, as in Docker.
    """
    if not 1 <= limit <= 100:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, 100]")
    host, rest = split_term(term)

    async def ask(server: Server) -> list[dict[str, object]]:
        url = f"{server.url}/v1/search?{urlencode({'q': rest, 'n': limit})}"
        request = Request("GET", url, Key(server.url, (), None if server.is_mirror else credentials))
        answer = await transport.small(server, request, SEARCH_LIMIT_BYTES)
        if answer.status != 200:
            raise refusal(answer.status, answer.body, str(request))
        return parse_results(answer.body, str(request))[:limit]

    try:
        return await from_any(transport, transport.config.search_endpoints(host), ask)
    except Unreachable as error:
        raise Internal(f"{error.request}: {error.reason}") from error


def split_term(term: str) -> tuple[str, str]:
    """(registry, what to look for there). Raises InvalidArgument for a URL and for a host that is none."""
    if "://" in term:
        raise InvalidArgument(f"invalid repository name: repository name ({term[:200]}) should not have a scheme")
    first, slash, rest = term.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    host = registry_of(first) if is_host else DEFAULT_HOST
    rest = rest if is_host else term
    return host, rest.removeprefix("library/") if host == DEFAULT_HOST else rest


def parse_results(raw: bytes, what: str) -> list[dict[str, object]]:
    """The rows of an answer, free of what the protocol does not know. Raises Unavailable if it is no such answer."""
    try:
        results = load_json(raw, "search results").get("results") or []
    except InvalidArgument as error:
        raise Unavailable(f"{what}: invalid search results") from error
    if not isinstance(results, list):
        raise Unavailable(f"{what}: invalid search results")
    return [_row(row, what) for row in results]


def _row(row: object, what: str) -> dict[str, object]:
    def value(name: str, default: T) -> T:
        """Absent and null are the type's zero, as in Go."""
        if not isinstance(row, dict):
            raise Unavailable(f"{what}: invalid search results")
        found = row.get(name)
        if found is None:
            return default
        if type(found) is not type(default):  # exactly: True is an int, and no count
            raise Unavailable(f"{what}: invalid search results")
        return found

    return {
        "name": clean(value("name", "")),
        "description": clean(value("description", "")),
        "is_official": value("is_official", False),
        "is_automated": value("is_automated", False),
        "star_count": value("star_count", 0),
    }
