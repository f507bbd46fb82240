"""Who runs: `user[:group]` and extra groups, resolved with the container's own passwd and group files.

Pure. The files' text is given (read by the caller, bounded, never through a link out of the root). What does not resolve
is an error, never root: an entry whose number is empty, negative, too large or not a number does not exist here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from naru.errors import InvalidArgument

MAX_ID = 2**31 - 1
FILE_LIMIT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class User:
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_ID else None


def _passwd(text: str) -> Iterator[tuple[str, int, int, str]]:
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) >= 4:
            uid, gid = _number(parts[2]), _number(parts[3])
            if parts[0] and uid is not None and gid is not None:
                yield parts[0], uid, gid, parts[5] if len(parts) > 5 else "/"


def _group(text: str) -> Iterator[tuple[str, int, list[str]]]:
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) >= 3 and parts[0] and (gid := _number(parts[2])) is not None:
            yield parts[0], gid, parts[3].split(",") if len(parts) > 3 else []


def resolve(spec: str, extra_groups: Iterable[str], passwd: str, group: str) -> User:
    """Raises InvalidArgument in Docker's words for a name that is in neither file, and for numbers out of range."""
    user_text, _, group_text = spec.partition(":")
    uid, gid, home, name = _resolve_user(user_text, passwd)
    groups: list[int] = []
    if group_text:
        gid = _resolve_group(group_text, group)
    elif name:
        groups = [g for _, g, members in _group(group) if name in members and g != gid]
    for extra in extra_groups:
        number = _resolve_group(extra, group)
        if number not in groups:
            groups.append(number)
    return User(uid, gid, tuple(dict.fromkeys([gid, *groups])), home or "/")


def _resolve_user(text: str, passwd: str) -> tuple[int, int, str, str]:
    """(uid, gid, home, name in passwd or "")."""
    wanted = text or "0"
    number = _number(wanted)
    for name, uid, gid, home in _passwd(passwd):
        if name == wanted or uid == number:
            return uid, gid, home, name
    if number is not None:
        return number, 0, "/", ""
    if wanted.isascii() and wanted.lstrip("-").isdigit():
        raise InvalidArgument(f"uids and gids must be in range 0-{MAX_ID}")
    raise InvalidArgument(f"unable to find user {wanted}: no matching entries in passwd file")


def _resolve_group(text: str, group: str) -> int:
    number = _number(text)
    for name, gid, _ in _group(group):
        if name == text or gid == number:
            return gid
    if number is not None:
        return number
    if text.isascii() and text.lstrip("-").isdigit():
        raise InvalidArgument(f"uids and gids must be in range 0-{MAX_ID}")
    raise InvalidArgument(f"unable to find group {text}: no matching entries in group file")
