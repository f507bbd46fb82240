"""Logging in by OpenID Connect, against a small provider that does as it is told, lies included."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa
from peer import with_tables

from naru.errors import Conflict, Forbidden, Unavailable
from naru.hub.outbound import Outbound
from naru.hub.people import accounts
from naru.hub.people.oidc import Identity, OpenIdConnect, Provider
from naru.hub.people.permissions import ANYBODY
from naru.hub.services import openid
from naru.hub.services.who import Who

BACK = "https://hub.example/oidc/callback"
KEYS = [new_rsa(65537, 2048) for _ in range(2)]


def jwk(key: RSAPrivateKey, key_id: str) -> dict[str, Any]:
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig"}


class TestProvider:
    """`claims` and `about` are added to what it says; `signed` says how its next ID token is."""

    __test__ = False

    def __init__(self) -> None:
        self.issuer = ""
        self.codes: dict[str, dict[str, list[str]]] = {}
        self.about: dict[str, Any] = {}
        self.claims: dict[str, Any] = {
            "preferred_username": "Ann.Lee",
            "email": "ann@example.com",
            "email_verified": True,
        }
        self.userinfo: dict[str, Any] = {}
        self.key, self.key_id, self.algorithm = KEYS[0], "one", "RS256"
        self.published = {"keys": [jwk(KEYS[0], "one")]}
        self.asked = {"keys": 0, "about": 0}
        self.status = 200
        self.authorization = ""

    async def discovery(self, request: web.Request) -> web.Response:
        self.asked["about"] += 1
        return web.json_response(
            {
                "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/me", **self.about,
            }
        )  # fmt: skip

    async def keys(self, request: web.Request) -> web.Response:
        self.asked["keys"] += 1
        return web.json_response(self.published)

    def authorize(self, url: str) -> dict[str, str]:
        """What a browser does that is sent there, whose user agrees: the query it brings back."""
        query = parse_qs(urlsplit(url).query)
        code = f"code{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"][0]}

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.authorization = request.headers.get("Authorization", "") or form.get("client_secret", "")
        query = self.codes.pop(form.get("code", ""), None)
        if query is None or form["redirect_uri"] != query["redirect_uri"][0] or self.status != 200:
            return web.json_response({"error": "invalid_grant"}, status=400)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        assert [challenge.decode()] == query["code_challenge"] and query["code_challenge_method"] == ["S256"]
        now_s = int(time.time())
        claims = {
            "iss": self.issuer, "sub": "248289761001", "aud": "hub", "exp": now_s + 60, "iat": now_s, "nonce": query["nonce"][0],
            **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        key: Any = "x" * 64 if self.algorithm.startswith("HS") else None if self.algorithm == "none" else self.key
        token = jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": self.key_id} if self.key_id else {})
        return web.json_response({"access_token": "opaque", "token_type": "Bearer", "id_token": token})

    async def me(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer opaque"
        return web.json_response(self.userinfo)


@asynccontextmanager
async def providing() -> AsyncIterator[tuple[TestProvider, OpenIdConnect]]:
    there = TestProvider()
    app = web.Application()
    app.router.add_get("/op/.well-known/openid-configuration", there.discovery)
    app.router.add_get("/op/keys", there.keys)
    app.router.add_post("/op/token", there.token)
    app.router.add_get("/op/me", there.me)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    outbound = Outbound(allow_private=True)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        there.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}/op"
        yield there, OpenIdConnect(Provider(there.issuer, "hub", "s:ecret é"), outbound)
    finally:
        await outbound.close()
        await runner.cleanup()


async def login(there: TestProvider, openid: OpenIdConnect) -> Identity:
    started = await openid.begin(BACK)
    return await openid.finish(BACK, started.cookie, there.authorize(started.url))


async def test_a_login() -> None:
    async with providing() as (there, openid):
        started = await openid.begin(BACK)
        query = parse_qs(urlsplit(started.url).query)
        assert started.url.startswith(f"{there.issuer}/authorize?tenant=1&response_type=code&client_id=hub&")
        assert (query["redirect_uri"], query["scope"]) == ([BACK], ["openid profile email"])
        assert (
            started.cookie not in started.url
            and len({query[name][0] for name in ("state", "nonce", "code_challenge")}) == 3
        )
        identity = await openid.finish(BACK, started.cookie, there.authorize(started.url))
        assert identity == Identity(f"{there.issuer}#248289761001", "Ann.Lee", "ann@example.com", "")
        pair = base64.b64decode(there.authorization.removeprefix("Basic ")).decode()
        assert [unquote(part) for part in pair.split(":")] == ["hub", "s:ecret é"]
        await login(there, openid)
        assert there.asked == {"keys": 1, "about": 1}


async def test_only_the_browser_that_began_can_finish() -> None:
    async with providing() as (there, openid):
        started, other = await openid.begin(BACK), await openid.begin(BACK)
        query = there.authorize(started.url)
        for cookie, given in (
            (other.cookie, query), ("", query), (started.cookie, {"code": query["code"]}), ("", {}), ("", {"state": ""}),
            (started.cookie, {**query, "state": query["state"] + "x"}), (started.cookie, {**query, "state": "é\udcff"}),
        ):  # fmt: skip
            with pytest.raises(Forbidden, match="not begun in this browser"):
                await openid.finish(BACK, cookie, given)
        with pytest.raises(Forbidden, match="did not let you in: <no>"):
            await openid.finish(
                BACK, started.cookie, {"state": query["state"], "error": "access_denied", "error_description": "<no>"}
            )
        with pytest.raises(Forbidden, match="no code"):
            await openid.finish(BACK, started.cookie, {"state": query["state"]})
        await openid.finish(BACK, started.cookie, query)
        with pytest.raises(Unavailable, match="invalid_grant"):
            await openid.finish(BACK, started.cookie, query)  # a code is good once


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"}, {"aud": "other"}, {"aud": ["hub", "other"]}, {"azp": "other"}, {"nonce": "other"},
        {"nonce": None}, {"sub": None}, {"sub": ""}, {"sub": "x" * 256}, {"exp": int(time.time()) - 3600}, {"exp": None},
        {"iat": None}, {"iat": int(time.time()) + 3600}, {"iss": None},
    ],
)  # fmt: skip
async def test_tokens_that_are_not_for_this_login(claims: dict[str, Any]) -> None:
    async with providing() as (there, openid):
        there.claims.update(claims)
        with pytest.raises(Forbidden):
            await login(there, openid)


async def test_tokens_that_the_provider_did_not_sign() -> None:
    async with providing() as (there, openid):
        for algorithm, key, key_id in (
            ("none", KEYS[0], "one"), ("HS256", KEYS[0], "one"), ("RS256", KEYS[1], "one"), ("RS256", KEYS[1], ""),
            ("ES256", generate_private_key(SECP256R1()), "one"),
        ):  # fmt: skip
            there.algorithm, there.key, there.key_id = algorithm, key, key_id
            with pytest.raises(Forbidden, match="not signed by the provider"):
                await login(there, openid)
        for algorithm, key_id in (("RS256", "one"), ("PS512", "one"), ("RS256", "")):
            there.algorithm, there.key, there.key_id = algorithm, KEYS[0], key_id
            await login(there, openid)
        there.about = {"jwks_uri": f"{there.issuer}/keys"}
        there.published["keys"][0]["use"] = "enc"
        with pytest.raises(Forbidden):
            await login(there, OpenIdConnect(openid.provider, openid._outbound))


async def test_keys_rotate() -> None:
    async with providing() as (there, openid):
        await login(there, openid)
        there.key, there.key_id = KEYS[1], "two"
        with pytest.raises(Forbidden):
            await login(there, openid)  # a new key that is published nowhere
        there.published = {"keys": [jwk(KEYS[0], "one"), jwk(KEYS[1], "two")]}
        await login(there, openid)
        asked = there.asked["keys"]
        there.key, there.key_id = KEYS[0], "one"
        await login(there, openid)
        assert there.asked["keys"] == asked
        there.published = {"keys": []}
        there.key_id = "three"
        with pytest.raises(Unavailable, match="no keys"):
            await login(there, openid)


async def test_what_it_says_of_itself() -> None:
    async with providing() as (there, openid):
        for about, match in (
            ({"issuer": "https://other.example"}, "says that it is"), ({"token_endpoint": None}, "no token_endpoint"),
            ({"jwks_uri": "file:///etc/passwd"}, "no jwks_uri"), ({"authorization_endpoint": "javascript:1"}, "no authorization_endpoint"),
        ):  # fmt: skip
            there.about = about
            with pytest.raises(Unavailable, match=match):
                await login(there, OpenIdConnect(openid.provider, openid._outbound))
        there.about = {"authorization_response_iss_parameter_supported": True, "token_endpoint_auth_methods_supported": ["client_secret_post"]}  # fmt: skip
        again = OpenIdConnect(openid.provider, openid._outbound)
        with pytest.raises(Forbidden, match="another provider's"):
            await login(there, again)
        started = await again.begin(BACK)
        query = there.authorize(started.url)
        with pytest.raises(Forbidden, match="another provider's"):
            await again.finish(BACK, started.cookie, {**query, "iss": "https://other.example"})
        await again.finish(BACK, started.cookie, {**query, "iss": there.issuer})
        assert there.authorization == "s:ecret é"
        strict = OpenIdConnect(openid.provider, Outbound())
        with pytest.raises(Unavailable, match="loopback"):
            await strict.begin(BACK)
        with pytest.raises(Unavailable):
            await OpenIdConnect(replace(openid.provider, issuer="http://127.0.0.1:9/op"), openid._outbound).begin(BACK)


async def test_what_is_told_apart() -> None:
    async with providing() as (there, openid):
        there.claims = {}
        there.userinfo = {
            "sub": "248289761001",
            "preferred_username": "lee",
            "name": "Lee\0 \n안",
            "email": "a@b",
            "email_verified": False,
        }
        assert await login(there, openid) == Identity(f"{there.issuer}#248289761001", "lee", "", "Lee 안")
        there.userinfo["sub"] = "another"
        with pytest.raises(Forbidden, match="somebody else"):
            await login(there, openid)
        there.claims = {"email": 5, "preferred_username": ["x"], "name": None}
        assert (await login(there, openid)).username == ""


# accounts


async def test_accounts_are_found_again_or_made(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        who = Who(ANYBODY, "192.0.2.1", time.time())
        ann = Identity("https://op#1", "Ann.Lee@corp", "ann@example.com", "Ann Lee")
        first = await database.write(openid.log_in, who, ann, sign_up=True)
        assert (first.name, first.is_admin, first.email, first.has_password) == (
            "ann-lee",
            True,
            "ann@example.com",
            False,
        )
        assert (await database.write(openid.log_in, who, replace(ann, username="other"), sign_up=False)).id == first.id
        for username, expected in (
            ("ann-lee", "ann-lee-2"), ("ANN LEE", "ann-lee-3"), ("admin", "admin-2"), ("안녕", "user-2"), ("x", "user-x"), ("", "user-3"),
            ("a" * 300, "a" * 32), ("../../etc", "etc"), ("-", "user-4"),
        ):  # fmt: skip
            new = Identity(f"https://op#{username}", username, "not an address", "")
            made = await database.write(openid.log_in, who, new, sign_up=True)
            assert (made.name, made.is_admin, made.email) == (expected, False, "")
        with pytest.raises(Forbidden, match="nobody signs up"):
            await database.write(openid.log_in, who, replace(ann, subject="https://op#new"), sign_up=False)
        other = await database.write(openid.log_in, who, replace(ann, subject="https://evil#1"), sign_up=True)
        assert other.id != first.id  # the same number, and the same address, at another provider
        await database.write(lambda c: accounts.update(c, first.id, is_disabled=True))
        with pytest.raises(Forbidden, match="disabled"):
            await database.write(openid.log_in, who, ann, sign_up=True)


async def test_linking(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        now_s = time.time()

        async def user(name: str, password: str | None) -> Who:
            made = await database.write(lambda c: accounts.create(c, name, accounts.USER, now_s, password=password))
            return Who(await database.read(accounts.principal, made), "", now_s)

        ann, bob = await user("ann", "hash"), await user("bob", None)
        identity = Identity("https://op#1", "", "", "")
        await database.write(openid.link, ann, identity)
        await database.write(openid.link, ann, identity)
        with pytest.raises(Conflict, match="another account's"):
            await database.write(openid.link, bob, identity)
        assert (await database.write(openid.log_in, Who(ANYBODY, "", now_s), identity, sign_up=False)).name == "ann"
        await database.write(openid.unlink, ann)
        with pytest.raises(Conflict, match="no way in"):
            await database.write(openid.unlink, bob)
        with pytest.raises(Forbidden):
            await database.write(openid.log_in, Who(ANYBODY, "", now_s), identity, sign_up=False)
