"""The paths of Docker Hub's own API that its clients use (there on hub.docker.com), below `/v2`, with Docker Hub's names of things.

| path | |
|---|---|
| `POST /v2/auth/token`, `POST /v2/users/login`, `/v2/users/2fa-login` | a token of ten minutes for Authorization: Bearer; see `tokens` |
| `/v2/access-tokens[/UUID]` | personal access tokens |
| `/v2/namespaces/NS/repositories[/R[/tags[/T]]]`, `/v2/repositories/NS/[R/[tags/[T]]]` | repositories and tags, GET and HEAD |
| `…/NS/repositories/R/immutabletags[/verify]` | which tags cannot be moved, by regular expressions |
| `/v2/orgs/O/members` | who belongs to an organization |
| `/v2/search/repositories?query=` | search |

The registry is below `/v2` as well. These paths take nothing from it: their first words are names that no account can have
(`accounts.RESERVED`), so that no repository begins with one. Docs: docs.docker.com/reference/api/hub/latest.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web

from naru.errors import NotFound, Unauthenticated
from naru.hub import secondstep
from naru.hub.api.account import NUMBERED, PASSWORD, own_name, paged
from naru.hub.api.fields import Field, Flag, ListOf, OrNull, Text, Time, time_text
from naru.hub.api.routes import Call, Page, Route, Table
from naru.hub.api.serve import make_handler
from naru.hub.api.tokens import ApiTokens
from naru.hub.catalog.repositories import DAY_S, Profile, Query
from naru.hub.catalog.taglists import Tag
from naru.hub.catalog.tagpatterns import TagPattern, expression
from naru.hub.parts import Hub
from naru.hub.people import accounts, credentials
from naru.hub.people.accounts import Account
from naru.hub.people.credentials import PERSONAL, Credential
from naru.hub.people.permissions import scope_of
from naru.hub.services import lookups, people, repos, sessions, site
from naru.hub.services.lookups import Part
from naru.oci.image import Json

# Docker Hub's scopes, and ours
SCOPES = {"repo:admin": "delete", "repo:write": "write", "repo:read": "read", "repo:public_read": "public"}
_SECOND_STEP = "Require secondary authentication on MFA enabled account"
_MATCHES = 1000  # tags in an answer
_ORDERINGS = {"last_updated": "updated", "name": "name", "pull_count": "pulls"}


class Login:
    """`Route`s have no place for what only these two need."""

    def __init__(self, tokens: ApiTokens) -> None:
        self._tokens = tokens

    async def auth_token(self, call: Call) -> Json:
        return {"access_token": await self._issue(call, call.body["identifier"], call.body["secret"])}

    async def users_login(self, call: Call) -> Json | web.Response:
        name, password = call.body["username"], call.body["password"]
        if credentials.is_secret(password):
            return {"token": await self._issue(call, name, password)}
        found = await call.hub.identities.by_password(name, password, call.who.address)
        if found.totp_secret is None:
            return await self._token_of(call, found.account.id)
        ticket = await call.hub.do(call.who, sessions.ask_code, found.account.id)
        return web.json_response(
            {"detail": _SECOND_STEP, "message": _SECOND_STEP, "login_2fa_token": ticket}, status=401
        )

    async def second_login(self, call: Call) -> Json:
        """With a code of an authenticator app, or a recovery code."""
        account = await secondstep.show(call.hub, call.who, call.body["login_2fa_token"], call.body["code"])
        return await self._token_of(call, account)

    async def _token_of(self, call: Call, account: int) -> Json:
        principal = await call.hub.database.read(accounts.principal_by_id, account)
        return {"token": await self._tokens.issue(principal)}

    async def _issue(self, call: Call, name: str, secret: str) -> str:
        if ":" in name:
            raise Unauthenticated("incorrect username or password")
        pair = base64.b64encode(f"{name}:{secret}".encode()).decode()
        principal = await call.hub.identities.by_basic(f"Basic {pair}", call.who.address)
        return await self._tokens.issue(principal)


# repositories


async def repositories(call: Call) -> Page:
    namespace = call.path["namespace"]
    await call.hub.read(call.who, site.place, namespace)
    sort = _ORDERINGS.get(call.query.get("ordering", "").removeprefix("-"), "updated")
    query = Query(call.query.get("name", ""), namespace=namespace, sort=sort)
    found, total = await call.hub.read(call.who, lookups.search, query, call.offset, call.limit)
    return Page([_repository(profile, categories) for profile, categories, _ in found], total)


def _repository(one: Profile, categories: Sequence[str]) -> Json:
    namespace, _, name = one.name.partition("/")
    return {
        "name": name, "namespace": namespace, "repository_type": "image", "status": 1, "status_description": "active",
        "description": one.summary, "is_private": one.is_private, "star_count": one.stars, "pull_count": one.pulls,
        "last_updated": time_text(one.updated_at), "last_modified": time_text(one.updated_at),
        "date_registered": time_text(one.created_at), "affiliation": "", "media_types": [], "content_types": ["image"],
        "categories": [{"name": each, "slug": re.sub("[^a-z]+", "-", each.lower())} for each in categories],
    }  # fmt: skip


async def repository(call: Call) -> Json:
    found = await call.hub.read(call.who, lookups.repository, call.repository)
    readme, _ = await call.hub.read(call.who, lookups.readme, call.repository)
    profile = found.profile
    rules = list(map(expression, profile.immutable.split()))
    return {
        **_repository(profile, found.categories), "user": profile.owner, "hub_user": profile.owner, "is_automated": False,
        "collaborator_count": 0, "has_starred": found.is_starred, "full_description": readme,
        "permissions": {
            "read": "pull" in found.actions, "write": "push" in found.actions,
            "admin": found.level.name == "ADMIN" and "delete" in found.actions,
        },
        "immutable_tags_settings": {"enabled": bool(rules), "rules": rules},
    }  # fmt: skip


async def set_immutable_tags(call: Call) -> Json:
    rules = [_rule(one) for one in call.body["immutable_tags_rules"]] if call.body["immutable_tags"] else []
    await call.hub.do(call.who, repos.update, call.repository, {"immutable": " ".join(rules)})
    return await repository(call)


async def verify_immutable_tags(call: Call) -> Json:
    call_tags = partial(repos.matching_tags, pattern=_rule(call.body["regex"]), limit=_MATCHES)
    return {"tags": await call.hub.database.scan(call_tags, call.who, call.repository)}


def _rule(text: str) -> str:
    """A regular expression of Docker Hub's, always of the whole tag, as ours. Raises InvalidArgument."""
    pattern = f"^{text.removeprefix('^').removesuffix('$')}$"
    TagPattern.parse(pattern)
    return pattern


async def tags(call: Call) -> Page:
    found, total = await call.hub.read(
        call.who,
        repos.tags,
        call.repository,
        containing=call.query.get("name", ""),
        offset=call.offset,
        limit=call.limit,
    )
    parts = await call.hub.read(call.who, lookups.tagged_parts, call.repository, [one.digest for one in found])
    return Page([_tag(one, images) for one, images in zip(found, parts, strict=True)], total)


async def tag(call: Call) -> Json:
    found = await call.hub.read(call.who, repos.tag, call.repository, call.path["tag"])
    (parts,) = await call.hub.read(call.who, lookups.tagged_parts, call.repository, [found.digest])
    return _tag(found, parts)


def _tag(one: Tag, parts: Sequence[Part]) -> Json:
    pushed = time_text(one.pushed_at)
    pulled = None if one.last_pull_day is None else time_text(one.last_pull_day * DAY_S)
    images = [_image(part) for part in parts if part.image is None or part.image.os != "unknown"]
    return {
        "name": one.name, "digest": one.digest, "media_type": one.media_type, "content_type": "image", "images": images,
        "last_updated": pushed, "full_size": one.size_bytes, "v2": True, "tag_status": "active",
        "tag_last_pushed": pushed, "tag_last_pulled": pulled,
    }  # fmt: skip


def _image(part: Part) -> Json:
    image = part.image
    return {
        "architecture": image.architecture if image else "", "os": image.os if image else "",
        "variant": (image.variant or None) if image else None, "features": "", "os_features": "", "os_version": None,
        "digest": part.digest, "size": part.size_bytes, "status": "active", "last_pushed": time_text(part.pushed_at),
        "last_pulled": None,
    }  # fmt: skip


async def search(call: Call) -> Page:
    query = Query(call.query.get("query", ""))
    found, total = await call.hub.read(call.who, lookups.search, query, call.offset, call.limit)
    shown = [
        {
            "repo_name": one.name.removeprefix("library/"), "short_description": one.summary, "star_count": one.stars,
            "pull_count": one.pulls, "repo_owner": "", "is_automated": False, "is_official": one.badge == "official",
        }
        for one, _, _ in found
    ]  # fmt: skip
    return Page(shown, total)


# people


async def members(call: Call) -> Page:
    found = await call.hub.read(call.who, people.members, call.path["organization"], "", 10_000)
    return paged(call, found, _member)


def _member(one: tuple[Account, str]) -> Json:
    account, role = one
    return {
        "id": str(UUID(int=account.id)), "username": account.name, "full_name": account.full_name, "email": "", "type": "User",
        "role": role.capitalize(), "groups": [], "is_guest": False, "date_joined": time_text(account.created_at),
    }  # fmt: skip


async def tokens(call: Call) -> Page:
    found = await call.hub.read(call.who, people.tokens)
    return paged(call, [one for one in found if one.kind == PERSONAL], _token)


async def token(call: Call) -> Json:
    return _token(await _find_token(call))


async def create_token(call: Call) -> Json:
    body = call.body
    scopes = [SCOPES[one] for one in body["scopes"]]
    widest = next(ours for ours in SCOPES.values() if ours in scopes)
    made, secret = await call.hub.do(call.who, people.create_token, body["token_label"], widest, body.get("expires_at"))
    return {**_token(made), "token": secret}


async def update_token(call: Call) -> Json:
    found = await _find_token(call)
    disabled = not call.body["is_active"]
    await call.hub.do(call.who, people.set_token_disabled, await own_name(call), found.id, disabled)
    return await token(call)


async def delete_token(call: Call) -> None:
    found = await _find_token(call)
    await call.hub.do(call.who, people.delete_token, await own_name(call), found.id)


async def _find_token(call: Call) -> Credential:
    for one in await call.hub.read(call.who, people.tokens):
        if one.kind == PERSONAL and str(UUID(int=one.id)) == call.path["uuid"]:
            return one
    raise NotFound("access token not found")


def _token(one: Credential) -> Json:
    ours = scope_of(one.reach)
    return {
        "uuid": str(UUID(int=one.id)), "client_id": "", "creator_ip": "", "creator_ua": "", "generated_by": "manual",
        "created_at": time_text(one.created_at), "last_used": time_text(one.used_at), "expires_at": time_text(one.expires_at),
        "is_active": not one.is_disabled, "token": "", "token_label": one.name,
        "scopes": [theirs for theirs, scope in SCOPES.items() if scope == ours],
    }  # fmt: skip


# the table

_REPOSITORIES = {"name": Field(Text(200)), "ordering": Field(Text(50)), **NUMBERED}
_TAGS = {"name": Field(Text(128)), **NUMBERED}
_SEARCH = {"query": Field(Text(200)), **NUMBERED}
_SECOND_LOGIN = {"login_2fa_token": Field(Text(200, 1), must=True), "code": Field(Text(100, 1), must=True)}
_RULE = Text(254, 1)
_IMMUTABLE = {
    "immutable_tags": Field(Flag(), must=True),
    "immutable_tags_rules": Field(ListOf(_RULE, most=20), must=True),
}
_SECRET = Field(PASSWORD, must=True)
_NAME = Field(Text(100, 1), must=True)
_NEW_TOKEN: dict[str, Any] = {
    "token_label": _NAME,
    "scopes": Field(ListOf(Text(choices=tuple(SCOPES)), most=len(SCOPES), least=1), must=True),
    "expires_at": Field(OrNull(Time())),
}


def routes(login: Login) -> Iterator[Route]:
    """Of paths below `/v2`. What they answer is Docker Hub's, and not described."""
    yield Route("POST", "/auth/token", login.auth_token, "", body={"identifier": _NAME, "secret": _SECRET}, login=False)
    yield Route(
        "POST", "/users/login", login.users_login, "", body={"username": _NAME, "password": _SECRET}, login=False
    )
    yield Route("POST", "/users/2fa-login", login.second_login, "", body=_SECOND_LOGIN, login=False)
    for where in ("/namespaces/{namespace}/repositories", "/repositories/{namespace}"):
        yield Route("GET", where, repositories, "", query=_REPOSITORIES, login=False)
        yield Route("GET", where + "/{name}", repository, "", login=False)
        yield Route("PATCH", where + "/{name}/immutabletags", set_immutable_tags, "", body=_IMMUTABLE)
        yield Route(
            "POST",
            where + "/{name}/immutabletags/verify",
            verify_immutable_tags,
            "",
            body={"regex": Field(_RULE, must=True)},
        )
        yield Route("GET", where + "/{name}/tags", tags, "", query=_TAGS, login=False)
        yield Route("GET", where + "/{name}/tags/{tag}", tag, "", login=False)
    yield Route("GET", "/search/repositories", search, "", query=_SEARCH, login=False)
    yield Route("GET", "/orgs/{organization}/members", members, "", query=NUMBERED)
    yield Route("GET", "/access-tokens", tokens, "", query=NUMBERED)
    yield Route("POST", "/access-tokens", create_token, "", status=201, body=_NEW_TOKEN)
    yield Route("GET", "/access-tokens/{uuid}", token, "")
    yield Route("PATCH", "/access-tokens/{uuid}", update_token, "", body={"is_active": Field(Flag(), must=True)})
    yield Route("DELETE", "/access-tokens/{uuid}", delete_token, "", status=204)


def add_routes(app: web.Application, hub: Hub, tokens: ApiTokens) -> None:
    table = Table(routes(Login(tokens)))
    handler = make_handler(hub, tokens, table, "/v2", strict=False)
    for route in table.routes:
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            app.router.add_route(method, f"/v2{route.path}{{slash:/?}}", handler)
