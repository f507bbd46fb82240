"""Flags of Dockerfile instructions, and the `type=cache,target=/x` little language of RUN --mount. Pure."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from naru.errors import InvalidArgument

SWITCH, TEXT, LIST = "switch", "text", "list"


def suggest(message: str, word: str, known: Iterable[str]) -> InvalidArgument:
    """An error that adds "(did you mean …?)" where something known is close."""
    by_lower = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return InvalidArgument(message + (f" (did you mean {by_lower[close[0]]}?)" if close else ""))


class Flags:
    """The flags given to one instruction, checked against what it takes. Raises InvalidArgument in Docker's words."""

    def __init__(self, given: Iterable[str], takes: Mapping[str, str]) -> None:
        self._values: dict[str, list[str]] = {}
        for word in given:
            flag, has_value, value = word.partition("=")
            name = flag[2:]
            if name not in takes:
                raise suggest(f"unknown flag: {flag}", name, takes)
            if name in self._values and takes[name] != LIST:
                raise InvalidArgument(f"duplicate flag specified: {flag}")
            if takes[name] == SWITCH:
                if has_value and not value:
                    raise InvalidArgument(f"missing a value on flag: {flag}")
                value = value.lower() or "true"
                if value not in ("true", "false"):
                    raise InvalidArgument(f"expecting boolean value for flag {flag}, not: {value}")
            elif not has_value:
                raise InvalidArgument(f"missing a value on flag: {flag}")
            self._values.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        return self._values.get(name, [""])[0]

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(self._values.get(name, ()))

    def is_set(self, name: str) -> bool:
        return self.text(name) == "true"

    def switch(self, name: str) -> bool | None:
        return self.is_set(name) if name in self._values else None


@dataclass(frozen=True, slots=True)
class RunMount:
    """One RUN --mount. `read_only` and the defaults are resolved; `mode`, `uid`, `gid` are None if not given."""

    kind: str = "bind"  # bind, cache, tmpfs, secret, ssh
    source: str = ""
    target: str = ""
    from_: str = ""
    read_only: bool | None = None
    id: str = ""
    sharing: str = ""
    size_bytes: int = 0
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_SWITCHES = ("readonly", "readwrite", "required")
_BOOLEANS = {**dict.fromkeys(("1", "t", "true"), True), **dict.fromkeys(("0", "f", "false"), False)}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def size_bytes(text: str) -> int:
    """`64m`, `1.5 GiB`, `1024` as bytes. Raises InvalidArgument."""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?) ?([kmgtp]?)(?:i?b)?", text.lower())
    if match is None:
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(float(match[1]) * _UNITS[match[2]])


def _boolean(key: str, value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise InvalidArgument(f"invalid value for {key}: {value}")
    return _BOOLEANS[value.lower()]


def _number(key: str, value: str, base: int) -> int:
    digits = "[0-7]{1,11}" if base == 8 else "[0-9]{1,10}"
    if not re.fullmatch(digits, value) or int(value, base) >= 1 << 32:
        raise InvalidArgument(f"invalid value {value} for {key}")
    return int(value, base)


def parse_mount(text: str, expand: Callable[[str], str]) -> RunMount:
    """Read one --mount; values go through `expand`, all but `from`. Raises InvalidArgument in Docker's words."""
    mount = RunMount()
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise InvalidArgument(f"failed to parse csv mounts: {error}") from error
    for field in fields:
        written, has_value, value = field.partition("=")
        written = written.lower()
        key = _ALIASES.get(written, written)
        if not has_value:
            if key not in _SWITCHES:
                raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        elif key == "from":
            if "$" in value.rstrip("$"):
                raise InvalidArgument("'from' doesn't support variable expansion, define alias stage instead")
        else:
            value = expand(value)
        mount = _with(mount, key, written, value, field)
    return _checked(mount)


def _with(mount: RunMount, key: str, written: str, value: str, field: str) -> RunMount:
    plain = {"source": "source", "target": "target", "from": "from_", "id": "id", "env": "env"}
    if key in plain:
        return replace(mount, **{plain[key]: value})  # type: ignore[arg-type]
    if key in ("mode", "uid", "gid"):
        return replace(mount, **{key: _number(key, value, 8 if key == "mode" else 10)})  # type: ignore[arg-type]
    if key in ("readonly", "readwrite"):
        return replace(mount, read_only=_boolean(written, value) == (key == "readonly"))
    if key in ("type", "sharing"):
        known = _KINDS if key == "type" else _SHARING
        if value.lower() not in known:
            what = "mount type" if key == "type" else "sharing value"
            raise suggest(f'unsupported {what} "{value}"', value, known)
        return replace(mount, kind=value.lower()) if key == "type" else replace(mount, sharing=value.lower())
    allowed_for = {"required": ("secret", "ssh"), "size": ("tmpfs",)}
    if key not in allowed_for:
        raise suggest(
            f"unexpected key '{written}' in '{field}'",
            written,
            [*plain, *_ALIASES, *_SWITCHES, "type", "sharing", "size", "mode", "uid", "gid"],
        )
    if mount.kind not in allowed_for[key]:
        raise InvalidArgument(f"unexpected key '{written}' for mount type '{mount.kind}'")
    if key == "required":
        return replace(mount, required=_boolean(written, value))
    try:
        return replace(mount, size_bytes=size_bytes(value))
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid value for {written}: {value}") from error


def _checked(mount: RunMount) -> RunMount:
    if mount.kind in ("bind", "tmpfs"):
        for key, value in (("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)):
            if value is not None:
                raise InvalidArgument(f'{key} not allowed for "{mount.kind}" type mounts')
    if mount.kind == "secret":
        if mount.from_:
            raise InvalidArgument("secret mount should not have a from")
        if mount.sharing:
            raise InvalidArgument("secret mount should not define sharing")
        if not (mount.source or mount.target or mount.id):
            raise InvalidArgument("invalid secret mount. one of source, target required")
        if mount.source and mount.id:
            raise InvalidArgument("both source and id can't be set")
    if mount.sharing and mount.kind != "cache":
        raise InvalidArgument(f"invalid cache sharing set for {mount.kind} mount")
    if not mount.target and mount.kind not in ("secret", "ssh"):
        raise InvalidArgument(f'invalid mount target "": {mount.kind} mounts need one')
    if mount.read_only is None:
        return replace(mount, read_only=mount.kind not in ("cache", "tmpfs"))
    return mount
