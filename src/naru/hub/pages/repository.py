"""A repository's first page, its star, and making a new one."""

from __future__ import annotations

import re
from typing import Any, TypedDict

from aiohttp import web

from naru.hub.catalog import repositories, taglists
from naru.hub.catalog.repositories import DAY_S, Profile
from naru.hub.catalog.taglists import Tag
from naru.hub.pages.rendering import safe
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit, local
from naru.hub.people.permissions import Level
from naru.hub.services import repos, site
from naru.hub.services.who import level_on, visible

CHART_DAYS = 60
_TAGS = 6
_DAY_S = 86400.0
_COSIGN = re.compile(r"sha256-[0-9a-f]{64}\..*")  # what is shown with the image it is about
# what a README may show from elsewhere; `readme` lets only https through
README_IMAGES = "https:"


class Head(TypedDict):
    """What the top of each of a repository's pages shows."""

    repository: Profile
    level: Level
    starred: bool
    may_write: bool
    may_manage: bool


async def head(visit: Visit, name: str) -> Head:
    """Raises NotFound."""
    profile = await visit.hub.read(visit.who, visible, name)
    level = await visit.hub.read(visit.who, level_on, name)
    starred = False
    if visit.account:
        starred = await visit.hub.database.read(repositories.is_starred, profile.id, visit.account.id)
    return Head(
        repository=profile,
        level=level,
        starred=starred,
        may_write=level >= Level.WRITE,
        may_manage=level >= Level.ADMIN,
    )


async def page_of_tags(visit: Visit, profile: Profile, **query: Any) -> tuple[list[Tag], int]:
    """And how many there are: counted once for as long as nothing in the repository changes."""
    name, containing = profile.name, query.get("containing", "")
    found, _ = await visit.hub.read(visit.who, repos.tags, name, total=0, **query)
    total = await visit.site.remembered.get(
        ("tags", profile.id, profile.updated_at, containing),
        lambda: visit.hub.database.read(taglists.count, profile.id, containing), visit.who.now_s, _DAY_S,
    )  # fmt: skip
    return found, total


async def overview(visit: Visit) -> web.Response:
    name = visit.part("name")
    top = await head(visit, name)
    profile = top["repository"]
    read = visit.hub.database.read
    today = int(visit.who.now_s) // DAY_S
    pulls = await read(repositories.pulls_by_day, profile.id, today - CHART_DAYS + 1)
    _, readme_html = await read(repositories.readme, profile.id)
    categories = await read(repositories.categories, profile.id)
    platforms = await read(repositories.platforms, profile.id)
    found, total = await page_of_tags(visit, profile, limit=2 * _TAGS)
    tags = [one for one in found if not _COSIGN.fullmatch(one.name)][:_TAGS]
    return await visit.page(
        "repository.html", images=README_IMAGES if "<img" in readme_html else "", tab="overview", readme=safe(readme_html),
        categories=categories, platforms=platforms, tags=tags, total_tags=total, pulls=pulls, today=today, days=CHART_DAYS, **top,
    )  # fmt: skip


async def star(visit: Visit) -> web.Response:
    name = visit.part("name")
    await visit.hub.do(visit.who, repos.star, name, starred=visit.form.flag("starred"))
    return visit.go(local(visit.form.raw("next", f"/r/{name}")))


async def new(visit: Visit) -> web.Response:
    _ = visit.me
    namespaces = await visit.hub.read(visit.who, site.namespaces)
    return await visit.page("new.html", namespaces=namespaces)


async def create(visit: Visit) -> web.Response:
    _ = visit.me
    name = f"{visit.form.text('namespace')}/{visit.form.text('name').lower()}"
    made = await visit.hub.do(
        visit.who, repos.create, name, is_private=visit.form.raw("visibility") != "public",
        summary=visit.form.text("summary"),
    )  # fmt: skip
    return visit.go(f"/r/{made.name}", "done.repository.created")


ROUTES = (
    Route("GET", "/new", new),
    Route("POST", "/new", create, new),
    Route("POST", "/r/{name:.+}/-/star", star),
    Route("GET", "/r/{name:.+}", overview),  # the last: it takes everything
)
