"""Vulnerability scanners, for the site's admins: which there are, and which one scans what is pushed."""

from __future__ import annotations

from aiohttp import web

from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.services import policies

_AT = "/admin/scanners"


async def scanners(visit: Visit) -> web.Response:
    _ = visit.me
    found = await visit.hub.read(visit.who, policies.list_scanners)
    return await visit.page("admin_scanners.html", tab="scanners", scanners=found)


async def add(visit: Visit) -> web.Response:
    form, hub = visit.form, visit.hub
    given = form.text("name"), form.text("url"), form.text("authorization")
    await hub.do(visit.who, policies.add_scanner, hub.outbound, *given)
    return visit.go(_AT, "done.scanner.added")


async def change(visit: Visit) -> web.Response:
    """One of the buttons beside a scanner was pressed."""
    name, action = visit.form.raw("scanner"), visit.form.raw("action")
    if action == "remove":
        await visit.hub.do(visit.who, policies.remove_scanner, name)
        return visit.go(_AT, "done.scanner.removed")
    await visit.hub.do(visit.who, policies.set_default_scanner, name if action == "default" else "")
    return visit.go(_AT, "done.saved")


ROUTES = (
    Route("GET", _AT, scanners),
    Route("POST", _AT, add, scanners),
    Route("POST", _AT + "/change", change, scanners),
)
