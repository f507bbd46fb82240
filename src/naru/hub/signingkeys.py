"""The keys that the hub's tokens are signed with: the newest signs, all of them verify. Functions of a Connection.

signing_key   id → private (PEM, sealed), created_at

A key is followed by another after `LIFE_S`, and verifies for as long as what it has signed is good. All instances share them through
the database; one that meets a key it does not know looks again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from naru.registry.database import Connection
from naru.registry.tokens import Key

ALGORITHM = "EdDSA"
LIFE_S = 90 * 86400.0
GOOD_S = 3600.0  # no token is good for longer, clocks that differ included


@dataclass(frozen=True, slots=True)
class SigningKey:
    id: str
    private: Any = field(repr=False)  # what PyJWT signs with
    created_at: float

    @property
    def public(self) -> Key:
        return Key(self.id, self.private.public_key(), (ALGORITHM,))


def current(c: Connection) -> list[SigningKey]:
    """The newest first; empty before the first one is made."""
    rows = c.rows("SELECT id, private, created_at FROM signing_key ORDER BY created_at DESC, id")
    return [SigningKey(str(row[0]), _read(c.seals.open(row[1])), float(row[2])) for row in rows]


def is_due(keys: Sequence[SigningKey], now_s: float) -> bool:
    """Whether `renew` would change something."""
    return _is_old(keys, now_s) or bool(_superseded(keys, now_s))


def renew(c: Connection, now_s: float) -> list[SigningKey]:
    """`current`, with a new key if there is none or it has come to its age, and without those that nothing needs any more."""
    keys = current(c)
    if _is_old(keys, now_s):
        _add(c, now_s)
        keys = current(c)
    over = _superseded(keys, now_s)
    for key in over:
        c.run("DELETE FROM signing_key WHERE id = ?", key.id)
    return [key for key in keys if key not in over]


def replace(c: Connection, now_s: float) -> None:
    """A new key alone, for when one has become known: every token signed before ends with it."""
    c.run("DELETE FROM signing_key")
    _add(c, now_s)


def _is_old(keys: Sequence[SigningKey], now_s: float) -> bool:
    return not keys or keys[0].created_at + LIFE_S <= now_s


def _superseded(keys: Sequence[SigningKey], now_s: float) -> list[SigningKey]:
    return [old for newer, old in pairwise(keys) if newer.created_at + GOOD_S <= now_s]


def _add(c: Connection, now_s: float) -> None:
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = c.seals.seal(Ed25519PrivateKey.generate().private_bytes(*encoding).decode())
    c.run("INSERT INTO signing_key (id, private, created_at) VALUES (?, ?, ?)", secrets.token_hex(8), pem, now_s)


def _read(pem: str) -> Any:
    return serialization.load_pem_private_key(pem.encode(), None)
