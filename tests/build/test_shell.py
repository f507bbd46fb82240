from __future__ import annotations

import time

import pytest

from naru.build.shell import RESULT_LIMIT, expand, expand_words
from naru.errors import InvalidArgument

VARIABLES = {
    "V": "value",
    "EMPTY": "",
    "SP": "a  b",
    "PATHS": "/usr/lib/lib.so.1",
    "STAR": "a*b",
    "DOLLAR": "$V",
    "ÜM": "ü",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$V", "value"),
        ("${V}", "value"),
        ("a$V.b", "avalue.b"),
        ("${V}x", "valuex"),
        ("$Vx", ""),
        ("$NONE", ""),
        ("${NONE}", ""),
        ("$ÜM", "ü"),
        ("$", "$"),
        ("$.", "$."),
        ("$1$@$*$#$?x", "x"),
        ("$12x", "x"),
        ("${1}", ""),
        # defaults
        ("${NONE:-w}", "w"),
        ("${NONE-w}", "w"),
        ("${EMPTY:-w}", "w"),
        ("${EMPTY-w}", ""),
        ("${V:-w}", "value"),
        ("${NONE:-${V}}", "value"),
        ("${NONE:-${ALSO:-$V}}", "value"),
        ('${NONE:-"a b"}', "a b"),
        ("${NONE:-}", ""),
        # alternatives
        ("${V:+w}", "w"),
        ("${V+w}", "w"),
        ("${EMPTY:+w}", ""),
        ("${EMPTY+w}", "w"),
        ("${NONE:+w}", ""),
        ("${NONE+w}", ""),
        # required
        ("${V:?m}", "value"),
        ("${V?m}", "value"),
        ("${EMPTY?m}", ""),
        # trimming
        ("${PATHS#*/}", "usr/lib/lib.so.1"),
        ("${PATHS##*/}", "lib.so.1"),
        ("${PATHS%.*}", "/usr/lib/lib.so"),
        ("${PATHS%%.*}", "/usr/lib/lib"),
        ("${PATHS#/???/}", "lib/lib.so.1"),
        ("${PATHS#nope}", "/usr/lib/lib.so.1"),
        ("${V#}", "value"),
        ("${V%%*}", ""),
        ("${V##*}", ""),
        ("${V#*}", "value"),
        (r"${STAR#a\*}", "b"),
        ("${STAR##a'*'}", ""),
        ('${STAR%"*b"}', "a*"),
        ("${NONE#x}", ""),
        ("${V#$V}", ""),
        # replacing
        ("${PATHS/lib/LIB}", "/usr/LIB/lib.so.1"),
        ("${PATHS//lib/LIB}", "/usr/LIB/LIB.so.1"),
        ("${PATHS//l?b/}", "/usr//.so.1"),
        ("${PATHS/l*b/X}", "/usr/X.so.1"),
        (r"${PATHS//\//-}", "-usr-lib-lib.so.1"),
        ("${V/nope/x}", "value"),
        ("${NONE/a/b}", ""),
        (r"${STAR/\*/+}", "a+b"),
        ("${V//?/x}", "xxxxx"),
        # quotes and escapes
        ("'$V'", "$V"),
        ('"$V"', "value"),
        ("\"'$V'\"", "'value'"),
        (r"\$V", "$V"),
        (r"\\$V", r"\value"),
        (r"\a", "a"),
        (r'"\a"', r"\a"),
        (r'"\""', '"'),
        (r'"\$V"', "$V"),
        (r"'a\'", "a\\"),
        ("a\\", "a"),
        ("$DOLLAR", "$V"),
        ("a'b'\"c\"d", "abcd"),
        ("a b", "a b"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${", "missing '}'"),
        ("${V", "missing '}'"),
        ("${V:-w", "missing '}'"),
        ("${V/a/b", "missing '}'"),
        ("${V/a", "missing '/'"),
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${{V}}", "bad substitution"),
        ("${V:x}", r"unsupported modifier \(:x\) in substitution"),
        ("${V.}", r"unsupported modifier \(\.\) in substitution"),
        ("${V:#p}", r"unsupported modifier \(:#\) in substitution"),
        ("${V:%p}", r"unsupported modifier \(:%\) in substitution"),
        ("${NONE:?must be set}", "NONE: must be set"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("'open", "matching single-quote"),
        ('"open', "matching double-quote"),
        ('"$V', "matching double-quote"),
        (r"${V#\x}", r"invalid escape '\\x'"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        expand(text, VARIABLES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", ["a", "b"]),
        ("  a  ", ["a"]),
        ("$SP", ["a", "b"]),
        ('"$SP"', ["a  b"]),
        ("x$SP.y", ["xa", "b.y"]),
        (r"a\ b", ["a b"]),
        ("''", []),
        ("'a b' c", ["a b", "c"]),
        ("$NONE x", ["x"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert expand_words(text, VARIABLES) == expected


def test_the_other_escape() -> None:
    assert expand("a\\b`$V", VARIABLES, escape="`") == "a\\b$V"


def test_quotes_can_be_text() -> None:
    assert expand('it\'s "$V" \\$V \\\\ \\\n', VARIABLES, quotes=False) == 'it\'s "value" $V \\ \n'


def test_no_bomb() -> None:
    big = {"A": "x" * (RESULT_LIMIT // 2)}
    with pytest.raises(InvalidArgument, match="longer than"):
        expand("$A" * 12, big)
    with pytest.raises(InvalidArgument, match="longer than"):
        expand("${A//?/$A}", big)
    with pytest.raises(InvalidArgument, match="nested too deeply"):
        expand("${a:-" * 1000 + "}" * 1000, {})


def test_a_hostile_pattern_takes_no_time() -> None:
    value = {"A": "a" * 4000}
    started = time.monotonic()
    assert expand("${A##" + "*a" * 40 + "b}", value) == value["A"]
    assert expand("${A//" + "*a" * 40 + "b/x}", value) == value["A"]
    assert expand("${A%%" + "?*" * 40 + "b}", value) == value["A"]
    assert time.monotonic() - started < 2
