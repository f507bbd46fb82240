"""Tokens of an authorisation server elsewhere, verified without asking it (distribution's "Docker Registry v2 authentication").

A caller without one, or with one for too little, is told where to get it and for what. The server's keys come from a file:
PEM certificates or public keys, or a JSON Web Key Set (RFC 7517). Tokens are JWT (RFC 7519), signed by RSA, ECDSA or EdDSA; what a
token allows is in its claim `access`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from naru.errors import InvalidArgument
from naru.registry.access import Action, Caller, Want
from naru.registry.errors import Refusal

_LEEWAY_S = 60  # between two clocks
_REMEMBERED = 1024
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
# what a scope asks for, by what is wanted: a push reads too
_ACTIONS = {Action.PULL: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}
_CATALOG = ("registry", "catalog", "*")


@dataclass(frozen=True, slots=True)
class Key:
    id: str  # "" for one of a PEM file
    public: Any
    algorithms: tuple[str, ...]


class TokenAccess:
    """`realm` is the server's address (a path: on this very host), `service` this registry's name there, `issuer` the server's in its tokens."""

    def __init__(self, realm: str, service: str, issuer: str, keys: Sequence[Key], now_s: Callable[[], float]) -> None:
        self._realm, self._service, self._issuer = realm, service, issuer
        self._keys = keys
        self._now_s = now_s
        self._known: dict[
            bytes, tuple[Caller, float, Key]
        ] = {}  # digest of a token → whose, until when, signed by which key

    async def identify(self, authorization: str) -> Caller:
        if not authorization:
            return Caller()
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Refusal("UNAUTHORIZED", "a bearer token is wanted")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(digest)
        if known is None or self._now_s() >= known[1] or known[2] not in self.keys():
            known = await self._verified(token.strip())
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        return known[0]

    def keys(self) -> Sequence[Key]:
        """Those that are good now."""
        return self._keys

    async def keys_for(self, key_id: str) -> Sequence[Key]:
        """As `keys`, for a token that names this one ("": none), for those who can look for keys they do not know yet."""
        return self.keys()

    async def _verified(self, token: str) -> tuple[Caller, float, Key]:
        try:
            header = jwt.get_unverified_header(token)
            claims, key = self._claims(token, header, await self.keys_for(str(header.get("kid") or "")))
            grants = frozenset(
                (str(entry["type"]), str(entry["name"]), str(action))
                for entry in claims.get("access") or []
                for action in entry["actions"] or []
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refusal("UNAUTHORIZED", f"invalid token: {error}") from error
        return Caller(str(claims.get("sub") or ""), grants), float(claims["exp"]), key

    def _claims(self, token: str, header: dict[str, Any], keys: Sequence[Key]) -> tuple[dict[str, Any], Key]:
        """By the key that it names, else by the one that has signed it. Raises InvalidTokenError."""
        fitting = [key for key in keys if header.get("alg") in key.algorithms]
        named = [key for key in fitting if key.id and key.id == header.get("kid")]
        for key in named or fitting:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token, key.public, algorithms=key.algorithms, audience=self._service, issuer=self._issuer,
                    leeway=_LEEWAY_S, options={"require": ["exp", "iss", "aud"]},
                )  # fmt: skip
            except jwt.InvalidSignatureError:
                continue
            return claims, key
        raise jwt.InvalidTokenError("signed by nobody that is known here")

    async def readable(self, caller: Caller, names: Sequence[str]) -> list[str]:
        return [name for name in names if self.may(caller, Want(Action.PULL, name))]

    def may(self, caller: Caller, want: Want) -> bool:
        if caller.grants is None:
            return False
        if want.action is Action.LOGIN:
            return True
        if want.action is Action.CATALOG:
            return _CATALOG in caller.grants
        mine = ("repository", want.repository)
        return (*mine, want.action.value) in caller.grants or (*mine, "*") in caller.grants

    def challenge(self, caller: Caller, wants: Sequence[Want], here: str) -> str:
        scopes = " ".join(filter(None, map(_scope, wants)))
        parts = {"realm": self._realm if "://" in self._realm else here + self._realm, "service": self._service}
        if scopes:
            parts["scope"] = scopes
        if caller.grants is not None:
            parts["error"] = "insufficient_scope"
        return "Bearer " + ",".join(f'{name}="{value}"' for name, value in parts.items())


def _scope(want: Want) -> str:
    if want.action is Action.CATALOG:
        return ":".join(_CATALOG)
    return f"repository:{want.repository}:{_ACTIONS[want.action]}" if want.repository else ""


def read_keys(path: str) -> list[Key]:
    """Raises InvalidArgument for a file that holds none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InvalidArgument(f"key file {path}: {error.strerror}") from error
    try:
        keys = _from_jwks(json.loads(data)) if data.lstrip().startswith(b"{") else _from_pem(data)
    except (ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
        raise InvalidArgument(f"key file {path}: {error}") from error
    if not keys:
        raise InvalidArgument(f"key file {path}: no certificate, public key or key set in it")
    return keys


def _from_jwks(document: dict[str, Any]) -> list[Key]:
    found = jwt.PyJWKSet.from_dict(document if "keys" in document else {"keys": [document]})
    return [Key(key.key_id or "", key.key, (key.algorithm_name,)) for key in found.keys]


def _from_pem(data: bytes) -> list[Key]:
    keys = []
    for block in data.split(b"-----END ")[:-1]:
        begin = block.find(b"-----BEGIN ")
        label = block[begin + 11 : block.find(b"-----", begin + 11)]
        text = block[begin:] + b"-----END " + label + b"-----\n"
        public = (
            x509.load_pem_x509_certificate(text).public_key() if label == b"CERTIFICATE" else load_pem_public_key(text)
        )
        keys.append(Key("", public, _algorithms(public)))
    return keys


def _algorithms(public: Any) -> tuple[str, ...]:
    """Raises ValueError."""
    if isinstance(public, rsa.RSAPublicKey):
        return _RSA
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return _CURVES[public.curve.name]
    if isinstance(public, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return ("EdDSA",)
    raise ValueError(f"keys of this kind sign no tokens: {type(public).__name__}")
