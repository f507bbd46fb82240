"""Two tags of a repository side by side."""

from __future__ import annotations

from aiohttp import web

from naru.hub import browse
from naru.hub.pages.forms import Problem
from naru.hub.pages.repository import head
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.services import repos

_OFFERED = 100


async def compare(visit: Visit) -> web.Response:
    name = visit.part("name")
    top = await head(visit, name)
    before, after = visit.asked("from"), visit.asked("to")
    offered, _ = await visit.hub.read(visit.who, repos.tags, name, limit=_OFFERED, total=0)
    left = right = found = None
    if before and after:
        left, right, found = await browse.comparison(visit.hub, visit.who, name, before, after, visit.asked("platform"))
        if left.image and right.image and not (left.image.steps or right.image.steps):
            raise Problem("compare.none")
    return await visit.page(
        "compare.html", tab="compare", before=before, after=after, offered=[tag.name for tag in offered], left=left,
        right=right, comparison=found, **top,
    )  # fmt: skip


ROUTES = (Route("GET", "/r/{name:.+?}/-/compare", compare),)
