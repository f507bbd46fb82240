"""Authorization headers for registries: answers challenges, asks token servers, keeps tokens while they live.

Owns the cache, keyed by (registry URL, scopes, credentials); a token never leaves the registry URL it was made for.
Specification: distribution "Token Authentication Specification" (GET) and "OAuth2 Token Authentication" (POST).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from naru.errors import Forbidden, Unauthenticated, Unavailable
from naru.remote.answers import token_refusal_text
from naru.remote.auth import (
    Challenge,
    Credentials,
    Token,
    check_realm,
    choose,
    may_send_secret,
    merge_scopes,
    parse_challenges,
    parse_token,
)

CLIENT_ID = "naru"
_CACHE_LIMIT = 512
_MARGIN_S = 10.0  # a token this near its end is not used for a new request


@dataclass(frozen=True, slots=True)
class Key:
    """Whose request it is: to which registry, for what, as whom."""

    registry_url: str  # scheme://host[:port]
    scopes: tuple[str, ...]
    credentials: Credentials | None


@dataclass(slots=True)
class _Entry:
    header: str = ""
    expires_s: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


# method, url, headers, form, registry URL → (status, body): one small exchange, no redirects, TOKEN_LIMIT_BYTES at most
Ask = Callable[[str, str, Mapping[str, str], bytes | None, str], Awaitable[tuple[int, bytes]]]


class TokenSource:
    def __init__(self, ask: Ask, trusted_realms: Iterable[str]) -> None:
        self._ask = ask
        self._trusted = frozenset(trusted_realms)
        self._entries: dict[Key, _Entry] = {}

    def cached(self, key: Key) -> str:
        """The header to begin with, or "" while nothing is known."""
        if key.credentials is not None and key.credentials.registry_token:
            return f"Bearer {key.credentials.registry_token}"
        entry = self._entries.get(key)
        return entry.header if entry is not None and time.monotonic() < entry.expires_s else ""

    async def answer(self, key: Key, challenges: Iterable[str], refused: str) -> str:
        """The header to try after a 401; `refused` is the header that was sent, "" if none.

        Raises Unauthenticated if there is nothing new to try. Concurrent requests for one key share one token.
        """
        challenge = choose(parse_challenges(challenges))
        if challenge is None or (key.credentials is not None and key.credentials.registry_token):
            raise Unauthenticated("unauthorized: authentication required")
        entry = self._entry(key)
        async with entry.lock:
            if (known := self.cached(key)) and known != refused:
                return known
            if challenge.scheme == "basic":
                entry.header, entry.expires_s = self._basic(key, refused), float("inf")
            else:
                token = await self.fetch(key, challenge)
                entry.header = f"Bearer {token.access}"
                entry.expires_s = time.monotonic() + max(token.life_s - _MARGIN_S, 1.0)
            return entry.header

    @staticmethod
    def _basic(key: Key, refused: str) -> str:
        if key.credentials is None or not key.credentials.username:
            raise Unauthenticated("no basic auth credentials")
        header = key.credentials.basic()
        if header == refused:
            raise Unauthenticated("unauthorized: incorrect username or password")
        return header

    def _entry(self, key: Key) -> _Entry:
        entry = self._entries.pop(key, None) or _Entry()
        while len(self._entries) >= _CACHE_LIMIT:  # the one not asked for longest goes; its waiters keep their object
            del self._entries[next(iter(self._entries))]
        self._entries[key] = entry
        return entry

    async def fetch(self, key: Key, challenge: Challenge, *, offline: bool = False) -> Token:
        """Ask the challenge's token server. Raises Unauthenticated, Forbidden, Unavailable.

        Credentials go along only if the realm may see them; `offline` asks for an identity token too.
        """
        realm, credentials = challenge.realm, key.credentials
        check_realm(realm, key.registry_url)
        host = urlsplit(realm).netloc
        if credentials and not may_send_secret(realm, key.registry_url, self._trusted):
            raise Forbidden(
                f"registry {key.registry_url} wants its credentials sent to {host}, another site: refused "
                "(list the host in trusted realms to allow it)"
            )
        scopes = merge_scopes(challenge.scope, *key.scopes)
        asked = [("service", challenge.service)] if challenge.service else []
        headers: dict[str, str] = {}
        if credentials and credentials.identity_token:
            form = [*asked, ("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("scope", " ".join(scopes))]
            form.append(("refresh_token", credentials.identity_token))
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            status, body = await self._ask("POST", realm, headers, urlencode(form).encode(), key.registry_url)
        else:
            if credentials:
                headers["Authorization"] = credentials.basic()
                asked.append(("account", credentials.username))
            if offline:
                asked += [("client_id", CLIENT_ID), ("offline_token", "true")]
            asked += [("scope", scope) for scope in scopes]
            url = realm + ("&" if urlsplit(realm).query else "?") + urlencode(asked) if asked else realm
            status, body = await self._ask("GET", url, headers, None, key.registry_url)
        return _read(status, body, host, anonymous=not credentials)


def _read(status: int, body: bytes, host: str, *, anonymous: bool) -> Token:
    if status == 200:
        return parse_token(body, host)
    message = token_refusal_text(body)
    if status in (400, 401, 403):
        default = "authentication required" if anonymous else "incorrect username or password"
        raise Unauthenticated(f"unauthorized: {message or default}")
    raise Unavailable(f"token server {host}: unexpected status code {status}" + (f": {message}" if message else ""))
