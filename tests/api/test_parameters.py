"""Query parameters, filters, times and versions, read as Docker reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.api.parameters import (
    Query,
    parse_filters,
    parse_timestamp,
    parse_until,
    parse_version,
    rfc3339,
    rfc3339_fixed,
)
from naru.errors import InvalidArgument

S_NS = 10**9
NOW_NS = 1_700_000_000 * S_NS


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a", {"a": [""]}),
        ("a=b+c%20d&e=%2F", {"a": ["b c d"], "e": ["/"]}),
        ("a=%zz&b=1", {"b": ["1"]}),
        ("&&a=1&", {"a": ["1"]}),
        ("a=b=c", {"a": ["b=c"]}),
    ],
)
def test_query(text: str, values: dict[str, list[str]]) -> None:
    assert Query(text).values == values


def test_a_semicolon_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid semicolon separator in query$"):
        Query("a=1;b=2")


@pytest.mark.parametrize(
    ("text", "on"),
    [("", False), ("x=", False), ("x=0", False), ("x=False", False), ("x=no", False), ("x=none", False), ("x=1", True), ("x=true", True), ("x=maybe", True)],
)  # fmt: skip
def test_flags(text: str, on: bool) -> None:
    assert Query(text).flag("x") is on


def test_a_flag_that_is_not_given_has_its_default() -> None:
    assert Query("").flag("x", True) is True
    assert Query("x=0").flag("x", True) is False


@pytest.mark.parametrize(("text", "number"), [("", None), ("n=", None), ("n=-1", -1), ("n=+7", 7), ("n=007", 7)])
def test_integers(text: str, number: int | None) -> None:
    assert Query(text.replace("+", "%2B")).integer("n") == number


@pytest.mark.parametrize("text", ["x", "1.5", "0x1", "1 2"])
def test_no_integers(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"strconv.Atoi: parsing"):
        Query(f"n={text}").integer("n")


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", {}),
        ('{"label":["a=b","c"]}', {"label": ["a=b", "c"]}),
        ('{"label":{"a=b":true,"off":false}}', {"label": ["a=b"]}),
        ('{"label":[]}', {"label": []}),
        ("{}", {}),
    ],
)
def test_filters_in_both_forms(text: str, filters: dict[str, list[str]]) -> None:
    assert parse_filters(text, ("label",)) == filters


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", "1", '{"label":"a"}', '{"label":[1]}', '{"label":null}', "nonsense"]
)
def test_what_are_no_filters(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid filter$"):
        parse_filters(text, ("label",))


def test_unknown_filters_are_refused_where_docker_does() -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid filter 'nonsense'$"):
        parse_filters('{"nonsense":["1"]}', ("label",))
    assert parse_filters('{"nonsense":["1"]}', None) == {"nonsense": ["1"]}


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("", 0),
        ("0", 0),
        ("12", 12 * S_NS),
        ("12.5", 12_500_000_000),
        ("12.000000001", 12_000_000_001),
        ("-3", -3 * S_NS),
    ],
)
def test_timestamps(text: str, ns: int) -> None:
    assert parse_timestamp(text, "'since'") == ns


@pytest.mark.parametrize("text", ["x", "1.", "1.2.3", "1e9", "1.0000000001", "2024-01-01"])
def test_no_timestamps(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid value for 'since': invalid timestamp"):
        parse_timestamp(text, "'since'")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("10m", NOW_NS - 600 * S_NS),
        ("1h30m", NOW_NS - 5400 * S_NS),
        ("1.5s", NOW_NS - 1_500_000_000),
        ("100ms", NOW_NS - 100_000_000),
        ("12", 12 * S_NS),
        ("2023-11-14T22:13:20Z", NOW_NS),
        ("2023-11-14T23:13:20+01:00", NOW_NS),
        ("2023-11-14", 1_699_920_000 * S_NS),
    ],
)
def test_until(text: str, ns: int) -> None:
    assert parse_until(text, NOW_NS) == ns


@pytest.mark.parametrize("text", ["x", "10", "10x", "", "m"][2:])
def test_no_until(text: str) -> None:
    with pytest.raises(InvalidArgument, match="failed to parse value as time or duration"):
        parse_until(text, NOW_NS)


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.44", (1, 44)), ("1.44.0", (1, 44)), ("01.44", (1, 44)), ("1", (1, 0)), ("9.9", (9, 9)), ("", None), ("x", None), ("1.", None), ("1.2.3.4", None)],
)  # fmt: skip
def test_versions(text: str, version: tuple[int, int] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0001-01-01T00:00:00Z"), (S_NS, "1970-01-01T00:00:01Z"), (NOW_NS + 120_000_000, "2023-11-14T22:13:20.12Z"), (NOW_NS + 1, "2023-11-14T22:13:20.000000001Z")],
)  # fmt: skip
def test_rfc3339(ns: int, text: str) -> None:
    assert rfc3339(ns) == text


@given(st.integers(1, 4 * 10**18), st.integers(1, 4 * 10**18))
def test_fixed_times_sort_as_text(one: int, two: int) -> None:
    assert (rfc3339_fixed(one) < rfc3339_fixed(two)) is (one < two)
