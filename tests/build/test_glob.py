from __future__ import annotations

import time

import pytest

from naru.build.glob import Glob, Piece, anything, has_wildcards, literal, path_glob
from naru.errors import InvalidArgument


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[^c]", "abc", False),
        ("a[^a]b", "a☺b", True),
        ("[a-ζ]*", "α", True),
        ("[\\]a]", "]", True),
        ("[\\-]", "-", True),
        ("[x\\-]", "-", True),
        ("*x", "xxx", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_path_glob(pattern: str, text: str, matches: bool) -> None:
    assert path_glob(pattern).matches(text) is matches


@pytest.mark.parametrize("pattern", ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\"])
def test_malformed(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match="syntax error in pattern"):
        path_glob(pattern)


def test_prefixes() -> None:
    star_a = Glob([Piece(anything, repeat=True), Piece(literal("a"))])
    assert list(star_a.prefixes("abaa")) == [1, 3, 4]
    assert list(Glob([]).prefixes("ab")) == [0]


@pytest.mark.parametrize(("text", "wild"), [("a*", True), ("a?", True), ("[a]", True), ("a\\*", False), ("a]", False)])
def test_has_wildcards(text: str, wild: bool) -> None:
    assert has_wildcards(text) is wild


def test_time_is_linear() -> None:
    started = time.monotonic()
    assert not path_glob("*a" * 100 + "b").matches("a" * 4000)
    assert time.monotonic() - started < 1
