from __future__ import annotations

from naru.cli.table import align, shorten


def test_align() -> None:
    rows = [["NETWORK ID", "NAME", "SCOPE"], ["de809d12b764", "bridge", "local"], ["a", "", ""]]
    assert align(rows) == (
        "NETWORK ID     NAME      SCOPE\n"
        "de809d12b764   bridge    local\n"
        "a                        \n"
    )  # fmt: skip
    assert align([]) == ""
    assert align([["alone"]]) == "alone\n"


def test_shorten() -> None:
    assert (shorten("abcdef", 6), shorten("abcdefg", 6)) == ("abcdef", "abcde…")
