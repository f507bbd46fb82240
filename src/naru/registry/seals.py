"""What a database keeps that is worth stealing, sealed: whoever has a copy of the tables has no passwords of other registries.

`KEY:TOKEN`: the first eight hexadecimal digits of the key's SHA-256, and what Fernet (AES-128-CBC and HMAC-SHA-256, of the library
cryptography) made of the text. The name of the key lets SQL tell what is to be sealed anew when there is a newer one.
A Connection carries the seals of its Database: `c.seals`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from naru.errors import Internal, InvalidArgument, NotFound
from naru.linux.files import write_atomic

if TYPE_CHECKING:  # a registry alone has nothing to seal, and does without
    from cryptography.fernet import Fernet

_NAME_CHARACTERS = 8
_NAME = re.compile(f"[0-9a-f]{{{_NAME_CHARACTERS}}}")
_MOST_KEYS = 10
_URL_SAFE = str.maketrans("+/", "-_")


class Seals:
    """`keys` as `new_key` or `openssl rand -base64 32` makes them: the first one seals, any of them opens. None: there are no secrets.

    Raises InvalidArgument for what is no key.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        if len(keys) > _MOST_KEYS:
            raise InvalidArgument(f"secret keys: must be at most {_MOST_KEYS}, not {len(keys)}")
        self._by_name = {_name(key): _fernet(number, key) for number, key in enumerate(keys, 1)}
        self._first = next(iter(self._by_name), "")

    @property
    def mark(self) -> str:
        """What everything begins with that the first key has sealed."""
        return f"{self._first}:"

    def seal(self, text: str) -> str:
        """An empty text stays one: that there is no secret is none. Raises Internal without a key."""
        if not text:
            return ""
        if not self._first:
            raise Internal("there is no key to seal a secret with")
        return self.mark + self._by_name[self._first].encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises NotFound for what was sealed with a key that is not here, InvalidArgument for what is not sealed, or not whole."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - see above

        if not sealed:
            return ""
        name, _, token = sealed.partition(":")
        if not _NAME.fullmatch(name):
            raise InvalidArgument("something that should be sealed is not")
        if name not in self._by_name:
            raise NotFound(f"something is sealed with secret key {name}, which is not among those given")
        try:
            return self._by_name[name].decrypt(token).decode()
        except (InvalidToken, ValueError) as error:
            raise InvalidArgument(f"something sealed with secret key {name} has been changed") from error


def new_key() -> str:
    from cryptography.fernet import Fernet  # noqa: PLC0415 - see above

    return Fernet.generate_key().decode()


def read_keys(path: str) -> list[str]:
    """One in each line, `#` for comments; the newest first. Raises InvalidArgument for a file that cannot be read or has none."""
    try:
        with open(path, encoding="ascii") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeError) as error:
        raise InvalidArgument(f"secret key file {path}: {getattr(error, 'strerror', error)}") from error
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise InvalidArgument(f"secret key file {path}: there is no key in it")
    return keys


def own_keys(path: str) -> list[str]:
    """As `read_keys`; a file that is not there is made, with a new key, and readable for nobody else."""
    try:
        return read_keys(path)
    except InvalidArgument as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
    write_atomic(path, f"{new_key()}\n".encode(), mode=0o600, durable=True)
    return read_keys(path)


def _fernet(number: int, key: str) -> Fernet:
    from cryptography.fernet import Fernet  # noqa: PLC0415 - see above

    try:
        return Fernet(key.translate(_URL_SAFE))
    except ValueError as error:
        raise InvalidArgument(f"secret key {number}: must be 32 bytes in base64") from error


def _name(key: str) -> str:
    return hashlib.sha256(key.translate(_URL_SAFE).encode()).hexdigest()[:_NAME_CHARACTERS]
