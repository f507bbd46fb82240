"""Short-lived tokens of the API itself, which clients of Docker Hub log in for: `POST /v2/auth/token`, `POST /v2/users/login`.

JWT signed by the key that signs the registry's tokens, of another audience, so that neither is good in place of the other. One says
by what it was got, a credential or the password: with that, it ends.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

import jwt

from naru.errors import NotFound, Unauthenticated
from naru.hub.authority import ISSUER, Authority
from naru.hub.people import accounts, credentials
from naru.hub.people.accounts import Account
from naru.hub.people.credentials import Credential
from naru.hub.people.permissions import Principal
from naru.registry.database import Connection, Database

AUDIENCE = "naru-hub-api"
TOKEN_S = 600
_LEEWAY_S = 10


class ApiTokens:
    def __init__(self, authority: Authority, database: Database) -> None:
        self._authority = authority
        self._database = database

    async def issue(self, principal: Principal) -> str:
        """For somebody who has just shown who they are."""
        now_s = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": principal.name, "iat": now_s, "exp": now_s + TOKEN_S}
        return self._authority.seal({**claims, **await self._database.read(_origin, principal)})

    async def principal(self, token: str) -> Principal:
        """Whom it was issued to. Raises Unauthenticated."""
        for key in await self._authority.keys_for(_named(token)):
            try:
                claims = jwt.decode(
                    token, key.public, list(key.algorithms), issuer=ISSUER, audience=AUDIENCE, leeway=_LEEWAY_S,
                    options={"require": ["exp", "account", "credential", "print"]},
                )  # fmt: skip
            except (jwt.InvalidTokenError, ValueError):  # the second: half a surrogate pair
                continue
            found = await self._database.read(_principal, claims, time.time())
            if found is not None:
                return found
        raise Unauthenticated("the token is unknown, expired or disabled")


def _named(token: str) -> str:
    """The key that it says has signed it."""
    try:
        return str(jwt.get_unverified_header(token).get("kid") or "")
    except (jwt.InvalidTokenError, ValueError):
        return ""


def _origin(c: Connection, principal: Principal) -> dict[str, Any]:
    account = accounts.by_id(c, principal.account)
    if account is None:
        raise Unauthenticated("authentication required")
    credential = credentials.get(c, account.id, principal.credential) if principal.credential else None
    return {"account": account.id, "credential": principal.credential, "print": _print(c, account, credential)}


def _print(c: Connection, account: Account, credential: Credential | None) -> str:
    """Of what was shown: not even one that gets the same number, or the same name, after it has the same."""
    if credential is not None:
        shown = f"{account.created_at} {credential.created_at}"
    else:
        known = accounts.secrets(c, account.name)
        shown = f"{account.created_at} {known.password if known else ''}"
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def _principal(c: Connection, claims: dict[str, Any], now_s: float) -> Principal | None:
    account = accounts.by_id(c, int(claims["account"]))
    if account is None or account.is_disabled:
        return None
    number = int(claims["credential"])
    try:
        credential = credentials.get(c, account.id, number) if number else None
    except NotFound:
        return None
    if claims["print"] != _print(c, account, credential):
        return None
    if credential is None:
        return accounts.principal(c, account)
    return credentials.principal_of(c, account, credential) if credential.is_good(now_s) else None
