from __future__ import annotations

import pytest

from naru.cli.dockerignore import Ignore, read

CASES = [
    ("node_modules", ["node_modules", "node_modules/x/y"], ["a/node_modules", "node_modules2"]),
    ("/a/b/", ["a/b", "a/b/c"], ["a", "b"]),
    ("*.log", ["x.log"], ["d/x.log", "x.logs"]),
    ("**/*.log", ["x.log", "d/e/x.log"], ["x.txt"]),
    ("*/temp*", ["a/temp", "a/temporary/x"], ["temp", "a/b/temp"]),
    ("temp?", ["tempa"], ["temp", "tempab"]),
    ("**", ["a", "a/b"], []),
    ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a", "b"]),
    ("a/**", ["a/b", "a/b/c"], ["a"]),
    ("[a-c]x", ["ax", "cx"], ["dx"]),
    ("x\\*", ["x*"], ["xy"]),
    ("# comment\n\n  a  ", ["a"], ["# comment"]),
    ("*.md\n!README.md", ["x.md"], ["README.md"]),
    ("*.md\n!README*.md\nREADME-secret.md", ["x.md", "README-secret.md"], ["README.md"]),
    ("dir\n!dir/keep", ["dir", "dir/other"], ["dir/keep", "dir/keep/x"]),
    ("./a/../b", ["b"], ["a"]),
    ("a.b", ["a.b"], ["axb"]),
]


@pytest.mark.parametrize(("text", "ignored", "kept"), CASES)
def test_patterns(text: str, ignored: list[str], kept: list[str]) -> None:
    ignore = Ignore(read(text))
    assert [path for path in ignored if not ignore.ignores(path)] == []
    assert [path for path in kept if ignore.ignores(path)] == []


def test_what_is_always_sent() -> None:
    ignore = Ignore(read("*"), always=("Dockerfile", "sub/[x]"))
    assert (ignore.ignores("Dockerfile"), ignore.ignores("sub/[x]"), ignore.ignores("other")) == (False, False, True)


def test_folders_that_need_no_look() -> None:
    assert Ignore(read("a")).may_skip("a")
    assert not Ignore(read("a\n!a/b")).may_skip("a")
    assert not Ignore(read("a\n!**/b")).may_skip("a")
    assert Ignore(read("a\n!c/b")).may_skip("a")


@pytest.mark.parametrize("text", ["!", "[a"])
def test_bad_patterns(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)
