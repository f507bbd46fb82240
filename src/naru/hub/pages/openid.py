"""Logging in by way of the hub's OpenID provider, and tying one's account to it. What is said to the provider is `oidc`'s.

Tying begins with a form of ours: a link could be followed by somebody who is logged in there as somebody else. The provider is then one
more click away, as no form's answer may lead to another site (form-action).
"""

from __future__ import annotations

from aiohttp import web

from naru.errors import NotFound
from naru.hub.pages.login import ask_code, enter
from naru.hub.pages.site import Route
from naru.hub.pages.visit import OPENID, Visit
from naru.hub.people.oidc import COOKIE_S, OpenIdConnect
from naru.hub.services import openid

_TIE = "tie."


def _provider(visit: Visit) -> OpenIdConnect:
    """Raises NotFound where there is none."""
    if visit.hub.openid is None:
        raise NotFound("this hub has no OpenID provider")
    return visit.hub.openid


def _return(visit: Visit) -> str:
    return f"{visit.hub.address(visit.request)}/oidc/callback"


async def begin(visit: Visit) -> web.Response:
    started = await _provider(visit).begin(_return(visit))
    visit.remember(OPENID, started.cookie, COOKIE_S)
    return visit.away(started.url)


async def tie(visit: Visit) -> web.Response:
    _ = visit.me
    provider = _provider(visit)
    if visit.form.raw("action") == "untie":
        await visit.hub.do(visit.who, openid.unlink)
        return visit.go("/settings/security", "done.saved")
    started = await provider.begin(_return(visit))
    visit.remember(OPENID, _TIE + started.cookie, COOKIE_S)
    return await visit.page(
        "openid_go.html", part="security", url=started.url, name=provider.provider.name, secret=True
    )


async def finish(visit: Visit) -> web.Response:
    provider = _provider(visit)
    kept = visit.request.cookies.get(visit.site.cookie_name(OPENID, visit.request), "")
    visit.remember(OPENID, "", 0)
    identity = await provider.finish(_return(visit), kept.removeprefix(_TIE), visit.request.query)
    if kept.startswith(_TIE):
        await visit.hub.do(visit.who, openid.link, identity)
        return visit.go("/settings/security", "done.saved")
    account = await visit.hub.do(visit.who, openid.log_in, identity, sign_up=provider.provider.allow_sign_up)
    if account.has_totp:  # which is this hub's: whoever has got into the account there has not shown it
        return await ask_code(visit, account.id)
    return await enter(visit, account.id, "/")


ROUTES = (
    Route("GET", "/oidc/login", begin),
    Route("POST", "/oidc/tie", tie),
    Route("GET", "/oidc/callback", finish),
)
