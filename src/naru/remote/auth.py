"""Who we are to a registry: credentials, challenges, scopes and realms. Pure; `tokens` does the asking.

Specification: distribution "Token Authentication Specification" and "Token Scope Documentation"; RFC 9110 §11.6.1.
The rule of the house: a secret goes to the registry it was given for, to a token server of the same site, and nowhere
else, and never from https to http.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from naru.errors import Forbidden, Unauthenticated, Unavailable
from naru.oci.image import load_json

TOKEN_LIMIT_BYTES = 1 << 20
_MIN_LIFE_S = 60  # the specification's default and minimum

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*,?\s*({_TOKEN})(?:\s+(?!\s*=)|\s*$|\s*(?=,))")
_PARAMETER = re.compile(rf'\s*,?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*')
# The second-level names under a two-letter country that are registries themselves: a site is one label more there.
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user has for one registry; any of the fields may be empty. Secrets do not show in its repr."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)  # a refresh token, exchanged for access tokens
    registry_token: str = field(default="", repr=False)  # an access token, sent as it is

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Challenge:
    scheme: str  # lower case: basic, bearer
    realm: str = ""
    service: str = ""
    scope: str = ""
    error: str = ""


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """All challenges of all WWW-Authenticate headers, in order; what does not parse ends its header, silently."""
    found: list[Challenge] = []
    for value in values:
        at = 0
        while match := _SCHEME.match(value, at):
            at = match.end()
            parameters: dict[str, str] = {}
            while (pair := _PARAMETER.match(value, at)) is not None:
                quoted, plain = pair.group(2), pair.group(3)
                parameters[pair.group(1).lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                at = pair.end()
            fields = {name: parameters.get(name, "") for name in ("realm", "service", "scope", "error")}
            found.append(Challenge(match.group(1).lower(), **fields))
    return tuple(found)


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """The one we answer: Bearer before Basic, others not at all."""
    by_scheme = {challenge.scheme: challenge for challenge in reversed(list(challenges))}
    return by_scheme.get("bearer") or by_scheme.get("basic")


def repository_scope(path: str, *, push: bool = False) -> str:
    return f"repository:{path}:{'pull,push' if push else 'pull'}"


def merge_scopes(*scopes: str) -> tuple[str, ...]:
    """One scope per resource with all actions asked for; sorted, so that equal wishes are equal keys."""
    actions: dict[str, set[str]] = {}
    for scope in " ".join(scopes).split():
        resource, _, wanted = scope.rpartition(":")
        actions.setdefault(resource, set()).update(wanted.split(","))
    return tuple(f"{resource}:{','.join(sorted(wanted))}" for resource, wanted in sorted(actions.items()))


def is_loopback(host: str) -> bool:
    """True for localhost, 127.0.0.0/8 and ::1; `host` without port."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _site(host: str) -> str:
    """The registrable domain, near enough: the last two labels, or three under co.uk and the like; an address is its own."""
    if is_loopback(host):
        return "localhost"
    labels = host.lower().rstrip(".").split(".")
    if ":" in host or labels[-1].isdigit():
        return host
    country = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3 if country else -2 :])


def check_realm(realm: str, registry_url: str) -> None:
    """Raises Unavailable for a realm that is no http(s) URL, Forbidden for one in clear text for a registry on https."""
    target = urlsplit(realm)
    if target.scheme not in ("http", "https") or not target.hostname or target.username is not None:
        raise Unavailable(f"registry {registry_url}: invalid token realm {realm[:200]!r}")
    if target.scheme == "http" and registry_url.startswith("https:"):
        raise Forbidden(f"registry {registry_url}: refusing token realm {target.hostname!r}: it is not https")


def may_send_secret(realm: str, registry_url: str, trusted: Iterable[str]) -> bool:
    """True if the realm belongs to the registry's site, or its host to the ones the user trusts with credentials."""
    host = urlsplit(realm).hostname or ""
    return _site(host) == _site(urlsplit(registry_url).hostname or "") or host in trusted


@dataclass(frozen=True, slots=True)
class Token:
    access: str = field(repr=False)
    life_s: int
    refresh: str = field(default="", repr=False)


def parse_token(raw: bytes, host: str) -> Token:
    """A token server's answer. Raises Unauthenticated if there is no usable token in it."""
    document = load_json(raw, f"token server {host}")
    access = document.get("token") or document.get("access_token")
    if not isinstance(access, str) or not access.isprintable() or " " in access:
        raise Unauthenticated(f"token server {host}: authorization server did not include a token in the response")
    life, refresh = document.get("expires_in"), document.get("refresh_token")
    life_s = life if isinstance(life, int) and not isinstance(life, bool) else _MIN_LIFE_S
    return Token(access, max(life_s, _MIN_LIFE_S), refresh if isinstance(refresh, str) else "")
