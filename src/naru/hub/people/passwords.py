"""Users' passwords: argon2id (RFC 9106) by way of argon2-cffi, which no other file imports.

A hash costs 64 MiB and some 50-100 ms on purpose, so hashing runs in two threads of its own, never more: whoever floods
the login page waits in line, and the event loop and everybody else do not. Tokens and recovery codes are not passwords
and do not come here.

Passwords are compared as Unicode, not as bytes: what is typed is brought to normal form C first (RFC 8265 §4.2),
because one keyboard sends é as one code point and the next as two.
"""

from __future__ import annotations

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from naru.errors import DataLoss, InvalidArgument, Unavailable

MIN_CHARACTERS = 8
MAX_BYTES = 1024

_AT_ONCE = 2
_TIME_COST, _MEMORY_KIB, _LANES = 3, 65536, 4  # RFC 9106 §4, the second recommended option
_HASHER = PasswordHasher(time_cost=_TIME_COST, memory_cost=_MEMORY_KIB, parallelism=_LANES, type=Type.ID)
# What an unknown user's password is compared with. No password has this hash, and to find that out costs the same.
_NOBODY = f"$argon2id$v=19$m={_MEMORY_KIB},t={_TIME_COST},p={_LANES}${'A' * 22}${'A' * 43}"

# Not a semaphore: a request that is cancelled would give its place back while its thread still hashes.
_THREADS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")


def check_password(text: str) -> None:
    """Raises InvalidArgument for what may not become somebody's password."""
    if len(text) < MIN_CHARACTERS:
        raise InvalidArgument(f"password: shorter than {MIN_CHARACTERS} characters")
    _bytes(text)


async def hash_password(password: str) -> str:
    """The line to store: argon2's own encoding, with its parameters and a random salt.

    Raises InvalidArgument as `check_password` does, Unavailable when there is no memory for it.
    """
    check_password(password)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _hash, password)


async def verify_password(hashed: str | None, password: str) -> bool:
    """Whether this is the password; `hashed` None, for an unknown user, is never right and takes as long to say so.

    Raises DataLoss if `hashed` is no argon2 hash, Unavailable if argon2 cannot compute it (no memory, damaged
    parameters).
    """
    line = _NOBODY if hashed is None else hashed
    right = await asyncio.get_running_loop().run_in_executor(_THREADS, _verify, line, password)
    return right and hashed is not None


def needs_rehash(hashed: str) -> bool:
    """True for a hash of other parameters than today's: make a new one when its owner next logs in. Raises DataLoss."""
    try:
        return _HASHER.check_needs_rehash(hashed)
    except InvalidHashError as error:
        raise DataLoss("a stored password hash is not one of argon2") from error


def _hash(password: str) -> str:
    try:
        return _HASHER.hash(_bytes(password))
    except HashingError as error:
        raise Unavailable(f"cannot hash a password: {error}") from error


def _verify(hashed: str, password: str) -> bool:
    try:
        data, possible = _bytes(password), True
    except InvalidArgument:  # nobody's password: but it too costs a hash
        data, possible = b"", False
    try:
        return _HASHER.verify(hashed, data) and possible
    except VerifyMismatchError:
        return False
    except InvalidHashError as error:
        raise DataLoss("a stored password hash is not one of argon2") from error
    except VerificationError as error:
        raise Unavailable(f"cannot verify a password: {error}") from error


def _bytes(password: str) -> bytes:
    """Its normal form in UTF-8. Raises InvalidArgument; for its length before anything else, as normalising is
    quadratic."""
    try:
        if len(password) > MAX_BYTES or len(password.encode()) > MAX_BYTES:
            raise InvalidArgument(f"password: longer than {MAX_BYTES} bytes")
        return unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair; not `from`: the error holds the password
        raise InvalidArgument(f"password: character {error.start + 1} is not Unicode text") from None
