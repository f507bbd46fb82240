"""/u/NAME: people and organisations, their repositories; members, teams, robots and settings of an organisation."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from naru.hub.catalog import repositories
from naru.hub.catalog.repositories import Query
from naru.hub.pages.account import EXPIRIES, expiry
from naru.hub.pages.forms import Problem, number
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.people.permissions import ACTIONS, ROLES
from naru.hub.services import people, site

PAGE = 24
_MEMBERS = 100


async def _place(visit: Visit) -> site.Place:
    return await visit.hub.read(visit.who, site.place, visit.part("owner"))


async def show(visit: Visit) -> web.Response:
    place = await _place(visit)
    page, text = visit.page_number(), visit.asked("q").strip()
    found, total = await visit.hub.database.read(
        repositories.search, visit.who.principal, Query(text=text, namespace=place.account.name, sort="updated"),
        (page - 1) * PAGE, PAGE,
    )  # fmt: skip
    return await visit.page(
        "account.html", tab="repositories", place=place, found=found, total=total, number=page, size=PAGE, text=text
    )


async def new(visit: Visit) -> web.Response:
    _ = visit.me
    return await visit.page("new_organization.html")


async def create(visit: Visit) -> web.Response:
    form = visit.form
    made = await visit.hub.do(visit.who, people.create_organization, form.text("name"), form.text("full_name"))
    return visit.go(f"/u/{made.name}", "done.organization.created")


async def members(visit: Visit) -> web.Response:
    _ = visit.me
    place = await _place(visit)
    found = await visit.hub.read(visit.who, people.members, place.account.name, visit.asked("after"), _MEMBERS + 1)
    return await visit.page(
        "members.html", tab="members", place=place, members=found[:_MEMBERS], more=len(found) > _MEMBERS, roles=ROLES
    )


async def change_members(visit: Visit) -> web.Response:
    owner, form = visit.part("owner"), visit.form
    member = form.text("member")
    if form.raw("action") == "remove":
        await visit.hub.do(visit.who, people.remove_member, owner, member)
        return visit.go(f"/u/{owner}" if member == visit.me.name else f"/u/{owner}/members", "done.saved")
    await visit.hub.do(visit.who, people.set_member, owner, member, form.raw("role"))
    return visit.go(f"/u/{owner}/members", "done.saved")


async def teams(visit: Visit) -> web.Response:
    _ = visit.me
    place = await _place(visit)
    found = await visit.hub.read(visit.who, people.list_teams, place.account.name)
    return await visit.page("teams.html", tab="teams", place=place, teams=found)


async def change_teams(visit: Visit) -> web.Response:
    owner, form, hub, who = visit.part("owner"), visit.form, visit.hub, visit.who
    action, team = form.raw("action"), form.text("team")
    if action == "create":
        await hub.do(who, people.create_team, owner, team, form.text("about"))
    elif action == "delete":
        await hub.do(who, people.delete_team, owner, team)
    else:
        await hub.do(who, people.set_team_member, owner, team, form.text("member"), is_member=action == "add")
    return visit.go(f"/u/{owner}/teams", "done.saved")


async def robots(visit: Visit, secret: str = "", name: str = "") -> web.Response:
    _ = visit.me
    place = await _place(visit)
    found = await visit.hub.read(visit.who, people.robots, place.account.name)
    return await visit.page(
        "robots.html", tab="robots", place=place, robots=found, actions=tuple(ACTIONS), expiries=EXPIRIES,
        robot_secret=secret, robot_name=name, secret=bool(secret),
    )  # fmt: skip


async def create_robot(visit: Visit) -> web.Response:
    owner, form = visit.part("owner"), visit.form
    patterns = form.text("repositories").replace(",", " ").split()
    actions = form.all("action")
    permissions = [{"repository": pattern, "actions": actions} for pattern in patterns]
    made, secret = await visit.hub.do(
        visit.who, people.create_robot, owner, form.text("title"), permissions, expiry(visit)
    )
    return await robots(visit, secret, f"{owner}+{made.name}")


async def change_robot(visit: Visit) -> web.Response:
    owner, robot, action = visit.part("owner"), number(visit.part("robot"), "robot"), visit.form.raw("action")
    if action == "delete":
        await visit.hub.do(visit.who, people.delete_token, owner, robot)
    else:
        await visit.hub.do(visit.who, people.set_token_disabled, owner, robot, action == "disable")
    return visit.go(f"/u/{owner}/robots", "done.saved")


async def settings(visit: Visit) -> web.Response:
    _ = visit.me
    await visit.hub.read(visit.who, site.manages, visit.part("owner"))
    return await visit.page("organization_settings.html", tab="settings", part="general", place=await _place(visit))


async def save_settings(visit: Visit) -> web.Response:
    owner, form = visit.part("owner"), visit.form
    values: dict[str, Any] = {name: form.text(name) for name in ("full_name", "about")}
    values["is_private"] = form.raw("default_visibility") != "public"
    await visit.hub.do(visit.who, people.update_account, owner, values)
    return visit.go(f"/u/{owner}/settings", "done.saved")


async def delete(visit: Visit) -> web.Response:
    owner = visit.part("owner")
    if visit.form.text("confirm") != owner:
        raise Problem("problem.confirm")
    await visit.hub.do(visit.who, people.delete_account, owner)
    return visit.go("/", "done.organization.deleted")


_AT = "/u/{owner:[^/]+}"
ROUTES = (
    Route("GET", "/new/organization", new),
    Route("POST", "/new/organization", create, new),
    Route("GET", _AT, show),
    Route("GET", _AT + "/members", members),
    Route("POST", _AT + "/members", change_members, members),
    Route("GET", _AT + "/teams", teams),
    Route("POST", _AT + "/teams", change_teams, teams),
    Route("GET", _AT + "/robots", robots),
    Route("POST", _AT + "/robots", create_robot, robots),
    Route("POST", _AT + "/robots/{robot:[0-9]+}", change_robot, robots),
    Route("GET", _AT + "/settings", settings),
    Route("POST", _AT + "/settings", save_settings, settings),
    Route("POST", _AT + "/settings/delete", delete, settings),
)
