"""Who somebody is: a name with a password, or a secret that stands for an account. Nothing here says what they may do.

Passwords are slow to verify on purpose; what has been found right is remembered for some minutes under a key of this process, as long
as the account's hash stays what it was. Whoever guesses is slowed down: by name and by address.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from naru.errors import Unauthenticated
from naru.hub.people import accounts, credentials, passwords
from naru.hub.people.permissions import Principal
from naru.hub.ratelimit import Limiter, Window, address_key
from naru.registry.database import Database
from naru.registry.errors import Refusal

_REMEMBERED_S = 300.0
_REMEMBERED = 4096
_FAILURES = Window(10, 300)
_SIGN_UPS = Window(20, 3600)  # of one address: each costs a slow hash
_GUESSES = 2  # at a time: as many as are hashed
_NAME_CHARACTERS = 300
_WRONG = "incorrect username or password"


class Identities:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, float] = {}  # digest of (name, password, hash) → until when
        self._failures = Limiter(_FAILURES)
        self._guesses = asyncio.Semaphore(_GUESSES)
        self._sign_ups = Limiter(_SIGN_UPS)

    async def by_password(self, name: str, password: str, address: str) -> accounts.Secrets:
        """The account, its second factor not yet asked for. Raises Unauthenticated; Refusal TOOMANYREQUESTS after ten failures in
        five minutes, right or wrong."""
        self._check_failures(name, address)
        found = await self._database.read(accounts.secrets, name)
        hashed = found.password if found and not found.account.is_disabled else None
        shown = f"{name}\0{password}\0{hashed}".encode("utf-8", "surrogateescape")
        key = hashlib.blake2b(shown, key=self._key).digest()
        if found and self._is_remembered(key):
            return found
        async with self.guess(name, address):
            if found and self._is_remembered(key):  # by another who came with it while this one waited
                return found
            if not await passwords.verify_password(hashed, password) or found is None or hashed is None:
                raise Unauthenticated(_WRONG)
            if passwords.needs_rehash(hashed):  # made when less was thought to be enough
                fresh = await passwords.hash_password(password)
                await self._database.write(accounts.rehash, found.account.id, hashed, fresh)
            self._remember(key)
        return found

    def _is_remembered(self, key: bytes) -> bool:
        return self._right.get(key, 0.0) > time.time()

    def _remember(self, key: bytes) -> None:
        while len(self._right) >= _REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[key] = time.time() + _REMEMBERED_S

    @asynccontextmanager
    async def guess(self, name: str, address: str) -> AsyncIterator[None]:
        """The time in which a password or a code is looked at; it was wrong if Unauthenticated is raised in it. Two at a time, so that
        many who come at once try no more than one after another. Raises Refusal TOOMANYREQUESTS."""
        async with self._guesses:
            self._check_failures(name, address)
            try:
                yield
            except Unauthenticated:
                self._note_failure(name, address)
                raise

    def check_sign_up(self, address: str) -> None:
        """Somebody there wants a new account. Raises Refusal TOOMANYREQUESTS after twenty in an hour."""
        verdict = self._sign_ups.take(address_key(address) if address else "", time.time())
        if not verdict.allowed:
            headers = {"Retry-After": str(int(verdict.retry_after_s) + 1)}
            raise Refusal(
                "TOOMANYREQUESTS", "too many new accounts from this address: try again later", headers=headers
            )

    async def by_secret(self, secret: str, address: str, *, name: str = "") -> Principal:
        """Whom a token stands for. With a name, that must be its account's, or `ORGANIZATION+ROBOT`. Raises Unauthenticated; Refusal
        TOOMANYREQUESTS for a wrong one only: a good one is good whoever else is behind that address, and no guess."""
        now_s = time.time()
        found = await self._database.read(credentials.principal, secret, now_s)
        if found is None or (name and name not in _names(*found)):
            self._check_failures("", address)
            self._note_failure("", address)
            raise Unauthenticated("incorrect username, or a token that is unknown, expired or disabled")
        principal, credential = found
        if credentials.wants_note(credential, now_s):
            await self._database.note(credentials.used, credential.id, now_s)
        return principal

    async def by_basic(self, authorization: str, address: str) -> Principal:
        """As the docker client says who its user is (RFC 7617): a password, or a token in its place.

        Raises Unauthenticated, also for a password where a second factor is wanted: there, only tokens are good.
        """
        name, password = _basic(authorization)
        if credentials.is_secret(password):
            return await self.by_secret(password, address, name=name)
        found = await self.by_password(name, password, address)
        if found.totp_secret is not None:
            raise Unauthenticated(
                "this account has a second factor: log in with a personal access token as the password"
            )
        return await self._database.read(accounts.principal, found.account)

    def _check_failures(self, name: str, address: str) -> None:
        for key in _keys(name, address):
            verdict = self._failures.peek(key, time.time())
            if not verdict.remaining:
                headers = {"Retry-After": str(int(verdict.retry_after_s) + 1)}
                raise Refusal("TOOMANYREQUESTS", "too many failed logins: try again later", headers=headers)

    def _note_failure(self, name: str, address: str) -> None:
        for key in _keys(name, address):
            self._failures.take(key, time.time())


def _keys(name: str, address: str) -> list[str]:
    """Of whom failures are counted. Nobody has a longer name, and what is tried is kept for a while."""
    names = [f"name:{name[:_NAME_CHARACTERS]}"] if name else []
    return names + ([f"address:{address_key(address)}"] if address else [])


def _names(principal: Principal, credential: credentials.Credential) -> tuple[str, ...]:
    if credential.kind == credentials.ROBOT:
        return (principal.name, principal.name.partition("+")[0])
    return (principal.name,)


def _basic(authorization: str) -> tuple[str, str]:
    """Raises Unauthenticated."""
    scheme, _, value = authorization.partition(" ")
    try:
        pair = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        pair = ""
    name, colon, password = pair.partition(":")
    if not colon or "\0" in pair or scheme.lower() != "basic":
        raise Unauthenticated("not Basic credentials")
    return name, password
