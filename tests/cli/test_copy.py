from __future__ import annotations

import pytest

from naru.cli.copy import planned, split
from naru.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("c:/x", ("c", "/x")),
        ("/x:y", ("", "/x:y")),
        ("./c:x", ("", "./c:x")),
        ("a/b:c", ("", "a/b:c")),
        ("-", ("", "-")),
        ("c:", ("c", "")),
        ("file", ("", "file")),
    ],
)
def test_split(text: str, wanted: tuple[str, str]) -> None:
    assert split(text) == wanted


PLANS = [
    (("f", False, False, "/d", "dir"), ("/d", "f")),
    (("f", False, False, "/d/new", ""), ("/d", "new")),
    (("f", False, False, "/d/old", "file"), ("/d", "old")),
    (("f", False, False, "new", ""), (".", "new")),
    (("s", True, False, "/d", "dir"), ("/d", "s")),
    (("s", True, False, "/d/new", ""), ("/d", "new")),
    (("s", True, True, "/d", "dir"), ("/d", "")),
    (("s", True, True, "/d/new", ""), ("/d", "new")),
    (("s", True, False, "/", "dir"), ("/", "s")),
]


@pytest.mark.parametrize(("arguments", "wanted"), PLANS)
def test_plans(arguments: tuple[str, bool, bool, str, str], wanted: tuple[str, str]) -> None:
    assert planned(*arguments) == wanted


@pytest.mark.parametrize(
    "arguments",
    [("s", True, False, "/f", "file"), ("f", False, False, "/new/", ""), ("f", False, False, "/f/", "file")],
)
def test_refused(arguments: tuple[str, bool, bool, str, str]) -> None:
    with pytest.raises(InvalidArgument):
        planned(*arguments)
