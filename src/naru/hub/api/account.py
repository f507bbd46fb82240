"""Routes about oneself: profile, password, second factor, tokens."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from naru.errors import Conflict, Forbidden, InvalidArgument, Unauthenticated
from naru.hub.api import shapes
from naru.hub.api.fields import EXACT, Field, Flag, Number, OrNull, Text, Time
from naru.hub.api.routes import PAGE_MOST, PAGE_SIZE, Call, Page, Route
from naru.hub.people import passwords, recovery, totp
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import SCOPES
from naru.hub.services import lookups, openid, people, sessions
from naru.oci.image import Json

T = TypeVar("T")

_PAGE = Field(Number(1, EXACT // 1000, clamped=True), "Number of the page, from 1", default=1)
_SIZE = Field(Number(1, PAGE_MOST, clamped=True), f"Entries of a page, at most {PAGE_MOST}", default=PAGE_SIZE)
NUMBERED = {"page": _PAGE, "page_size": _SIZE}
SIZE = {"page_size": _SIZE}
PASSWORD = Text(most=passwords.MAX_BYTES, least=1)
PROFILE = {
    "email": Field(Text(300)),
    "full_name": Field(Text(500)),
    "about": Field(Text(500)),
    "is_private": Field(Flag(), "Whether repositories made by a push are private"),
}
EXPIRY = Field(OrNull(Time()), "When it ends; null or absent: never")
_CONFIRMED = {"password": Field(PASSWORD, "The password, once more", must=True)}


def paged(call: Call, found: Sequence[T], show: Callable[[T], Json]) -> Page:
    """One page of a list that is short enough to be read whole."""
    return Page([show(one) for one in found[call.offset : call.offset + call.limit]], len(found))


def identifier(call: Call, part: str = "id") -> int:
    return int(call.path[part])


async def me(call: Call) -> Json:
    return shapes.me(await call.hub.read(call.who, lookups.whoami))


async def update(call: Call) -> Json:
    return shapes.full_account(await call.hub.do(call.who, people.update_account, await own_name(call), call.body))


async def own_name(call: Call) -> str:
    """Raises Forbidden for robots."""
    if call.who.principal.is_robot:
        raise Forbidden("only people can do this")
    return call.who.principal.name


async def confirmed(call: Call, password: str) -> Account:
    """The account that asks, whose password this is: for what a token that was found may not do. Raises Forbidden."""
    name = await own_name(call)
    try:
        return (await call.hub.identities.by_password(name, password, call.who.address)).account
    except Unauthenticated as error:
        raise Forbidden("password: is wrong") from error


async def set_password(call: Call) -> None:
    account = await confirmed(call, call.body["old_password"])
    hashed = await passwords.hash_password(call.body["new_password"])
    await call.hub.do(call.who, people.set_password, account.name, hashed)


async def new_totp(call: Call) -> Json:
    secret = totp.new_secret(secrets.token_bytes(totp.SECRET_BYTES))
    return {"secret": secret, "uri": totp.provisioning_uri(secret, await own_name(call), call.hub.issuer)}


async def enable_totp(call: Call) -> Json:
    account = await confirmed(call, call.body["password"])
    if account.has_totp:
        raise Conflict("there is a second factor already: disable it first")
    secret = call.body["secret"]
    step = totp.matching_step(secret, call.body["code"], call.who.now_s, None)
    if step is None:
        raise InvalidArgument("code: is not the one that an app with this secret shows now")
    codes = totp.recovery_codes(secrets.token_bytes(totp.RECOVERY_BYTES))
    digests = await asyncio.to_thread(recovery.digests, codes, secret)
    await call.hub.do(call.who, people.enable_totp, secret, step, digests)
    return {"recovery_codes": list(codes)}


async def disable_totp(call: Call) -> None:
    account = await confirmed(call, call.body["password"])
    await call.hub.do(call.who, people.disable_totp, account.name)


async def unlink(call: Call) -> None:
    await call.hub.do(call.who, openid.unlink)


async def list_sessions(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, sessions.sessions, ""), shapes.session)


async def end_session(call: Call) -> None:
    await call.hub.do(call.who, sessions.end, call.path["session"])


async def end_sessions(call: Call) -> None:
    await call.hub.do(call.who, sessions.end_others, "")


async def tokens(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, people.tokens), shapes.token)


async def create_token(call: Call) -> Json:
    body = call.body
    made, secret = await call.hub.do(call.who, people.create_token, body["name"], body["scope"], body.get("expires_at"))
    return {**shapes.token(made), "secret": secret}


async def update_token(call: Call) -> None:
    name, disabled = await own_name(call), call.body["is_disabled"]
    await call.hub.do(call.who, people.set_token_disabled, name, identifier(call), disabled)


async def delete_token(call: Call) -> None:
    await call.hub.do(call.who, people.delete_token, await own_name(call), identifier(call))


_NEW_TOKEN: dict[str, Any] = {
    "name": Field(Text(100, 1), must=True),
    "scope": Field(Text(choices=tuple(SCOPES)), "What it lets through of what the account may do", must=True),
    "expires_at": EXPIRY,
}
_DISABLED = {"is_disabled": Field(Flag(), must=True)}

ROUTES = (
    Route("GET", "/account", me, "Who one is", shapes.ME),
    Route("PATCH", "/account", update, "Change one's profile", shapes.FULL_ACCOUNT, body=PROFILE),
    Route(
        "PUT", "/account/password", set_password, "Change one's password; sessions and logins end", status=204,
        body={"old_password": Field(PASSWORD, must=True), "new_password": Field(PASSWORD, must=True)},
    ),
    Route("POST", "/account/totp", new_totp, "A new secret for an authenticator app, which is kept when it is confirmed", shapes.TOTP_SECRET),
    Route(
        "PUT", "/account/totp", enable_totp, "Enable the second factor, and get the recovery codes", shapes.RECOVERY_CODES,
        body={"secret": Field(Text(64, 26), must=True), "code": Field(Text(20, 6), must=True), **_CONFIRMED},
    ),
    Route("POST", "/account/totp/disable", disable_totp, "Disable the second factor", status=204, body=_CONFIRMED),
    Route("DELETE", "/account/oidc", unlink, "Do not log in by an OpenID provider any more", status=204),
    Route("GET", "/account/sessions", list_sessions, "Browsers one is logged in by", shapes.SESSION, query=NUMBERED, pages="numbered"),
    Route("DELETE", "/account/sessions", end_sessions, "End all of them", status=204),
    Route("DELETE", "/account/sessions/{session}", end_session, "End one of them", status=204),
    Route("GET", "/account/tokens", tokens, "One's tokens and logins", shapes.TOKEN, query=NUMBERED, pages="numbered"),
    Route("POST", "/account/tokens", create_token, "A new token; its secret is shown once", shapes.NEW_TOKEN, 201, body=_NEW_TOKEN),
    Route("PATCH", "/account/tokens/{id}", update_token, "Disable or enable a token", status=204, body=_DISABLED),
    Route("DELETE", "/account/tokens/{id}", delete_token, "Delete a token", status=204),
)  # fmt: skip
