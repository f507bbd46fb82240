"""For the site's admins: people, storage and its garbage, work in the background, and how the hub is set up."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from naru.errors import InvalidArgument
from naru.hub.pages.forms import Problem
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.people import accounts
from naru.hub.people.accounts import BADGES
from naru.hub.services import people, site

_PAGE = 50
_MIB = 1 << 20
KINDS = (accounts.USER, accounts.ORGANIZATION)


async def users(visit: Visit) -> web.Response:
    _ = visit.me
    kind = visit.asked("kind", accounts.USER)
    if kind not in KINDS:
        raise InvalidArgument(f"kind {kind[:30]!r}: must be one of {', '.join(KINDS)}")
    text = visit.asked("q").strip()
    found = await visit.hub.read(visit.who, site.people, kind, text, visit.asked("after"), _PAGE + 1)
    return await visit.page(
        "admin_users.html", tab="users", users=found[:_PAGE], more=len(found) > _PAGE, text=text, kind=kind, kinds=KINDS
    )


async def user(visit: Visit) -> web.Response:
    _ = visit.me
    await visit.hub.read(visit.who, site.check_admin)
    place = await visit.hub.read(visit.who, site.place, visit.part("owner"))
    return await visit.page("admin_user.html", tab="users", place=place, badges=BADGES, mib=_MIB)


async def save_user(visit: Visit) -> web.Response:
    owner, form = visit.part("owner"), visit.form
    await visit.hub.read(visit.who, site.check_admin)
    if form.raw("action") == "totp":
        await visit.hub.do(visit.who, people.disable_totp, owner)
        return visit.go(f"/admin/users/{owner}", "done.totp.disabled")
    quota = form.number("quota")
    if quota is not None and quota > 1 << 40:
        raise Problem("problem.quota")
    values: dict[str, Any] = {"badge": form.raw("badge"), "quota_bytes": quota * _MIB if quota is not None else None}
    if "people" in form:
        values |= {"is_admin": form.flag("is_admin"), "is_disabled": form.flag("is_disabled")}
    await visit.hub.do(visit.who, people.update_account, owner, values)
    return visit.go(f"/admin/users/{owner}", "done.saved")


async def storage(visit: Visit) -> web.Response:
    _ = visit.me
    await visit.hub.read(visit.who, site.check_admin)
    stored = await visit.hub.database.scan(site.stored, visit.who)
    largest = await visit.hub.database.scan(site.largest, visit.who)
    digest = visit.asked("digest").strip()
    explanation, problem = None, ""
    if digest:
        try:
            explanation = await visit.hub.read(visit.who, site.explain, digest)
        except InvalidArgument as error:
            problem = visit.language.said(str(error))
    return await visit.page(
        "admin_storage.html", tab="storage", stored=stored, largest=largest, digest=digest, explanation=explanation,
        problem=problem, status=400 if problem else 200, policy=visit.hub.registry.storage.policy,
    )  # fmt: skip


async def jobs(visit: Visit) -> web.Response:
    _ = visit.me
    counts, waiting = await visit.hub.read(visit.who, site.work)
    return await visit.page("admin_jobs.html", tab="jobs", counts=counts, jobs=waiting)


async def settings(visit: Visit) -> web.Response:
    _ = visit.me
    await visit.hub.read(visit.who, site.check_admin)
    hub = visit.hub
    kind = "PostgreSQL" if hub.database.url.startswith("postgres") else "SQLite"
    shown = (
        ("admin.settings.title", hub.title), ("admin.settings.url", hub.address(visit.request)),
        ("admin.settings.signup", hub.sign_up), ("admin.settings.readonly", hub.registry.read_only),
        ("admin.settings.database", kind), ("admin.settings.blobs", type(hub.registry.storage.blobs).__name__),
    )  # fmt: skip
    policy = hub.registry.storage.policy
    return await visit.page("admin_settings.html", tab="settings", shown=shown, policy=policy)


async def first(visit: Visit) -> web.Response:
    return visit.go("/admin/users")


ROUTES = (
    Route("GET", "/admin", first),
    Route("GET", "/admin/users", users),
    Route("GET", "/admin/users/{owner:[^/]+}", user),
    Route("POST", "/admin/users/{owner:[^/]+}", save_user, user),
    Route("GET", "/admin/storage", storage),
    Route("GET", "/admin/jobs", jobs),
    Route("GET", "/admin/settings", settings),
)
