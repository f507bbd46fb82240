"""The authorisation server of the hub's registry: who comes with which credentials gets a token for what (distribution's "Docker
Registry v2 authentication using a central service").

GET with Basic or with nothing, and POST with OAuth2's form, as the clients of Docker and containerd speak them. A token lists the
*intersection* of what was asked for and what is held; too little is no error here: the registry says so later. Tokens are JWT signed by
a key of `signingkeys`, live five minutes, and are verified by `registry.tokens`.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import jwt
from aiohttp import web

from naru.errors import NaruError
from naru.hub import signingkeys
from naru.hub.catalog import repositories, upstreams
from naru.hub.people import accounts, credentials
from naru.hub.people.identity import Identities
from naru.hub.people.permissions import ANYBODY, EVERYTHING, Principal, RepositoryFacts, allowed, may_create
from naru.hub.signingkeys import SigningKey
from naru.oci.image import Json
from naru.registry.access import Action, Caller, Want
from naru.registry.context import json_answer, read_limited
from naru.registry.database import Connection, Database
from naru.registry.errors import Refusal, refusal_of
from naru.registry.routes import check_name
from naru.registry.tokens import Key, TokenAccess

log = logging.getLogger("naru.hub.authority")

TOKEN_PATH = "/token"
SERVICE = ISSUER = "naru-hub"
SCANNER = "+scanner"  # the subject of tokens for scanners: no account's name
TOKEN_S = 300
_LOOK_S = 60.0
_LOOK_AGAIN_S = 1.0  # for a key that is not known: anybody can name one
_SCOPES = 50
_SCOPE = re.compile(r"(?P<type>[a-z]+)(?:\([a-z]+\))?:(?P<name>[^\s,]{1,300}):(?P<actions>[a-z*,]*)")
_FORM_BYTES = 64 << 10
_BASIC = "Basic "


@dataclass(frozen=True, slots=True)
class Scope:
    type: str
    name: str
    actions: frozenset[str]

    def to_json(self) -> Json:
        return {"type": self.type, "name": self.name, "actions": sorted(self.actions)}


def parse_scopes(texts: Iterable[str]) -> list[Scope]:
    """Several in one text are separated by spaces; what is none is left out, as asking for nothing known gives nothing."""
    found: list[Scope] = []
    for text in (text for several in texts for text in several.split()):
        match = _SCOPE.fullmatch(text)
        if match and len(found) < _SCOPES:
            found.append(Scope(match["type"], match["name"], frozenset(filter(None, match["actions"].split(",")))))
    return found


def granted(c: Connection, principal: Principal, scopes: Sequence[Scope]) -> list[Scope]:
    """Of what was asked for, what is held; what is not held at all is left out."""
    found = []
    for scope in scopes:
        if scope.type == "repository":
            scope = replace(scope, name=repositories.spelled(scope.name))
            held = _on_repository(c, principal, scope.name)
        elif (
            (scope.type, scope.name) == ("registry", "catalog") and principal.is_admin and principal.reach == EVERYTHING
        ):
            held = frozenset({"*"})
        else:
            continue
        actions = held if "*" in scope.actions else held & scope.actions
        if actions:
            found.append(Scope(scope.type, scope.name, actions))
    return found


def _on_repository(c: Connection, principal: Principal, name: str) -> frozenset[str]:
    try:
        check_name(name)
    except Refusal:
        return frozenset()
    facts = repositories.facts(c, name)
    if facts is not None:
        return allowed(principal, facts)
    namespace = repositories.namespace_of(c, name)
    if namespace is None:
        return frozenset()
    if upstreams.find(c, namespace.id) is not None:  # pulling makes it, as what it will be
        return allowed(principal, RepositoryFacts(name, namespace.id, namespace.is_private)) & {"pull"}
    return may_create(principal, namespace.id, name)


class Authority:
    def __init__(self, database: Database, identities: Identities, keys: Sequence[SigningKey]) -> None:
        self._database = database
        self._identities = identities
        self._looked_at = time.monotonic()
        self._adopt(keys)

    @classmethod
    async def open(cls, database: Database, identities: Identities) -> Authority:
        return cls(database, identities, await database.write(signingkeys.renew, time.time()))

    async def run(self) -> None:
        """Keep up with the keys, until cancelled: another instance may have made one."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self.look()
            except NaruError as error:
                log.error("looking for signing keys: %s", error)

    async def keys_for(self, key_id: str) -> tuple[Key, ...]:
        """`keys`, looked for again (not too often) if this one is not among them."""
        if all(key.id != key_id for key in self.keys) and time.monotonic() - self._looked_at > _LOOK_AGAIN_S:
            await self.look()
        return self.keys

    async def look(self) -> None:
        """At the keys as they are now; other instances do within a minute."""
        self._looked_at = time.monotonic()
        now_s = time.time()
        keys = await self._database.read(signingkeys.current)
        if signingkeys.is_due(keys, now_s):
            keys = await self._database.write(signingkeys.renew, now_s)
        self._adopt(keys)

    def _adopt(self, keys: Sequence[SigningKey]) -> None:
        self._newest = keys[0]
        self.keys = tuple(key.public for key in keys)

    def sign(self, subject: str, scopes: Sequence[Scope], now_s: float, *, life_s: int = TOKEN_S) -> str:
        claims = {
            "iss": ISSUER, "sub": subject, "aud": SERVICE, "exp": int(now_s) + life_s, "nbf": int(now_s) - 10, "iat": int(now_s),
            "jti": secrets.token_hex(16), "access": [scope.to_json() for scope in scopes],
        }  # fmt: skip
        return self.seal(claims)

    def seal(self, claims: Json) -> str:
        """A JWT of these claims, which `keys` verify."""
        return jwt.encode(
            claims, self._newest.private, algorithm=signingkeys.ALGORITHM, headers={"kid": self._newest.id}
        )

    async def serve(self, request: web.Request) -> web.Response:
        """The handler of GET and POST."""
        try:
            response = await (self._post if request.method == "POST" else self._get)(request)
        except NaruError as error:
            response = _refused(refusal_of(error))
            if response.status >= 500:
                log.error("%s %s: %s", request.method, request.path, error)
        except Exception:  # the task's root: the client gets JSON, the log the trace
            log.exception("%s %s", request.method, request.path)
            response = _refused(Refusal("UNKNOWN"))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _get(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        principal = ANYBODY
        if authorization:
            principal = await self._identities.by_basic(authorization, request.remote or "")
        remember = request.query.get("offline_token") == "true"
        answer = await self._answer(principal, request.query.getall("scope", []), remember, request.query)
        return json_answer({"token": answer["access_token"], **answer})

    async def _post(self, request: web.Request) -> web.Response:
        """RFC 6749, 4.3 and 6. Raises Unauthenticated; Refusal UNSUPPORTED for another grant type."""
        form = await _read_form(request)
        address = request.remote or ""
        kind = form.get("grant_type")
        if kind == "refresh_token":
            principal = await self._identities.by_secret(form.get("refresh_token", ""), address)
        elif kind == "password":
            pair = f"{form.get('username', '')}:{form.get('password', '')}".encode("utf-8", "surrogateescape")
            principal = await self._identities.by_basic(_BASIC + base64.b64encode(pair).decode(), address)
        else:
            raise Refusal("UNSUPPORTED", "grant_type must be password or refresh_token", status=400)
        remember = kind == "password" and form.get("access_type") == "offline"
        answer = await self._answer(principal, [form.get("scope", "")], remember, form)
        if kind == "refresh_token":
            answer["refresh_token"] = form["refresh_token"]
        return json_answer(answer)

    async def _answer(self, principal: Principal, scopes: list[str], remember: bool, form: Mapping[str, Any]) -> Json:
        """`remember`: with a token in place of the password, which the client keeps instead of it."""
        now_s = time.time()
        held = await self._database.read(granted, principal, parse_scopes(scopes))
        issued_at = datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer: Json = {
            "access_token": self.sign(principal.name, held, now_s),
            "expires_in": TOKEN_S,
            "issued_at": issued_at,
            "scope": " ".join(f"{scope.type}:{scope.name}:{','.join(sorted(scope.actions))}" for scope in held),
        }
        if remember and principal.account and not principal.credential:
            client = str(form.get("client_id") or "docker")[:40]
            answer["refresh_token"] = await self._database.write(_remember, principal.name, client, now_s)
        return answer


def _refused(refusal: Refusal) -> web.Response:
    return web.Response(
        status=refusal.status, body=refusal.body(), content_type="application/json", headers=refusal.headers
    )


async def _read_form(request: web.Request) -> dict[str, str]:
    """Raises Refusal SIZE_INVALID for more than a form of credentials can be."""
    body = await read_limited(request, _FORM_BYTES, "SIZE_INVALID")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _remember(c: Connection, name: str, client: str, now_s: float) -> str:
    """A login that stands for the password: it can be seen, and ended, among the account's tokens."""
    account = accounts.get(c, name)
    label = f"{client} {datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M}"
    _, secret = credentials.create(c, account, credentials.LOGIN, label, EVERYTHING, now_s + credentials.LOGIN_S, now_s)
    return secret


class HubAccess(TokenAccess):
    """The registry's side: it believes the hub's tokens, and knows what is public."""

    def __init__(self, authority: Authority, database: Database) -> None:
        super().__init__(TOKEN_PATH, SERVICE, ISSUER, (), time.time)
        self._authority = authority
        self._database = database

    def keys(self) -> Sequence[Key]:
        return self._authority.keys

    async def keys_for(self, key_id: str) -> Sequence[Key]:
        return await self._authority.keys_for(key_id)

    async def readable(self, caller: Caller, names: Sequence[str]) -> list[str]:
        if self.may(caller, Want(Action.CATALOG)):
            return list(names)
        public = await self._database.read(repositories.public_among, names)
        return [name for name in names if name in public or self.may(caller, Want(Action.PULL, name))]
