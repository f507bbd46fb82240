"""What options hold, from the text of a flag or the JSON of daemon.json. Pure; every parser raises ValueError in dockerd's words.

A `Kind` says how one sort of option is written in both places; the table of options (`options`) names one for each.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kKmMgGtTpP]?)(?:i?[bB])?")
_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_ULIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
_TRUTH = {"1": True, "t": True, "T": True, "TRUE": True, "true": True, "True": True}
_FALSEHOOD = {"0": False, "f": False, "F": False, "FALSE": False, "false": False, "False": False}
_INT_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Networks of `size` bits of prefix are cut from `base`."""

    base: str
    size: int


@dataclass(frozen=True, slots=True)
class NamedRuntime:
    """An OCI runtime by a name of the user's: a program (path, or a name on PATH) and what precedes its command."""

    name: str
    path: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """from_flag: one occurrence of the flag; from_file: the whole JSON value. `many`: a tuple, put together from both."""

    word: str  # in the help
    from_flag: Callable[[str], Any]
    from_file: Callable[[Any], Any]
    many: bool = False


def _typed(wanted: type, name: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not wanted:
            raise ValueError(f"expected a {name}")
        return value

    return check


def _each(convert: Callable[[str], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise ValueError("expected a list of strings")
        return tuple(convert(entry) for entry in value)

    return check


def boolean(text: str) -> bool:
    known = {**_TRUTH, **_FALSEHOOD}
    if text not in known:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return known[text]


def number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or abs(int(text)) >= _INT_LIMIT:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def size_bytes(value: Any) -> int:
    """`64m`, `1.5GiB` or a number; units are powers of 1024, as everywhere in Docker."""
    if type(value) is int and 0 <= value < _INT_LIMIT:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    size = int(float(match[1]) * 1024 ** _EXPONENT[match[2].lower()]) if match else _INT_LIMIT
    if size >= _INT_LIMIT:
        raise ValueError(f"invalid size: '{value}'")
    return size


def address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(f'ParseAddr("{text}"): unable to parse IP') from error


def label(text: str) -> str:
    key, equals, _ = text.partition("=")
    if not key or not equals:
        raise ValueError(f"bad attribute format: {text}")
    return text


def search_domain(text: str) -> str:
    if text.strip(" ") == ".":
        return "."
    if len(text) > 255 or not re.fullmatch(r"(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9_])?)(?:\.[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*\.?", text):  # fmt: skip
        raise ValueError(f"{text} is not a valid domain")
    return text


def ulimit(text: str) -> Ulimit:
    """`nofile=1024:2048`, or `nofile=1024` for both."""
    name, equals, rest = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    soft, colon, hard = rest.partition(":")
    low, high = number(soft), number(hard) if colon else number(soft)
    return _checked_ulimit(Ulimit(name, low, high))


def _checked_ulimit(limit: Ulimit) -> Ulimit:
    if limit.hard != -1 and (limit.soft == -1 or limit.soft > limit.hard):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}")
    return limit


def ulimits(value: Any) -> tuple[Ulimit, ...]:
    """`{"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}`."""
    out = []
    for name, each in _object(value).items():
        fields = {key.lower(): item for key, item in _object(each).items()}
        if name not in _ULIMITS:
            raise ValueError(f"invalid ulimit type: {name}")
        soft, hard = fields.get("soft", 0), fields.get("hard", 0)
        if type(soft) is not int or type(hard) is not int:
            raise ValueError("expected numbers as Soft and Hard")
        out.append(_checked_ulimit(Ulimit(name, soft, hard)))
    return tuple(out)


def pool(text: str) -> AddressPool:
    """`base=10.9.0.0/16,size=24`."""
    base, size = "", 0
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        if key.lower() == "base":
            base = value
        elif key.lower() == "size":
            size = number(value)
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    return _checked_pool(base, size)


def _checked_pool(base: str, size: int) -> AddressPool:
    try:
        network = ipaddress.ip_network(base)
    except ValueError as error:
        raise ValueError(f"invalid base pool {base!r}: {error}") from error
    if network.version == 6:
        raise ValueError(f"invalid base pool {base!r}: IPv6 networks are not supported")
    if not network.prefixlen <= size <= 30:
        raise ValueError(f"invalid size {size} for base pool {base!r}: expected {network.prefixlen} to 30")
    return AddressPool(base, size)


def pools(value: Any) -> tuple[AddressPool, ...]:
    """`[{"base": "10.9.0.0/16", "size": 24}]`."""
    if not isinstance(value, list):
        raise ValueError("expected a list of objects with base and size")
    out = []
    for each in value:
        fields = {key.lower(): item for key, item in _object(each).items()}
        if type(fields.get("size")) is not int or not isinstance(fields.get("base"), str):
            raise ValueError("expected a list of objects with base and size")
        out.append(_checked_pool(fields["base"], fields["size"]))
    return tuple(out)


def runtime(text: str) -> NamedRuntime:
    """`name=/path`."""
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise ValueError(f"invalid runtime argument: {text}")
    return _checked_runtime(name, path, ())


def _checked_runtime(name: str, path: str, arguments: tuple[str, ...]) -> NamedRuntime:
    if name in ("runc", "io.containerd.runc.v2", "crun"):
        raise ValueError(f"runtime name '{name}' is reserved")
    return NamedRuntime(name, path, arguments)


def runtimes(value: Any) -> tuple[NamedRuntime, ...]:
    """`{"name": {"path": "/path", "runtimeArgs": ["--debug"]}}`."""
    out = []
    for name, each in _object(value).items():
        fields = _object(each)
        if unknown := [key for key in fields if key not in ("path", "runtimeArgs")]:
            raise ValueError(
                f"runtime {name}: {', '.join(unknown)} is not supported: a runtime is a path and runtimeArgs"
            )
        path = fields.get("path")
        if not isinstance(path, str) or not path:
            raise ValueError(f"runtime {name}: expected a path")
        out.append(_checked_runtime(name, path, _each(str)(fields.get("runtimeArgs") or [])))
    return tuple(out)


def pair(text: str) -> str:
    if "=" not in text:
        raise ValueError("must be key=value")
    return text


def pairs(value: Any) -> tuple[str, ...]:
    """`{"key": "value"}`, as `key=value` each."""
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError("expected an object of strings")
    return tuple(f"{key}={item}" for key, item in value.items())


def feature(text: str) -> tuple[str, bool]:
    name, equals, value = text.partition("=")
    return name, boolean(value) if equals else True


def features(value: Any) -> tuple[tuple[str, bool], ...]:
    if not all(isinstance(item, bool) for item in _object(value).values()):
        raise ValueError("expected an object of booleans")
    return tuple(value.items())


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


TEXT = Kind("string", str, _typed(str, "string"))
SWITCH = Kind("bool", boolean, _typed(bool, "boolean"))
NUMBER = Kind("int", number, _typed(int, "number"))
SIZE = Kind("bytes", size_bytes, size_bytes)
ADDRESS = Kind("ip", address, lambda value: address(_typed(str, "string")(value)))
LIST = Kind("list", str, _each(str), many=True)
ADDRESSES = Kind("list", address, _each(address), many=True)
LABELS = Kind("list", label, _each(label), many=True)
DOMAINS = Kind("list", search_domain, _each(search_domain), many=True)
ULIMITS = Kind("ulimit", ulimit, ulimits, many=True)
POOLS = Kind("pool-options", pool, pools, many=True)
RUNTIMES = Kind("runtime", runtime, runtimes, many=True)
FEATURES = Kind("map", feature, features, many=True)
PAIRS = Kind("map", pair, pairs, many=True)
ANYTHING = Kind("value", str, lambda value: value)
