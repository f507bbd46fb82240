"""One-time passwords of an authenticator app, and recovery codes for when it is lost. Pure: time and entropy are given.

RFC 6238 over RFC 4226 with what every app supports: SHA-1, six digits, steps of 30 seconds. A code is good in its step
and in the ones before and after, and once: whoever looks over a shoulder comes too late. The caller keeps the last step
used, and limits how often somebody may guess (one guess in 333 333 is right).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from urllib.parse import quote, urlencode

from naru.errors import InvalidArgument

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20  # RFC 4226 §4, R6: as long as SHA-1's output
RECOVERY_CODES = 10
RECOVERY_BYTES = 70

_SKEW_STEPS = 1
_RECOVERY_CHARACTERS = 10
_BYTES_PER_RECOVERY_CODE = RECOVERY_BYTES // RECOVERY_CODES


def new_secret(entropy: bytes) -> str:
    """A shared secret in base32, as apps and people read it. Raises InvalidArgument unless given `SECRET_BYTES`
    bytes."""
    if len(entropy) != SECRET_BYTES:
        raise InvalidArgument(
            f"a one-time password's secret is made of {SECRET_BYTES} random bytes, not {len(entropy)}"
        )
    return base64.b32encode(entropy).decode()


def code(secret: str, now_s: float) -> str:
    """The six digits that an app shows now. Raises InvalidArgument for a secret that is not base32."""
    return _code_of_step(_key(secret), int(now_s) // STEP_S)


def matching_step(secret: str, given: str, now_s: float, last_step: int | None) -> int | None:
    """The step that this code belongs to, to be kept as the next `last_step`; None if it is wrong or has been used.

    `last_step` is that of the last code accepted from this user: its step and all before are spent. None: there was
    none. Spaces in `given` do not count. Raises InvalidArgument for a secret that is not base32.
    """
    key = _key(secret)
    digits = "".join(given.split())
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    current = int(now_s) // STEP_S
    found = None
    for step in range(max(0, current - _SKEW_STEPS), current + _SKEW_STEPS + 1):  # all of them, whichever is right
        is_right = hmac.compare_digest(_code_of_step(key, step).encode(), digits.encode())
        if is_right and (last_step is None or step > last_step):
            found = step
    return found


def provisioning_uri(secret: str, account: str, issuer: str) -> str:
    """What the QR code says ("Key URI Format" of Google Authenticator, which the others read).

    Raises InvalidArgument for a secret that is not base32, and for an account or issuer that is empty or has a colon.
    """
    _key(secret)
    for what, text in (("account", account), ("issuer", issuer)):
        if not text or ":" in text:
            raise InvalidArgument(f"{what} of a one-time password: {text[:100]!r} is empty or has a colon")
    fields = {"secret": secret, "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_S}
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?{urlencode(fields, quote_via=quote)}"


def recovery_codes(entropy: bytes) -> tuple[str, ...]:
    """Ten codes like `k3v9x-q7m2p` (base32: letters and 2 to 7), 50 bits each, to be shown once.

    Raises InvalidArgument unless given `RECOVERY_BYTES` bytes. Store them as passwords are stored: 50 bits withstand a
    login page, but not somebody who has the database and a fast hash.
    """
    if len(entropy) != RECOVERY_BYTES:
        raise InvalidArgument(f"recovery codes are made of {RECOVERY_BYTES} random bytes, not {len(entropy)}")
    pieces = (entropy[at : at + _BYTES_PER_RECOVERY_CODE] for at in range(0, RECOVERY_BYTES, _BYTES_PER_RECOVERY_CODE))
    return tuple(_dashed(base64.b32encode(piece).decode().lower()[:_RECOVERY_CHARACTERS]) for piece in pieces)


def normal_recovery_code(text: str) -> str | None:
    """A recovery code as `recovery_codes` spells it, from however it was typed: capitals, spaces, no dash. None if it
    is none."""
    characters = "".join(text[:100].split()).replace("-", "").lower()
    if len(characters) != _RECOVERY_CHARACTERS or not set(characters) <= set("abcdefghijklmnopqrstuvwxyz234567"):
        return None
    return _dashed(characters)


def _dashed(characters: str) -> str:
    half = _RECOVERY_CHARACTERS // 2
    return f"{characters[:half]}-{characters[half:]}"


def _key(secret: str) -> bytes:
    """People type it with spaces and in small letters, and nobody types the padding."""
    text = "".join(secret.split()).rstrip("=").upper()
    try:
        key = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise InvalidArgument("a one-time password's secret is not base32")  # and does not belong into messages
    return key


def _code_of_step(key: bytes, step: int) -> str:
    """HOTP, RFC 4226 §5.3: 31 bits of the MAC, from where its last four bits say, modulo a million."""
    mac = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    at = mac[-1] & 0x0F
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"
