"""Replication, for the site's admins: the rules by which images are copied to and from other registries."""

from __future__ import annotations

from aiohttp import web

from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.peers.replications import DAILY, MANUAL, ON_PUSH, PULL, PUSH
from naru.hub.services import policies

DIRECTIONS = (PUSH, PULL)
TRIGGERS = (MANUAL, ON_PUSH, DAILY)
_AT = "/admin/replications"


async def rules(visit: Visit) -> web.Response:
    _ = visit.me
    found = await visit.hub.read(visit.who, policies.list_replications)
    return await visit.page(
        "admin_replications.html", tab="replications", rules=found, directions=DIRECTIONS, triggers=TRIGGERS
    )


async def create(visit: Visit) -> web.Response:
    form = visit.form
    await visit.hub.do(
        visit.who, policies.create_replication, visit.hub.outbound, form.text("name"), form.raw("direction"), form.text("url"),
        form.text("source"), username=form.text("username"), password=form.raw("password"), destination=form.text("destination"),
        tags=form.text("tags"), trigger=form.raw("trigger"),
    )  # fmt: skip
    return visit.go(_AT, "done.replication.created")


async def change(visit: Visit) -> web.Response:
    """One of the buttons beside a rule was pressed. Rules have names with anything in them, which are no parts of paths."""
    hub, who, rule, action = visit.hub, visit.who, visit.form.raw("rule"), visit.form.raw("action")
    if action == "delete":
        await hub.do(who, policies.delete_replication, rule)
        return visit.go(_AT, "done.replication.deleted")
    if action == "run":
        await hub.do(who, policies.run_replication, rule)
        return visit.go(_AT, "done.replication.started")
    await hub.do(who, policies.enable_replication, rule, is_enabled=action == "enable")
    return visit.go(_AT, "done.saved")


ROUTES = (
    Route("GET", _AT, rules),
    Route("POST", _AT, create, rules),
    Route("POST", _AT + "/change", change, rules),
)
