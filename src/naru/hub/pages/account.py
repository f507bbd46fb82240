"""Oneself: profile, password, tokens, sessions."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from naru.errors import Unauthenticated
from naru.hub.pages.forms import Problem, number
from naru.hub.pages.site import Route
from naru.hub.pages.visit import SESSION, Visit
from naru.hub.people import credentials, passwords
from naru.hub.people.permissions import SCOPES
from naru.hub.services import people, sessions

_DAY_S = 86400.0
EXPIRIES = ("30", "90", "365", "")


async def profile(visit: Visit) -> web.Response:
    _ = visit.me
    return await visit.page("account_profile.html", part="profile")


async def save_profile(visit: Visit) -> web.Response:
    form = visit.form
    values: dict[str, Any] = {name: form.text(name) for name in ("full_name", "email", "about")}
    values["is_private"] = form.raw("default_visibility") != "public"
    await visit.hub.do(visit.who, people.update_account, visit.me.name, values)
    return visit.go("/settings", "done.saved")


async def delete_account(visit: Visit) -> web.Response:
    me = visit.me
    if visit.form.text("confirm") != me.name:
        raise Problem("problem.confirm")
    await prove(visit)
    await visit.hub.do(visit.who, people.delete_account, me.name)
    visit.remember(SESSION, "", 0)
    return visit.go("/", "done.account.deleted")


async def prove(visit: Visit) -> None:
    """That it is the account's owner who sits there. Raises Problem; Refusal after too many tries."""
    me = visit.me
    if not me.has_password:
        return
    try:
        await visit.hub.identities.by_password(me.name, visit.form.raw("current"), visit.who.address)
    except Unauthenticated:
        raise Problem("problem.password") from None


async def security(visit: Visit) -> web.Response:
    _ = visit.me
    openid = visit.hub.openid
    return await visit.page(
        "account_security.html", part="security", openid_name=openid.provider.name if openid else ""
    )


async def save_password(visit: Visit) -> web.Response:
    form = visit.form
    await prove(visit)
    if form.raw("password") != form.raw("again"):
        raise Problem("problem.again")
    hashed = await passwords.hash_password(form.raw("password"))
    this = visit.browser.digest if visit.browser else ""
    await visit.hub.do(visit.who, people.set_password, visit.me.name, hashed, this)
    return visit.go("/settings/security", "done.password")


async def tokens(visit: Visit, secret: str = "") -> web.Response:
    _ = visit.me
    found = await visit.hub.read(visit.who, people.tokens)
    return await visit.page(
        "account_tokens.html", part="tokens", tokens=[one for one in found if one.kind == credentials.PERSONAL],
        logins=[one for one in found if one.kind == credentials.LOGIN], scopes=tuple(SCOPES), expiries=EXPIRIES,
        token_secret=secret, secret=bool(secret),
    )  # fmt: skip


async def create_token(visit: Visit) -> web.Response:
    form = visit.form
    expires_at = expiry(visit)
    _, secret = await visit.hub.do(visit.who, people.create_token, form.text("title"), form.raw("scope"), expires_at)
    return await tokens(visit, secret)


def expiry(visit: Visit) -> float | None:
    """Of the days that were chosen."""
    days = visit.form.number("days")
    return visit.who.now_s + min(days, 36500) * _DAY_S if days else None


async def change_token(visit: Visit) -> web.Response:
    token = number(visit.part("token"), "token")
    owner, action = visit.me.name, visit.form.raw("action")
    if action == "delete":
        await visit.hub.do(visit.who, people.delete_token, owner, token)
        return visit.go("/settings/tokens", "done.token.deleted")
    await visit.hub.do(visit.who, people.set_token_disabled, owner, token, action == "disable")
    return visit.go("/settings/tokens", "done.saved")


async def show_sessions(visit: Visit) -> web.Response:
    _ = visit.me
    this = visit.browser.digest if visit.browser else ""
    found = await visit.hub.read(visit.who, sessions.sessions, this)
    return await visit.page("account_sessions.html", part="sessions", sessions=found)


async def end_session(visit: Visit) -> web.Response:
    this = visit.browser.digest if visit.browser else ""
    if "others" in visit.form:
        await visit.hub.do(visit.who, sessions.end_others, this)
    else:
        await visit.hub.do(visit.who, sessions.end, visit.form.raw("key"))
    return visit.go("/settings/sessions", "done.session.ended")


ROUTES = (
    Route("GET", "/settings", profile),
    Route("POST", "/settings", save_profile, profile),
    Route("POST", "/settings/delete", delete_account, profile),
    Route("GET", "/settings/security", security),
    Route("POST", "/settings/security", save_password, security),
    Route("GET", "/settings/tokens", tokens),
    Route("POST", "/settings/tokens", create_token, tokens),
    Route("POST", "/settings/tokens/{token:[0-9]+}", change_token, tokens),
    Route("GET", "/settings/sessions", show_sessions),
    Route("POST", "/settings/sessions", end_session, show_sessions),
)
