from __future__ import annotations

import pytest

from naru.build.chmod import is_absolute, parse
from naru.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "mode", "is_dir", "expected"),
    [
        ("755", 0o600, False, 0o755),
        ("4711", 0o600, False, 0o4711),
        ("0", 0o777, True, 0),
        ("+x", 0o644, False, 0o755),
        ("u+x", 0o644, False, 0o744),
        ("go-rwx", 0o777, False, 0o700),
        ("a=r", 0o777, False, 0o444),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("a+X", 0o744, False, 0o755),
        ("u+s,+t", 0o755, False, 0o5755),
        ("u=rw-w+x", 0o000, False, 0o500),
        ("u=rwX", 0o4700, False, 0o700),
        ("u=rwX", 0o4700, True, 0o4700),
    ],
)
def test_change(text: str, mode: int, is_dir: bool, expected: int) -> None:
    assert parse(text)(mode, is_dir) == expected


@pytest.mark.parametrize("text", ["8", "10000", "99999999", "u", "u+q", "x+u", "", "u=rw,", "u=rw go=r"])
def test_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid chmod parameter"):
        parse(text)


def test_is_absolute() -> None:
    assert is_absolute("0644")
    assert not is_absolute("u+x")
