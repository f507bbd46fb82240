"""Patterns of tags: what they match, what is refused, and that none runs for ever."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.hub.catalog.tagpatterns import TagPattern, expression, parse_several

# pattern → (tags it matches, tags it does not)
PATTERNS: dict[str, tuple[str, str]] = {
    "*": ("latest v1 _", ""),
    "v*": ("v v1 v1.2-rc.3", "V1 1v latest"),
    "*-rc?": ("1.0-rc1 -rcx", "1.0-rc 1.0-rc10"),
    "1.2": ("1.2", "1x2 1.2.3"),
    "20[0-9][0-9]-*": ("2026-01", "20ab-01 2026"),
    "[!0-9]*": ("v1 _", "1v"),
    "{main,release-*,}": ("main release- release-1", "mai main1"),
    "a.b_c-d": ("a.b_c-d", "axb_c-d"),
    r"^v\d+(\.\d+){0,2}$": ("v1 v1.2 v10.20.30", "v v1. v1.2.3.4 xv1"),
    "^a|b$": ("a b", "ab a|b"),
    "^(?:a|bc)*$": ("a bcabc", "b ac"),
    "^(a|b)+?c??$": ("a abc", "c"),
    "^a{2}b{2,}c{0,2}$": ("aabb aabbbbcc", "abb aab aabbccc"),
    r"^[\w.-]+$": ("v1.2-x_y", ""),
    r"^\D\W?[a-c\d]$": ("v1 v.c", "11 vxd"),
    r"^[^\d.]+\.$": ("ab.", "1. a.b"),
    "^[a-]+$": ("a-a", "b"),
    "^.{128}$": ("x" * 128, "x" * 127 + " " + "x" * 129),
    "^(|a)$": ("a", "b"),
    "^()*x$": ("x", "y"),
}


def test_patterns() -> None:
    for text, (yes, no) in PATTERNS.items():
        pattern = TagPattern.parse(text)
        assert [tag for tag in yes.split() if not pattern.matches(tag)] == [], text
        assert [tag for tag in no.split() if pattern.matches(tag)] == [], text
    assert TagPattern.parse("^(|a)$").matches("")


REFUSED = [
    "", "x" * 257, "^", "^a", "^a(b$", "^a)$", "^*a$", "^a**$", "^[a$", "^[]$", "^[b-a]$", r"^[\d-z]$", r"^\b$", r"^\1$", r"^a\$", "^a{$",
    "^a{1$", "^a{x}$", "^a{2,1}$", "^a{129}$", "^a{,3}$", "^a{99999999999}$", "^(?=a)$", "^(?P<x>a)$", "^a^b$", "^a$b$", "^(?i)a$", "a/b",
    "a b", "é*", "{a", "{a,{b}}", "a}", "[", "[!]", "a\\*", "v+", "^a:b$", "\0", "^(((a{100}){100}){100}){100}$", "^((((){99}){99}){99})$",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_a_reason(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(InvalidArgument, match=r"^tag pattern"):
        TagPattern.parse(text)
    assert time.process_time() - begin < 0.5


def test_the_reason_says_where() -> None:
    with pytest.raises(
        InvalidArgument, match=re.escape("tag pattern '^v(1|2$': ( without ), at the end of '$' (character 7)")
    ):
        TagPattern.parse("^v(1|2$")
    with pytest.raises(
        InvalidArgument,
        match=re.escape("tag pattern 'v1/x': no tag has a character like that in it: '/x' (character 3)"),
    ):
        TagPattern.parse("v1/x")


@pytest.mark.parametrize(
    "text",
    [
        "^(a+)+b$",
        "^(a|a)*b$",
        "^(a*)*b$",
        "^" + "a*" * 100 + "b$",
        "*a" * 100,
        "^(.*a){40}b$",
        "^((a?){30}){3}b$",
        "^(a|b|ab)*c$",
        "^(.?){128}b$",
    ],
)
def test_patterns_that_have_brought_others_down(text: str) -> None:
    pattern = TagPattern.parse(text)
    begin = time.process_time()
    for tag in ("a" * 127 + "z", "ab" * 63 + "z"):
        assert not pattern.matches(tag)
    assert time.process_time() - begin < 2


def test_what_is_remembered_stays_small() -> None:
    pattern = TagPattern.parse("^.*a.{100}$")  # deterministic, it has 2^100 states
    for number in range(300):
        pattern.matches(format(number**30, "b").replace("1", "a").replace("0", "b")[:128])
    assert pattern._machine._remembered < 60_000
    assert pattern.matches("a" + "b" * 100) and not pattern.matches("b" * 101)


def test_patterns_are_equal_by_their_text() -> None:
    assert TagPattern.parse("v*") == TagPattern.parse("v*") != TagPattern.parse("v?*")
    assert len({TagPattern.parse("v*"), TagPattern.parse("v*")}) == 1
    assert repr(TagPattern.parse("v*")) == "TagPattern(text='v*')"


ATOMS = st.sampled_from(["a", "b", "1", r"\.", ".", r"\d", r"\w", "[ab]", "[^a]", "[a-z-]"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.text("ab1.-", max_size=6))
def test_as_pythons_own_expressions_find_it(expression: str, tag: str) -> None:
    assert TagPattern.parse(f"^{expression}$").matches(tag) == bool(re.fullmatch(expression, tag))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("v*", "v.*"), ("*-rc?", ".*-rc."), ("20[0-9][!0]-*", "20[0-9][^0]-.*"), ("{main,release-*}", "(main|release-.*)"),
        ("1.2", r"1\.2"), ("[._]x?", "[._]x."), ("^v\\d+$", "v\\d+"),
    ],
)  # fmt: skip
def test_as_an_expression(pattern: str, expected: str) -> None:
    assert expression(pattern) == expected
    same = TagPattern.parse(f"^{expression(pattern)}$")
    for tag in ("v1", "1-rc1", "2026-11", "2020-11", "main", "release-1", "1.2", "1x2", "v12", ".", "?"):
        assert same.matches(tag) == TagPattern.parse(pattern).matches(tag), tag


def test_several() -> None:
    assert [one.text for one in parse_several(" v*  ^x$ ")] == ["v*", "^x$"]
    assert parse_several("") == ()
    with pytest.raises(InvalidArgument):
        parse_several("v* [")
