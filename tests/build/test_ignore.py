from __future__ import annotations

import pytest

from naru.build.ignore import Ignore, read
from naru.errors import InvalidArgument


@pytest.mark.parametrize(
    ("data", "patterns"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\r\n", ["a"]),
        (b"# comment\n #kept\n", ["#kept"]),
        (b"  a  \n\n\t\n", ["a"]),
        (b"/a\n!/b\n! /c\n", ["a", "!b", "!c"]),
        (b"a/../b\n./c/\nd//e\n", ["b", "c", "d/e"]),
        (b"!\n/\n.\n", ["!", "/", "."]),
        (b"//a\n", ["a"]),
    ],
)
def test_read(data: bytes, patterns: list[str]) -> None:
    assert read(data) == patterns


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        (["a"], "a", True),
        (["a"], "a/b/c", True),
        (["a"], "b/a", False),
        (["*"], "a", True),
        (["*"], "a/b", True),  # a directory above it matches
        (["*.go"], "x.go", True),
        (["*.go"], "d/x.go", False),
        (["*/*.go"], "d/x.go", True),
        (["a?c"], "abc", True),
        (["a?c"], "a/c", False),
        (["[a-c]x"], "bx", True),
        (["[^a-c]x"], "bx", False),
        (["[^a-c]x"], "dx", True),
        ([r"a\*b"], "a*b", True),
        ([r"a\*b"], "axb", False),
        # any number of directories
        (["**"], "a/b/c", True),
        (["**/"], "file", True),
        (["**/x"], "x", True),
        (["**/x"], "a/b/x", True),
        (["**/x"], "a/bx", False),
        (["**x"], "a/bx", True),
        (["**foo"], "xfoo", True),
        (["abc/**"], "abc", False),
        (["abc/**"], "abc/d", True),
        (["a/**/z"], "a/z", True),
        (["a/**/z"], "a/b/c/z", True),
        (["a/**/z"], "ab/z", False),
        (["a**/z"], "a/z", True),
        (["a**/z"], "ab/z", True),
        (["a**z"], "az", True),
        (["a**z"], "ab/z", True),
        (["**/*.md"], "README.md", True),
        (["**/*.md"], "docs/deep/x.md", True),
        (["**/a/**/b"], "x/a/y/z/b", True),
        (["dir/**"], "dir/.dotfile", True),
        # characters that mean something to regular expressions only
        (["a.b"], "axb", False),
        (["a+(b)|{c}$^"], "a+(b)|{c}$^", True),
        (["*.+"], "x.+", True),
        # the last one that matches decides
        (["*", "!a"], "a", False),
        (["*", "!a"], "b", True),
        (["a", "!a/b"], "a/b", False),
        (["a", "!a/b"], "a/c", True),
        (["a", "!a/b", "a/b/c"], "a/b/c", True),
        (["!a", "*"], "a", True),
        (["**", "!keep/**"], "keep/x", False),
        (["**", "!keep/**"], "keep", True),
        ([" a "], "a", True),
        ([""], "a", False),
        ([], "a", False),
        (["a/"], "a", True),
    ],
)
def test_excludes(patterns: list[str], path: str, excluded: bool) -> None:
    assert Ignore(patterns).excludes(path) is excluded


@pytest.mark.parametrize("pattern", ["!", "[", "[]", "[a", "a[", "[a-", "[-a]", "[]a]", "a\\", "[x-]"])
def test_malformed(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        Ignore([pattern])


def test_may_reinclude() -> None:
    assert Ignore(["a", "!a/b"]).may_reinclude
    assert not Ignore(["a"]).may_reinclude
