"""What a route of the API is: one row of a table, from which it is served (`serve`) and described (`openapi`)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from naru.hub.api.fields import Fields, Record
from naru.hub.parts import Hub
from naru.hub.services.who import Who

PREFIX = "/api/v1"
PAGE_SIZE, PAGE_MOST = 25, 100


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and checked. `path`: the parts of its path by name; of a repository, `repository` is the whole name."""

    hub: Hub
    request: web.Request
    who: Who
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: dict[str, Any]

    @property
    def repository(self) -> str:
        return f"{self.path['namespace']}/{self.path['name']}"

    @property
    def place(self) -> str:
        """The account or the repository that the path is about; "" if it is about neither."""
        if "namespace" in self.path:
            return self.repository
        return self.path.get("account", "")

    @property
    def limit(self) -> int:
        return int(self.query["page_size"])

    @property
    def offset(self) -> int:
        return (int(self.query["page"]) - 1) * self.limit


@dataclass(frozen=True, slots=True)
class Page:
    """`total`: of all pages; or, in a list that is read on from a cursor, `following`: the parameters of the page after this one, if
    there is one."""

    results: Sequence[Any]
    total: int | None = None
    following: Mapping[str, str] | None = None


Handler = Callable[[Call], Awaitable[Any]]

# what a part of a path may be; a repository's name may have slashes (also written %2F), and is as short as the path allows
_PARTS = {"name": r"[^/]+(?:/[^/]+){0,10}?", "id": r"[0-9]{1,18}", "delivery": r"[0-9]{1,18}"}
_PART = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True)
class Route:
    """`path` is below PREFIX. `answers`: None for 204 and nothing. `login`: whether it is for somebody known, always."""

    method: str
    path: str
    handler: Handler
    about: str
    answers: Record | None = None
    status: int = 200
    body: Fields = field(default_factory=dict)
    query: Fields = field(default_factory=dict)
    login: bool = True
    pages: str = ""  # of a list: "numbered" or "cursor"

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parts(self) -> list[str]:
        return _PART.findall(self.path)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(_PART.sub(lambda part: f"(?P<{part[1]}>{_PARTS.get(part[1], '[^/]+')})", self.path))


class Table:
    """Routes by method; a path with more words of its own goes before one with fewer: `/repositories/a/b/tags` lists tags."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._sorted = sorted(self.routes, key=lambda route: len(_PART.sub("", route.path)), reverse=True)

    def match(self, method: str, raw_path: str) -> tuple[Route | None, dict[str, str], list[str]]:
        """The route of a path as it came, still escaped; the parts of the path; and if there is none, the methods there would be one for."""
        allowed = []
        for route in self._sorted:
            found = route.pattern.fullmatch(raw_path)
            if found is None:
                continue
            parts = {name: unquote(value) for name, value in found.groupdict().items()}
            if any("\0" in value for value in parts.values()):  # no database has a name for it
                continue
            if route.method == ("GET" if method == "HEAD" else method):
                return route, parts, []
            allowed.append(route.method)
        return None, {}, sorted(set(allowed))
