"""Go's readings of numbers, sizes, durations and booleans in option values, with the words of its errors. Pure."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def boolean(text: str) -> bool:
    """Raises ValueError."""
    if text not in _BOOLEANS:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _BOOLEANS[text]


def integer(text: str, function: str = "Atoi") -> int:
    """Raises ValueError. `ParseUint` takes no sign."""
    if not re.fullmatch(r"\d+" if function == "ParseUint" else r"[+-]?\d+", text, re.ASCII):
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
    return int(text)


def size_bytes(text: str, base: int = 1000) -> int:
    """`10m`, `1.5 GB`, `64KiB`. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"invalid size: '{text}'")
    return int(float(found[1]) * base ** " kmgtp".index(found[2].lower() or " "))


def duration_s(text: str) -> float:
    """`1h2m0.5s`. Raises ValueError."""
    if text in ("0", "+0", "-0"):
        return 0.0
    body = text.lstrip("+-")
    parts = _DURATION.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        missing = re.fullmatch(r"[\d.]+", body) is not None
        raise ValueError(f'time: {"missing unit in" if missing else "invalid"} duration "{text}"')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -seconds if text.startswith("-") else seconds
