"""Signing up, logging in with a password and then perhaps a code, logging out."""

from __future__ import annotations

from aiohttp import web

from naru.errors import Forbidden, NotFound, Unauthenticated
from naru.hub import secondstep
from naru.hub.pages.forms import Problem
from naru.hub.pages.site import Route
from naru.hub.pages.visit import SESSION, Visit, local
from naru.hub.people import accounts, credentials, passwords
from naru.hub.services import sessions, site


async def login(visit: Visit) -> web.Response:
    if visit.account:
        return visit.go(local(visit.asked("next", "/")))
    following = local(visit.form.raw("next") or visit.asked("next", "/"))
    openid = visit.hub.openid.provider.name if visit.hub.openid else ""
    return await visit.page("login.html", openid=openid, next=following)


async def check_password(visit: Visit) -> web.Response:
    """It does not tell whether there is such an account."""
    form = visit.form
    try:
        found = await visit.hub.identities.by_password(form.text("name"), form.raw("password"), visit.who.address)
    except Unauthenticated:
        raise Problem("problem.login") from None
    if found.totp_secret is None:
        return await enter(visit, found.account.id, form.raw("next", "/"))
    return await ask_code(visit, found.account.id)


async def ask_code(visit: Visit, account: int) -> web.Response:
    """Of somebody who has shown all the rest; also what other ways of logging in go on with."""
    return await _code_page(visit, await visit.hub.do(visit.who, sessions.ask_code, account))


async def _code_page(visit: Visit, ticket: str) -> web.Response:
    return await visit.page("login_code.html", ticket=ticket, next=local(visit.form.raw("next", "/")), secret=True)


async def check_code(visit: Visit) -> web.Response:
    ticket = visit.form.raw("ticket")
    try:
        account = await secondstep.show(visit.hub, visit.who, ticket, visit.form.text("code"))
    except NotFound:
        raise Problem("problem.login.late") from None
    except Unauthenticated:
        visit.problem, visit.status = visit.language("problem.code"), 400
        return await _code_page(visit, ticket)
    return await enter(visit, account, visit.form.raw("next", "/"))


async def enter(visit: Visit, account: int, following: str) -> web.Response:
    """A session begins for this account, which has shown all that there is to show; also what other ways of logging in end with."""
    agent = visit.request.headers.get("User-Agent", "").encode("utf-8", "replace").decode()
    cookie = await visit.hub.do(visit.who, sessions.begin, account, agent.replace("\0", ""))
    visit.remember(SESSION, cookie, int(credentials.BROWSER_S))
    return visit.go(local(following))


async def sign_up(visit: Visit) -> web.Response:
    if visit.account:
        return visit.go("/")
    first = await _may_sign_up(visit)
    return await visit.page("signup.html", first=first)


async def _may_sign_up(visit: Visit) -> bool:
    """Whether this would be the first account, which everybody who runs a hub has to make. Raises Forbidden."""
    first = not await visit.hub.database.read(accounts.has_people)
    if not first and not visit.hub.sign_up:
        raise Forbidden(visit.language("problem.signup"))
    return first


async def make_account(visit: Visit) -> web.Response:
    await _may_sign_up(visit)
    form = visit.form
    password = form.raw("password")
    if password != form.raw("again"):
        raise Problem("problem.again")
    name = accounts.check_name(form.text("name"))
    accounts.check_email(form.text("email"))
    passwords.check_password(password)
    visit.hub.identities.check_sign_up(visit.who.address)
    hashed = await passwords.hash_password(password)
    made = await visit.hub.do(
        visit.who, site.sign_up, name, form.text("email"), hashed, form.text("full_name"), is_open=visit.hub.sign_up
    )
    return await enter(visit, made.id, "/")


async def log_out(visit: Visit) -> web.Response:
    if visit.browser:
        await visit.hub.database.write(credentials.close_browser, visit.browser.digest)
    visit.remember(SESSION, "", 0)
    return visit.go("/")


ROUTES = (
    Route("GET", "/login", login),
    Route("POST", "/login", check_password, login),
    Route("POST", "/login/code", check_code, login),
    Route("GET", "/signup", sign_up),
    Route("POST", "/signup", make_account, sign_up),
    Route("POST", "/logout", log_out),
)
