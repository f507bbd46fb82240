"""Sizes, durations and times as Docker writes and reads them (the conventions of go-units and of Go's time package).

Pure: "now" and the local time zone arrive as arguments. Readers raise ValueError with Docker's words.
"""

from __future__ import annotations

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_SIZE_SUFFIX = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_DURATION_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}

# (below this many hours, hours per unit, name): what go-units prints for longer durations
_LONG = ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months"))


def _scaled(size: float, base: float, names: tuple[str, ...], digits: int) -> str:
    step = 0
    while size >= base and step < len(names) - 1:
        size /= base
        step += 1
    return f"%.{digits}g%s" % (size, names[step])


def decimal_size(size_bytes: float, digits: int = 4) -> str:
    """`77.9MB`: powers of 1000, so many significant digits."""
    return _scaled(float(size_bytes), 1000.0, _DECIMAL, digits)


def binary_size(size_bytes: float) -> str:
    """`23.54GiB`: powers of 1024."""
    return _scaled(float(size_bytes), 1024.0, _BINARY, 4)


def human_duration(seconds: float) -> str:
    """`2 hours`, `About a minute`, …: how long, roughly."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if whole < 3600:
        return "About a minute" if whole < 120 else f"{whole // 60} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, length, name in _LONG:
        if hours < limit:
            return f"{hours // length} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def read_size(text: str) -> int:
    """`512m`, `1.5g`, `100KiB` in bytes (powers of 1024, as for --memory)."""
    number = text.strip().lower()
    if number.endswith("b"):
        number = number[:-1]
        if number.endswith("i"):
            number = number[:-1]
    suffix = number[-1:] if number[-1:] in "kmgtp" else ""
    digits = number.removesuffix(suffix).removesuffix(" ")
    if not digits or not digits.replace(".", "", 1).isdecimal() or not digits[0].isdecimal():
        raise ValueError(f"invalid size: '{text}'")
    return int(float(digits) * (1 << _SIZE_SUFFIX[suffix]))


def read_duration(text: str) -> int:
    """A Go duration (`1h30m`, `1.5s`, `300ms`, `0`) in nanoseconds."""
    rest = text.lstrip("+-") if text[:1] in ("+", "-") else text
    negative = text.startswith("-")
    if rest == "0":
        return 0
    total = 0.0
    invalid = ValueError(f'time: invalid duration "{text}"')
    if not rest:
        raise invalid
    while rest:
        end = 0
        while end < len(rest) and (rest[end].isdecimal() or rest[end] == "."):
            end += 1
        start_unit = end
        while end < len(rest) and not (rest[end].isdecimal() or rest[end] == "."):
            end += 1
        number, unit = rest[:start_unit], rest[start_unit:end]
        if not number.strip(".") or number.count(".") > 1:
            raise invalid
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _DURATION_NS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _DURATION_NS[unit]
        rest = rest[end:]
    return -int(total) if negative else int(total)


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar."""
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def read_rfc3339(text: str, *, local_offset_s: int = 0) -> int:
    """`2026-11-25[T16:49:56[.123456789][Z|+01:00]]` in nanoseconds since the epoch; without a zone it is local time."""
    invalid = ValueError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}"')
    date, _, clock = text.partition("T")
    offset_s = local_offset_s
    if clock.endswith("Z"):
        clock, offset_s = clock[:-1], 0
    elif "+" in clock or "-" in clock:
        sign = "+" if "+" in clock else "-"
        clock, _, zone = clock.partition(sign)
        hours, _, minutes = zone.partition(":")
        if not (hours.isdecimal() and minutes.isdecimal()):
            raise invalid
        offset_s = (int(hours) * 3600 + int(minutes) * 60) * (1 if sign == "+" else -1)
    clock, dot, fraction = clock.partition(".")
    parts = date.split("-") + (clock.split(":") if clock else [])
    if (
        len(parts) not in (3, 4, 5, 6)
        or not all(part.isdecimal() for part in parts)
        or (dot and not fraction.isdecimal())
    ):
        raise invalid
    year, month, day, hour, minute, second = [int(part) for part in parts] + [0] * (6 - len(parts))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise invalid
    seconds = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s
    return seconds * 10**9 + int((fraction + "000000000")[:9])


def read_moment(text: str, *, now_ns: int, local_offset_s: int = 0) -> str:
    """What --since and --until take (a duration back from now, a time, unix seconds) as `seconds.nanoseconds`."""
    try:
        moment = now_ns - read_duration(text)
    except ValueError:
        whole, dot, fraction = text.partition(".")
        if whole.isdecimal() and (not dot or fraction.isdecimal()):
            return text
        try:
            moment = read_rfc3339(text, local_offset_s=local_offset_s)
        except ValueError as error:
            raise ValueError(f'failed to parse value as time or duration: "{text}"') from error
    return f"{moment // 10**9}.{moment % 10**9:09d}"
