"""Logging in by way of an OpenID provider: OpenID Connect Core 1.0 §3.1 (authorization code flow) with PKCE (RFC 7636).

How the site uses it, with two routes and a cookie:

1. `GET /oidc/login`: `started = await openid.begin(redirect_uri)`; set `started.cookie` as a cookie that is HttpOnly, SameSite=Lax (the
   way back is a navigation from elsewhere), of Max-Age `COOKIE_S`, and on https Secure, with a name beginning `__Host-`, so that no
   neighbour can plant one; redirect to `started.url`.
2. `GET /oidc/callback` (the `redirect_uri`, whole, with scheme and host, as registered there): `identity = await
   openid.finish(redirect_uri, cookie, request.query)`; delete the cookie; `await hub.do(who, services.openid.log_in, identity,
   sign_up=…)` gives the account to open a session for; or, of somebody who is logged in, `services.openid.link`.

State, nonce and PKCE's verifier are all made of the one secret in the cookie: whoever has not begun here cannot finish, nothing is kept
in between, and any instance can go on. A provider is named by the hub's owner; its requests go through an `Outbound` all the same, which
has to be one of `allow_private` for a provider on the hub's own network.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import jwt

from naru.errors import Forbidden, NaruError, Unavailable
from naru.hub.outbound import Outbound, read_limited
from naru.oci.image import Json, load_json

COOKIE_S = 600
_DISCOVERY = "/.well-known/openid-configuration"
_KNOWN_S = 3600.0  # how long what a provider says of itself is believed
_LEEWAY_S = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_ANSWER_BYTES = 1 << 20
_SUBJECT_LIMIT = 255  # Core §2


@dataclass(frozen=True, slots=True)
class Provider:
    """As registered there. `name` is what the button says. `allow_sign_up`: whether somebody new gets an account. Without `client_secret`
    the hub is a public client, whom PKCE alone protects."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name: str = "OpenID"
    allow_sign_up: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who came back. `subject` is `issuer#sub`, as accounts keep it; `username` may be anything; `email` only if it was verified."""

    subject: str
    username: str
    email: str
    full_name: str


class OpenIdConnect:
    def __init__(self, provider: Provider, outbound: Outbound) -> None:
        self.provider = provider
        self._outbound = outbound
        self._about: tuple[Json, float] | None = None
        self._keys: list[jwt.PyJWK] = []

    async def begin(self, redirect_uri: str) -> Started:
        """Raises Unavailable if the provider does not answer as one."""
        secret = secrets.token_urlsafe(32)
        return Started(await self.authorization_url(redirect_uri, secret), secret)

    async def authorization_url(self, redirect_uri: str, secret: str) -> str:
        """Where the browser that keeps this secret is to be sent."""
        endpoint = await self._endpoint("authorization_endpoint")
        challenge = _base64url(hashlib.sha256(_made_of(secret, "verifier").encode()).digest())
        query = {
            "response_type": "code", "client_id": self.provider.client_id, "redirect_uri": redirect_uri,
            "scope": " ".join(self.provider.scopes), "state": _made_of(secret, "state"), "nonce": _made_of(secret, "nonce"),
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def finish(self, redirect_uri: str, secret: str, query: Mapping[str, str]) -> Identity:
        """With what the browser brought back. Raises Forbidden for what was not begun by it, or not granted; Unavailable."""
        if not secret or not hmac.compare_digest(_bytes(query.get("state", "")), _bytes(_made_of(secret, "state"))):
            raise Forbidden("this login was not begun in this browser, or too long ago: log in again")
        about = await self._discovered()
        sender = query.get("iss")  # RFC 9207: of whom this answer is, if it says so
        wanted = about.get("authorization_response_iss_parameter_supported") is True
        if (wanted or sender is not None) and sender != self.provider.issuer:
            raise Forbidden(f"{self.provider.name}: the answer is another provider's")
        if "error" in query or not query.get("code"):
            why = query.get("error_description") or query.get("error") or "no code"
            raise Forbidden(f"{self.provider.name} did not let you in: {why[:200]}")
        tokens = await self._exchange(redirect_uri, query["code"], secret)
        claims = await self._verified(str(tokens.get("id_token") or ""), _made_of(secret, "nonce"))
        return await self._identity(claims, str(tokens.get("access_token") or ""))

    async def _exchange(self, redirect_uri: str, code: str, secret: str) -> Json:
        """Core §3.1.3: the code for tokens."""
        provider = self.provider
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "client_id": provider.client_id,
            "code_verifier": _made_of(secret, "verifier"),
        }  # fmt: skip
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        methods = (await self._discovered()).get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if provider.client_secret and "client_secret_basic" in methods:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"  # RFC 6749 §2.3.1
            sent["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif provider.client_secret:
            form["client_secret"] = provider.client_secret
        endpoint = await self._endpoint("token_endpoint")
        return await self._ask("POST", endpoint, sent, urlencode(form).encode())

    async def _verified(self, token: str, nonce: str) -> Json:
        """The claims of an ID token: Core §3.1.3.7. Raises Forbidden."""
        claims: Json | None = None
        for fresh in (False, True):  # a key that is not known may be a new one
            if fresh or not self._keys:
                await self._read_keys()
            if (claims := self._signed(token)) is not None:
                break
        if claims is None:
            raise Forbidden(
                f"{self.provider.name}: the ID token is not signed by the provider, or not for this hub, or not now"
            )
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != self.provider.client_id:
            raise Forbidden(f"{self.provider.name}: the ID token is another client's")
        if not hmac.compare_digest(_bytes(str(claims.get("nonce"))), _bytes(nonce)):
            raise Forbidden(f"{self.provider.name}: the ID token is of another login")
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_LIMIT:
            raise Forbidden(f"{self.provider.name}: the ID token is nobody's")
        return claims

    def _signed(self, token: str) -> Json | None:
        """By one of the keys that are known."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError:
            return None
        for key in self._keys:
            if key.public_key_use == "enc" or (key_id is not None and key.key_id not in (None, key_id)):
                continue
            try:
                return dict(
                    jwt.decode(
                        token, key.key, list(_ALGORITHMS), issuer=self.provider.issuer, audience=self.provider.client_id,
                        leeway=_LEEWAY_S, options={"require": ["iss", "sub", "aud", "exp", "iat"]},
                    )
                )  # fmt: skip
            except (jwt.PyJWTError, TypeError):  # the second: a key of another kind
                continue
        return None

    async def _read_keys(self) -> None:
        document = await self._ask("GET", await self._endpoint("jwks_uri"), {})
        try:
            self._keys = jwt.PyJWKSet.from_dict(document).keys
        except (jwt.PyJWTError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable(f"{self.provider.issuer}: no keys: {error}") from error

    async def _identity(self, claims: Json, access_token: str) -> Identity:
        """With what the provider tells apart from the ID token, if it told nothing there: Core §5.3."""
        if access_token and not {"preferred_username", "email"} & claims.keys():
            about = await self._discovered()
            if isinstance(about.get("userinfo_endpoint"), str):
                sent = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
                more = await self._ask("GET", await self._endpoint("userinfo_endpoint"), sent)
                if more.get("sub") != claims["sub"]:
                    raise Forbidden(f"{self.provider.name}: told about somebody else")
                claims = {**more, **claims}
        email = _text(claims.get("email"))
        return Identity(
            f"{self.provider.issuer}#{claims['sub']}", _text(claims.get("preferred_username")) or email.partition("@")[0],
            email if claims.get("email_verified") is True else "", _text(claims.get("name")),
        )  # fmt: skip

    # what the provider says of itself

    async def _discovered(self) -> Json:
        """OpenID Connect Discovery 1.0 §4. Raises Unavailable, also for one that says it is another."""
        now_s = time.monotonic()
        if self._about is None or now_s - self._about[1] > _KNOWN_S:
            found = await self._ask("GET", self.provider.issuer.rstrip("/") + _DISCOVERY, {})
            if found.get("issuer") != self.provider.issuer:
                raise Unavailable(f"{self.provider.issuer}: says that it is {str(found.get('issuer'))[:200]}")
            self._about = (found, now_s)
        return self._about[0]

    async def _endpoint(self, name: str) -> str:
        url = (await self._discovered()).get(name)
        secure = self.provider.issuer.startswith("https://")
        if not isinstance(url, str) or not url.startswith("https://" if secure else ("https://", "http://")):
            raise Unavailable(f"{self.provider.issuer}: has no {name} that can be trusted")
        return url

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Json:
        """A JSON object. Raises Unavailable; no secret is in its message."""
        try:
            async with self._outbound.request(method, url, body=body, headers=headers) as response:
                data = await read_limited(response, _ANSWER_BYTES)
                status = response.status
            document = load_json(data, url)
        except NaruError as error:
            raise Unavailable(f"{self.provider.name}: {error}") from error
        if status != 200:
            why = document.get("error_description") or document.get("error") or ""
            raise Unavailable(f"{self.provider.name}: {url} answered {status} {str(why)[:200]}")
        return document


def _made_of(secret: str, what: str) -> str:
    return _base64url(hmac.digest(secret.encode("utf-8", "surrogateescape"), f"naru oidc {what}".encode(), "sha256"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(value: Any) -> str:
    """A claim, if it is text that a database takes."""
    if not isinstance(value, str):
        return ""
    return "".join(one for one in value[:300] if one.isprintable()).strip()
