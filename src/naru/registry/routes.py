"""The paths of distribution-spec "Endpoints" as one table, and the few beside them. Pure.

A path is matched as decoded once by the HTTP library, and then by grammar only: a name with `..`, an empty component or
an encoded slash in the wrong place is no name. Access is decided on the very values that are returned here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from naru.errors import InvalidArgument
from naru.oci.digest import Digest
from naru.registry.errors import Refusal

_NAME_LIMIT = 255
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

# endpoint → path below /v2/; the name is greedy, so that the last keyword of a path is the one that counts
_TABLE = tuple(
    (endpoint, re.compile(pattern))
    for endpoint, pattern in (
        ("base", r""),
        ("catalog", r"_catalog"),
        ("extensions", r"_oci/ext/discover"),
        ("extensions of", r"(?P<name>.+)/_oci/ext/discover"),
        ("uploads", r"(?P<name>.+)/blobs/uploads/?"),
        ("upload", r"(?P<name>.+)/blobs/uploads/(?P<item>[^/]+)"),
        ("blob", r"(?P<name>.+)/blobs/(?P<item>[^/]+)"),
        ("manifest", r"(?P<name>.+)/manifests/(?P<item>[^/]+)"),
        ("tags", r"(?P<name>.+)/tags/list"),
        ("referrers", r"(?P<name>.+)/referrers/(?P<item>[^/]+)"),
    )
)


_PLAIN = {"/": "about", "/v2": "base", "/v1/_ping": "ping", "/v1/search": "search"}


@dataclass(frozen=True, slots=True)
class Route:
    endpoint: str
    repository: str = ""
    item: str = ""  # digest, tag or upload id


def match(path: str) -> Route | None:
    """The endpoint of a whole path, None if there is none. Raises Refusal NAME_INVALID for a bad repository name."""
    if (endpoint := _PLAIN.get(path)) is not None:
        return Route(endpoint)
    below = path.removeprefix("/v2/")
    if below == path:
        return None
    for endpoint, pattern in _TABLE:
        if found := pattern.fullmatch(below):
            parts = found.groupdict("")
            name = parts.get("name", "")
            if name:
                check_name(name)
            return Route(endpoint, name, parts.get("item", ""))
    return None


def check_name(name: str) -> None:
    """Raises Refusal NAME_INVALID."""
    if len(name) > _NAME_LIMIT or not _NAME.fullmatch(name):
        raise Refusal("NAME_INVALID", detail={"name": name[:_NAME_LIMIT]})


def parse_digest(text: str) -> Digest:
    """Raises Refusal DIGEST_INVALID."""
    try:
        return Digest.parse(text)
    except InvalidArgument as error:
        raise Refusal("DIGEST_INVALID", str(error)) from error


def parse_reference(text: str) -> Digest | str:
    """A digest, or a tag as a plain str. Raises Refusal DIGEST_INVALID or TAG_INVALID."""
    return parse_digest(text) if ":" in text else check_tag(text)


def check_tag(text: str) -> str:
    """Raises Refusal TAG_INVALID."""
    if not _TAG.fullmatch(text):
        raise Refusal("TAG_INVALID", f"invalid tag: {text[:200]!r}")
    return text


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    after: str  # exclusive; "" from the beginning


_PAGE_LIMIT = 1000
_DIGITS = 9


def parse_page(n: str | None, last: str | None, default: int) -> Page:
    """Who asks for more than a page holds gets a page, and where to go on. Raises Refusal PAGINATION_NUMBER_INVALID."""
    if n is None:
        return Page(default, last or "")
    if not (n.isascii() and n.isdigit()):
        raise Refusal("PAGINATION_NUMBER_INVALID", detail={"n": n[:100]})
    return Page(_PAGE_LIMIT if len(n) > _DIGITS else min(int(n), _PAGE_LIMIT), last or "")


_CONTENT_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?")


def parse_content_range(text: str) -> tuple[int, int]:
    """(first, last) of an upload's Content-Range, `START-END`. Raises Refusal RANGE_INVALID."""
    found = _CONTENT_RANGE.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise Refusal("RANGE_INVALID", f"invalid content range: {text[:100]!r}")
    return int(found[1]), int(found[2])
