"""Mirrors: of which registry a namespace is a copy, in its settings; and all of them, for the site's admins."""

from __future__ import annotations

from aiohttp import web

from naru.errors import NotFound
from naru.hub.catalog.upstreams import FRESH_S, Upstream
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.services import policies, site


async def mirrors(visit: Visit) -> web.Response:
    _ = visit.me
    found = await visit.hub.read(visit.who, policies.list_upstreams)
    return await visit.page("admin_mirrors.html", tab="mirrors", mirrors=found)


async def mirror(visit: Visit) -> web.Response:
    """What is known of its password is whether there is one."""
    _ = visit.me
    place = await visit.hub.read(visit.who, site.place, visit.part("owner"))
    found = await _upstream(visit, place.account.name)
    return await visit.page(
        "organization_mirror.html", tab="settings", part="mirror", place=place, mirror=found, has_password=bool(found and found.password),
        fresh_s=round(found.fresh_s if found else FRESH_S),
    )  # fmt: skip


async def _upstream(visit: Visit, owner: str) -> Upstream | None:
    """Raises Forbidden."""
    try:
        return await visit.hub.read(visit.who, policies.upstream_of, owner)
    except NotFound:  # the account is there: it is a copy of nothing
        return None


async def change(visit: Visit) -> web.Response:
    owner, form = visit.part("owner"), visit.form
    at = f"/u/{owner}/settings/mirror"
    if form.raw("action") == "remove":
        await visit.hub.do(visit.who, policies.remove_upstream, owner)
        return visit.go(at, "done.mirror.removed")
    fresh_s = form.number("fresh_s")
    await visit.hub.do(
        visit.who, policies.set_upstream, visit.hub.outbound, owner, form.text("url"), username=form.text("username"),
        password=form.raw("password") or None, fresh_s=FRESH_S if fresh_s is None else float(fresh_s),
    )  # fmt: skip
    return visit.go(at, "done.mirror.set")


_AT = "/u/{owner:[^/]+}/settings/mirror"
ROUTES = (
    Route("GET", "/admin/mirrors", mirrors),
    Route("GET", _AT, mirror),
    Route("POST", _AT, change, mirror),
)
