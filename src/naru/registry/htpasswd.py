"""Users with passwords, in a file as Apache's `htpasswd -B` writes it: they may do everything, others read at most.

Only bcrypt counts: it is slow on purpose, and what else such files may hold is not. It runs in a thread, two at a time, and what
has been found right is remembered until the user's line changes. The file is read again when it has changed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import os
import secrets
from collections.abc import Sequence

import bcrypt

from naru.errors import InvalidArgument
from naru.registry.access import Action, Caller, Want
from naru.registry.errors import Refusal

log = logging.getLogger("naru.registry")

_BCRYPT = (b"$2a$", b"$2b$", b"$2y$")
_PASSWORD_BYTES = 72  # of more, bcrypt and with it htpasswd takes no notice
_AT_ONCE = 2
_REMEMBERED = 1024
_READS = (Action.PULL, Action.CATALOG)


class HtpasswdAccess:
    """With `anonymous_pull`, whoever sends no password may read. Raises InvalidArgument for a file that is no good."""

    def __init__(self, path: str, *, anonymous_pull: bool = False) -> None:
        self._path = path
        self._anonymous_pull = anonymous_pull
        self._stamp = _stamp(path)
        self._users = read(path)
        self._right: dict[bytes, tuple[str, bytes]] = {}  # digest of a header → whose it is, and by which line
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._nobody = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(10))

    async def identify(self, authorization: str) -> Caller:
        if not authorization:
            return Caller()
        self._refresh()
        key = hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).digest()
        name, line = self._right.get(key, ("", b""))
        if name and self._users.get(name) == line:
            return Caller(name)
        name, password = _basic(authorization)
        line = self._users.get(name, b"")
        async with self._slots:  # for an unknown name too: the time it takes tells nothing
            right = await asyncio.to_thread(bcrypt.checkpw, password[:_PASSWORD_BYTES], line or self._nobody)
        if not (right and line):
            raise Refusal("UNAUTHORIZED", "invalid username or password")
        while len(self._right) >= _REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[key] = name, line
        return Caller(name)

    def may(self, caller: Caller, want: Want) -> bool:
        return bool(caller.name) or (self._anonymous_pull and want.action in _READS)

    async def readable(self, caller: Caller, names: Sequence[str]) -> list[str]:
        return list(names) if self.may(caller, Want(Action.PULL)) else []

    def challenge(self, caller: Caller, wants: Sequence[Want], here: str) -> str:
        return "" if caller.name else 'Basic realm="naru registry"'

    def _refresh(self) -> None:
        """A file that is no good any more changes nothing: those it had before may go on."""
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._users = read(self._path)
        except InvalidArgument as error:
            log.error("%s; the users of before stay", error)


def read(path: str) -> dict[str, bytes]:
    """User → hash. Raises InvalidArgument."""
    users: dict[str, bytes] = {}
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise InvalidArgument(f"htpasswd file {path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        name, colon, hashed = line.strip().partition(b":")
        if not (name and colon):
            raise InvalidArgument(f"htpasswd file {path}, line {number}: not user:hash")
        if not hashed.startswith(_BCRYPT):
            raise InvalidArgument(f"htpasswd file {path}, line {number}: not a bcrypt hash (htpasswd -B makes one)")
        users[name.decode("utf-8", "surrogateescape")] = hashed
    return users


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise InvalidArgument(f"htpasswd file {path}: {error.strerror}") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def _basic(authorization: str) -> tuple[str, bytes]:
    """RFC 7617. Raises Refusal UNAUTHORIZED."""
    scheme, _, value = authorization.partition(" ")
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        colon = b""
    if not colon or scheme.lower() != "basic":
        raise Refusal("UNAUTHORIZED", "not Basic credentials")
    return name.decode("utf-8", "surrogateescape"), password
