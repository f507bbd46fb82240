"""Query parameters, filters, time stamps and API versions, read as Docker reads them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from naru.errors import InvalidArgument
from naru.wire.decode import parse_json

Version = tuple[int, int]
Filters = dict[str, list[str]]

_FALSE = {"", "0", "no", "false", "none"}
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?|(\d+)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_NS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_query(text: str) -> dict[str, list[str]]:
    """Like Go's url.ParseQuery, which drops what it cannot decode."""
    out: dict[str, list[str]] = {}
    for pair in text.split("&"):
        if ";" in pair:
            raise InvalidArgument("invalid semicolon separator in query")
        if pair:
            key, _, value = pair.partition("=")
            if _is_escaped(key) and _is_escaped(value):
                out.setdefault(unquote_plus(key), []).append(unquote_plus(value))
    return out


def _is_escaped(text: str) -> bool:
    return re.search(r"%(?![0-9a-fA-F]{2})", text) is None


class Query:
    def __init__(self, text: str) -> None:
        self.values = parse_query(text)

    def text(self, name: str, default: str = "") -> str:
        return self.values[name][0] if name in self.values else default

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """ "", 0, no, false and none (any case) are false, all else is true."""
        return self.values[name][0].strip().lower() not in _FALSE if name in self.values else default

    def integer(self, name: str) -> int | None:
        """None if absent or empty. Raises InvalidArgument in the words of Go's strconv."""
        text = self.text(name)
        return None if text == "" else atoi(text)

    def filters(self, allowed: Iterable[str] | None) -> Filters:
        """None allows any key: Docker ignores unknown ones there."""
        return parse_filters(self.text("filters"), allowed)


def atoi(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text):
        raise InvalidArgument(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def parse_filters(text: str, allowed: Iterable[str] | None) -> Filters:
    """`{"label":["a=b"]}` or Go's `{"label":{"a=b":true}}`. Raises InvalidArgument."""
    if not text:
        return {}
    try:
        value = parse_json(text.encode())
    except InvalidArgument as error:
        raise InvalidArgument("invalid filter") from error
    if not isinstance(value, dict):
        raise InvalidArgument("invalid filter")
    known = None if allowed is None else set(allowed)
    out: Filters = {}
    for key, values in value.items():
        if isinstance(values, Mapping):
            items = [k for k, on in values.items() if on]
        elif isinstance(values, list) and all(isinstance(v, str) for v in values):
            items = values
        else:
            raise InvalidArgument("invalid filter")
        if known is not None and key not in known:
            raise InvalidArgument(f"invalid filter '{key}'")
        out[key] = items
    return out


def parse_version(text: str) -> Version | None:
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    return (int(match[3]), 0) if match[3] else (int(match[1]), int(match[2]))


def parse_timestamp(text: str, what: str) -> int:
    """Nanoseconds since 1970 of `seconds[.nanoseconds]`; "" and "0" are 0. Raises InvalidArgument."""
    if not text:
        return 0
    match = re.fullmatch(r"(-?\d+)(?:\.(\d{1,9}))?", text)
    if match is None:
        seconds = text.partition(".")[0]
        raise InvalidArgument(
            f'invalid value for {what}: invalid timestamp "{text}": invalid seconds "{seconds}": invalid syntax'
        )
    return int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0"))


def parse_until(text: str, now_ns: int) -> int:
    """Prune's `until`: a Go duration before now, RFC 3339, or unix seconds. Raises InvalidArgument."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return parse_timestamp(text, "'until'")
    pieces = _DURATION.findall(text)
    if pieces and "".join(number + unit for number, unit in pieces) == text.lstrip("+-"):
        return now_ns - sum(int(float(number) * _UNIT_NS[unit]) for number, unit in pieces)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        why = f'invalid seconds "{text.partition(".")[0]}": invalid syntax' if text.strip() else "value is empty"
        raise InvalidArgument(f"failed to parse value as time or duration: {why}") from error
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 10**9)


def rfc3339(ns: int) -> str:
    """Docker's RFC 3339 with up to nine digits, trailing zeros dropped; 0 is year one, Go's zero time."""
    if ns == 0:
        return "0001-01-01T00:00:00Z"
    seconds, rest = divmod(ns, 10**9)
    base = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{rest:09d}".rstrip("0")
    return f"{base}.{fraction}Z" if fraction else f"{base}Z"


def rfc3339_fixed(ns: int) -> str:
    """With exactly nine digits: sorts as text, as in logs."""
    seconds, rest = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
