"""Audit logs: of a repository, a namespace, the site."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from naru.hub.pages.forms import number
from naru.hub.pages.repository import head
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.services import repos, site

PAGE = 50


async def _page(visit: Visit, of: str, **top: Any) -> web.Response:
    text = visit.asked("before")
    before = number(text, "before") if text else None
    found = await visit.hub.read(visit.who, repos.audit_of, of, before, PAGE + 1)
    return await visit.page(
        "audit.html", entries=found[:PAGE], older=found[PAGE - 1].id if len(found) > PAGE else None, of=of, **top
    )


async def of_repository(visit: Visit) -> web.Response:
    name = visit.part("name")
    top = await head(visit, name)
    _ = visit.me
    return await _page(visit, name, layout="repository_base.html", tab="settings", part="audit", **top)


async def of_namespace(visit: Visit) -> web.Response:
    _ = visit.me
    owner = visit.part("owner")
    place = await visit.hub.read(visit.who, site.place, owner)
    return await _page(visit, owner, layout="account_base.html", tab="audit", place=place)


async def of_site(visit: Visit) -> web.Response:
    _ = visit.me
    return await _page(visit, "", layout="admin_base.html", tab="audit")


ROUTES = (
    Route("GET", "/r/{name:.+?}/-/audit", of_repository),
    Route("GET", "/u/{owner:[^/]+}/audit", of_namespace),
    Route("GET", "/admin/audit", of_site),
)
