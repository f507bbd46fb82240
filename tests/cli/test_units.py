from __future__ import annotations

import datetime

import pytest

from naru.cli import units

SIZES = [
    (0, "0B"),
    (711, "711B"),
    (1000, "1kB"),
    (4096, "4.096kB"),
    (77_912_345, "77.91MB"),
    (247_300_000, "247.3MB"),
    (10**15, "1PB"),
]


@pytest.mark.parametrize(("size", "text"), SIZES)
def test_decimal(size: int, text: str) -> None:
    assert units.decimal_size(size) == text


def test_three_digits_and_binary() -> None:
    assert units.decimal_size(77_912_345, 3) == "77.9MB"
    assert units.binary_size(516 * 1024) == "516KiB"
    assert units.binary_size(23.54 * 2**30) == "23.54GiB"


H = 3600
DURATIONS = [
    (0.5, "Less than a second"), (1.9, "1 second"), (59, "59 seconds"), (60, "About a minute"), (125, "2 minutes"),
    (3599, "59 minutes"), (H, "About an hour"), (1.6 * H, "2 hours"), (47 * H, "47 hours"), (48 * H, "2 days"),
    (13 * 24 * H, "13 days"), (14 * 24 * H, "2 weeks"), (59 * 24 * H, "8 weeks"), (61 * 24 * H, "2 months"),
    (729 * 24 * H, "24 months"), (731 * 24 * H, "2 years"), (-5, "Less than a second"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_human_duration(seconds: float, text: str) -> None:
    assert units.human_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("1k", 1024),
        ("512m", 512 << 20),
        ("1.5G", 3 << 29),
        ("2 GiB", 2 << 30),
        ("7b", 7),
        ("1KB", 1024),
    ],
)
def test_read_size(text: str, size: int) -> None:
    assert units.read_size(text) == size


@pytest.mark.parametrize("text", ["", "foo", "-1", "1x", "m", "1..2", ".5", "1 2"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size: "):
        units.read_size(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("300ms", 3 * 10**8),
        ("-2m", -120 * 10**9),
        ("5us", 5000),
        ("5µs", 5000),
    ],
)
def test_read_duration(text: str, ns: int) -> None:
    assert units.read_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid"),
        ("x", "invalid"),
        ("5", "missing unit"),
        ("5y", 'unknown unit "y"'),
        ("s", "invalid"),
        ("1.2.3s", "invalid"),
    ],
)
def test_bad_durations(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        units.read_duration(text)


@pytest.mark.parametrize("day", ["1970-01-01", "1969-12-31", "2000-02-29", "2100-03-01", "2026-11-25", "0001-01-01"])
def test_days(day: str) -> None:
    date = datetime.date.fromisoformat(day)
    assert units.days_since_epoch(date.year, date.month, date.day) == (date - datetime.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:00.5+01:00", 5 * 10**8),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-01-02", 86400 * 10**9 - 3600 * 10**9),
        ("1970-01-01T02:30", 5400 * 10**9),
        ("2026-11-25T16:49:55.911980806Z", 1795625395911980806),
    ],
)
def test_rfc3339(text: str, ns: int) -> None:
    assert units.read_rfc3339(text, local_offset_s=3600) == ns


@pytest.mark.parametrize(
    "text", ["", "today", "2026-13-01", "2026-11-25T25:00:00Z", "2026-11-25T1:2:3:4Z", "2026-11-25T10:00:00.xZ"]
)
def test_bad_times(text: str) -> None:
    with pytest.raises(ValueError):
        units.read_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("10s", "90.000000000"), ("1136073600", "1136073600"), ("5.25", "5.25"), ("1970-01-01T00:00:02Z", "2.000000000")],
)
def test_moments(text: str, wanted: str) -> None:
    assert units.read_moment(text, now_ns=100 * 10**9) == wanted


def test_no_moment() -> None:
    with pytest.raises(ValueError, match="failed to parse value as time or duration"):
        units.read_moment("foo", now_ns=0)
