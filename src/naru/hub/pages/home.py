"""The first page, and finding repositories."""

from __future__ import annotations

from aiohttp import web

from naru.errors import InvalidArgument
from naru.hub.catalog import repositories
from naru.hub.catalog.repositories import CATEGORIES, Profile, Query
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.people.accounts import BADGES
from naru.hub.people.permissions import Principal
from naru.hub.services import site as services

PAGE = 24
_SHOWN = 6
_FRESH_S = 30.0  # how old counts may be
SORTS = ("best", "pulls", "stars", "updated", "name")


async def home(visit: Visit) -> web.Response:
    principal = visit.who.principal
    read = visit.hub.database.read
    popular, _ = await read(repositories.search, principal, Query(sort="pulls"), 0, _SHOWN)
    recent, _ = await read(repositories.search, principal, Query(sort="updated"), 0, _SHOWN)
    mine: list[Profile] = []
    if visit.account:
        mine, _ = await read(
            repositories.search, principal, Query(namespace=visit.account.name, sort="updated"), 0, _SHOWN
        )
    counts = await visit.site.remembered.get(
        "counts", lambda: visit.hub.read(visit.who, services.counts), visit.who.now_s, _FRESH_S
    )
    return await visit.page("home.html", popular=popular, recent=recent, mine=mine, counts=counts)


async def explore(visit: Visit) -> web.Response:
    query = Query(
        text=visit.asked("q").strip(),
        category=_one_of(visit.asked("category"), CATEGORIES),
        platform=visit.asked("platform"),
        badge=_one_of(visit.asked("badge"), BADGES),
        starred_by=visit.account.id if visit.account and visit.asked("starred") else 0,
        sort=visit.asked("sort", "best"),
    )
    page = visit.page_number()
    principal = visit.who.principal
    found, total = await visit.hub.database.read(repositories.search, principal, query, (page - 1) * PAGE, PAGE)
    facets = await visit.site.remembered.get(
        ("facets", _seen_by(principal)),
        lambda: visit.hub.database.read(repositories.facets, principal),
        visit.who.now_s,
        _FRESH_S,
    )
    return await visit.page(
        "explore.html", query=query, found=found, total=total, number=page, size=PAGE, facets=facets, sorts=SORTS
    )


def _seen_by(principal: Principal) -> tuple[object, ...]:
    """What decides which repositories somebody sees."""
    condition, parameters = repositories.readable(principal)
    return (condition, *parameters)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text and text not in known:
        raise InvalidArgument(f"{text[:50]!r}: there is no such thing to look for")
    return text


async def robots(visit: Visit) -> web.Response:
    return web.Response(text="User-agent: *\nDisallow: /login\nDisallow: /signup\nDisallow: /*/-/\n")


async def icon(visit: Visit) -> web.Response:
    return visit.go(visit.site.assets.path("icon.svg"))


ROUTES = (
    Route("GET", "/", home),
    Route("GET", "/explore", explore),
    Route("GET", "/robots.txt", robots),
    Route("GET", "/favicon.ico", icon),
)
