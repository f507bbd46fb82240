"""Webhooks, of a repository or of a namespace; what was delivered, and delivering it again."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from naru.hub.pages.forms import number
from naru.hub.pages.repository import head
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.peers.deliveries import EVENTS, FORMATS
from naru.hub.services import repos, site


def _place(visit: Visit) -> tuple[str, str]:
    """What the hooks are of, and where their page is."""
    if "name" in visit.request.match_info:
        name = visit.part("name")
        return name, f"/r/{name}/-/settings/webhooks"
    owner = visit.part("owner")
    return owner, f"/u/{owner}/webhooks"


async def _top(visit: Visit, place: str) -> dict[str, Any]:
    if "/" in place:
        found: dict[str, Any] = {"tab": "settings", "part": "webhooks", "layout": "repository_base.html"}
        found |= await head(visit, place)
        _ = visit.me
        return found
    _ = visit.me
    shown = await visit.hub.read(visit.who, site.place, place)
    return {"place": shown, "tab": "webhooks", "layout": "account_base.html"}


async def webhooks(visit: Visit) -> web.Response:
    place, path = _place(visit)
    top = await _top(visit, place)
    found = await visit.hub.read(visit.who, repos.webhooks_of, place)
    return await visit.page("webhooks.html", hooks=found, path=path, events=EVENTS[:-1], formats=FORMATS, **top)


async def create(visit: Visit) -> web.Response:
    place, path = _place(visit)
    form = visit.form
    made = await visit.hub.do(
        visit.who, repos.create_webhook, visit.hub.outbound, place, form.text("title"), form.text("url"), form.all("event"),
        secret=form.text("secret"), format=form.raw("format", "naru"),
    )  # fmt: skip
    return visit.go(f"{path}/{made.id}", "done.webhook.created")


async def webhook(visit: Visit) -> web.Response:
    place, path = _place(visit)
    top = await _top(visit, place)
    found, past = await visit.hub.read(visit.who, repos.webhook, place, _id(visit))
    return await visit.page("webhook.html", hook=found, deliveries=past, path=path, secret=True, **top)


async def change(visit: Visit) -> web.Response:
    """One of the buttons of its page was pressed."""
    place, path = _place(visit)
    hook, hub = _id(visit), visit.hub
    action = visit.form.raw("action")
    if action == "delete":
        await hub.do(visit.who, repos.delete_webhook, place, hook)
        return visit.go(path, "done.webhook.deleted")
    if action == "ping":
        await hub.do(visit.who, repos.ping_webhook, place, hook)
    elif action == "redeliver":
        await hub.do(visit.who, repos.redeliver, place, hook, number(visit.form.raw("delivery"), "delivery"))
    else:
        await hub.do(visit.who, repos.change_webhook, place, hook, is_active=action == "enable")
    return visit.go(f"{path}/{hook}", "done.saved" if action in ("enable", "disable") else "done.webhook.sent")


def _id(visit: Visit) -> int:
    return number(visit.part("hook"), "webhook")


ROUTES = tuple(
    route
    for at in ("/r/{name:.+?}/-/settings/webhooks", "/u/{owner:[^/]+}/webhooks")
    for route in (
        Route("GET", at, webhooks),
        Route("POST", at, create, webhooks),
        Route("GET", at + "/{hook:[0-9]+}", webhook),
        Route("POST", at + "/{hook:[0-9]+}", change, webhook),
    )
)
