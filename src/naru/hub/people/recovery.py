"""How recovery codes are kept. Blocks: call it in a thread.

A code has 50 random bits: enough against a login page, too few against a fast hash. So what is kept is its scrypt (RFC 7914; 32 MiB and
some 80 ms a guess), salted by the account's TOTP secret: 160 random bits that are made anew whenever the codes are. One salt for ten
codes costs one hash a try instead of ten, and gives whoever has the database ten targets at once: 46 bits of scrypt, a million years
of a core.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_COST, _BLOCK, _LANES = 1 << 15, 8, 1
_MEMORY_BYTES = 64 << 20


def digest(code: str, totp_secret: str) -> str:
    """Of a code as `totp.normal_recovery_code` spells it."""
    salt = b"naru recovery " + totp_secret.encode()
    hashed = hashlib.scrypt(code.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, maxmem=_MEMORY_BYTES, dklen=32)
    return f"scrypt-{hashed.hex()}"


def digests(codes: Sequence[str], totp_secret: str) -> list[str]:
    return [digest(code, totp_secret) for code in codes]
