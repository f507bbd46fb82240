"""A repository's settings: what it is about, its README, who may, which tags stay, and its end."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from naru.hub.catalog import readme, repositories
from naru.hub.catalog.repositories import CATEGORIES, Profile
from naru.hub.pages.forms import Form, Problem, number
from naru.hub.pages.rendering import safe
from naru.hub.pages.repository import README_IMAGES, Head, head
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.people.permissions import Level
from naru.hub.policies.retention import Plan
from naru.hub.services import policies, repos
from naru.hub.services.who import on_repository

_NUMBERS = ("keep_latest", "keep_pushed_days", "keep_pulled_days", "untagged_days")


async def _top(visit: Visit, needed: Level) -> tuple[str, Profile, Head]:
    """Raises NotFound, Forbidden; Unauthenticated for a stranger, as they may only have to log in."""
    name = visit.part("name")
    top = await head(visit, name)
    _ = visit.me
    profile = await visit.hub.read(visit.who, on_repository, name, needed)
    return name, profile, top


async def general(visit: Visit) -> web.Response:
    _, profile, top = await _top(visit, Level.WRITE)
    chosen = await visit.hub.database.read(repositories.categories, profile.id)
    if "summary" in visit.form:
        chosen = visit.form.all("category")
    return await visit.page(
        "settings_general.html", tab="settings", part="general", chosen=chosen, known=CATEGORIES, **top
    )


async def save_general(visit: Visit) -> web.Response:
    name = visit.part("name")
    form = visit.form
    values: dict[str, Any] = {"summary": form.text("summary"), "categories": form.all("category")}
    if "visibility" in form:  # those who may not change these are not shown them
        values |= {"is_private": form.raw("visibility") != "public", "immutable": form.text("immutable")}
    await visit.hub.do(visit.who, repos.update, name, values)
    return visit.go(f"/r/{name}/-/settings", "done.saved")


async def edit_readme(visit: Visit) -> web.Response:
    _, profile, top = await _top(visit, Level.WRITE)
    text, _ = await visit.hub.database.read(repositories.readme, profile.id)
    return await _editor(visit, top, visit.form.raw("readme", text), "")


async def save_readme(visit: Visit) -> web.Response:
    name, _, top = await _top(visit, Level.WRITE)
    text = visit.form.raw("readme").replace("\r\n", "\n")
    html = await asyncio.to_thread(readme.render, text)
    if "preview" in visit.form:
        return await _editor(visit, top, text, html)
    await visit.hub.do(visit.who, repos.update, name, {"readme": text, "readme_html": html})
    return visit.go(f"/r/{name}", "done.saved")


async def _editor(visit: Visit, top: Head, text: str, html: str) -> web.Response:
    return await visit.page(
        "settings_readme.html", images=README_IMAGES if "<img" in html else "", tab="settings", part="readme", text=text,
        preview=safe(html), **top,
    )  # fmt: skip


async def access(visit: Visit) -> web.Response:
    name, _, top = await _top(visit, Level.ADMIN)
    grants = await visit.hub.read(visit.who, repos.grants, name)
    return await visit.page("settings_access.html", tab="settings", part="access", grants=grants, **top)


async def save_access(visit: Visit) -> web.Response:
    name, form = visit.part("name"), visit.form
    level = Level.NONE if form.raw("level") == "none" else Level.parse(form.raw("level"))
    await visit.hub.do(visit.who, repos.grant, name, form.raw("kind"), form.text("holder"), level)
    return visit.go(f"/r/{name}/-/settings/access", "done.saved")


async def retention(visit: Visit) -> web.Response:
    return await _retention(visit, None)


async def _retention(visit: Visit, plan: Plan | None) -> web.Response:
    name, _, top = await _top(visit, Level.ADMIN)
    rules, enabled, ran_at = await visit.hub.read(visit.who, repos.get_retention, name)
    is_set = bool(rules)
    if "rule" in visit.form:
        rules, enabled = [_shown(one) for one in _rows(visit.form) if any(one.values())], visit.form.flag("enabled")
    return await visit.page(
        "settings_retention.html", tab="settings", part="retention", rules=rules, enabled=enabled, ran_at=ran_at, plan=plan,
        is_set=is_set, **top,
    )  # fmt: skip


async def save_retention(visit: Visit) -> web.Response:
    name, form = visit.part("name"), visit.form
    if "now" in form:
        await visit.hub.do(visit.who, policies.retain_now, name)
        return visit.go(f"/r/{name}/-/settings/retention", "done.retention")
    rules = [_rule(row) for row in _rows(form) if any(row.values())]
    if "try" in form:
        return await _retention(visit, await visit.hub.database.scan(policies.retention_plan, visit.who, name, rules))
    await visit.hub.do(visit.who, repos.set_retention, name, rules, is_enabled=form.flag("enabled") and bool(rules))
    return visit.go(f"/r/{name}/-/settings/retention", "done.saved")


def _rows(form: Form) -> list[dict[str, str]]:
    """The form has a row of fields for each rule: `tags.0`, `keep_latest.0`, …"""
    count = min(number(form.raw("rule", "0"), "rule"), 50)
    return [{name: form.text(f"{name}.{at}") for name in ("tags", *_NUMBERS)} for at in range(count)]


def _rule(row: dict[str, str]) -> dict[str, Any]:
    """No pattern is all tags, but where the rule is only about what has none."""
    keeps = any(value for name, value in row.items() if name.startswith("keep_"))
    pattern = row["tags"] or ("*" if keeps else "")
    rule: dict[str, Any] = {"tags": pattern} if pattern else {}
    return rule | {name: number(row[name], name) for name in _NUMBERS if row[name]}


def _shown(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if value}


async def delete(visit: Visit) -> web.Response:
    name = visit.part("name")
    if visit.form.text("confirm") != name:
        raise Problem("problem.confirm")
    await visit.hub.do(visit.who, repos.delete, name)
    return visit.go(f"/u/{name.partition('/')[0]}", "done.repository.deleted")


_AT = "/r/{name:.+?}/-/settings"
ROUTES = (
    Route("GET", _AT, general),
    Route("POST", _AT, save_general, general),
    Route("GET", _AT + "/readme", edit_readme),
    Route("POST", _AT + "/readme", save_readme, edit_readme),
    Route("GET", _AT + "/access", access),
    Route("POST", _AT + "/access", save_access, access),
    Route("GET", _AT + "/retention", retention),
    Route("POST", _AT + "/retention", save_retention, retention),
    Route("POST", _AT + "/delete", delete, general),
)
