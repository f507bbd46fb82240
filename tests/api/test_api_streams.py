"""Frames and detach keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.api.streams import DEFAULT_DETACH, DetachKeys, frame, join, parse_detach_keys


def test_a_frame_is_eight_bytes_and_the_data() -> None:
    assert frame(2, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"


@pytest.mark.parametrize(
    ("text", "keys"), [("ctrl-p,ctrl-q", DEFAULT_DETACH), ("ctrl-a", b"\x01"), ("a,b", b"ab"), ("ctrl-@", b"\0"), ("ctrl-[", b"\x1b"), ("ctrl-_,x", b"\x1fx")]
)  # fmt: skip
def test_detach_keys(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "nonsense-x", "ab", "ctrl-A", "ctrl-1", "a,", "ctrl-ab"])
def test_no_detach_keys(text: str) -> None:
    with pytest.raises(ValueError):
        parse_detach_keys(text)


@pytest.mark.parametrize(
    ("pieces", "out", "pressed"),
    [
        ([b"abc"], b"abc", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"a\x10", b"\x11"], b"a", True),
        ([b"a\x10", b"b"], b"a\x10b", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11\x10x"], b"\x11\x10x", False),
    ],
)
def test_watching_for_them(pieces: list[bytes], out: bytes, pressed: bool) -> None:
    keys, seen, found = DetachKeys(DEFAULT_DETACH), b"", False
    for piece in pieces:
        data, found = keys.feed(piece)
        seen += data
    assert (seen, found) == (out, pressed)


@given(st.lists(st.binary()))
def test_without_keys_everything_passes(pieces: list[bytes]) -> None:
    keys = DetachKeys(b"")
    assert b"".join(keys.feed(piece)[0] for piece in pieces) == b"".join(pieces)


def test_a_log_is_sent_as_one_frame_for_each_line() -> None:
    pieces = [(1, [b"a\n", b"bc"]), (2, [b"d" * 300])]
    assert join(pieces, tty=False) == (
        frame(1, b"a\n") + frame(1, b"bc") + frame(2, b"d" * 300)
    )  # fmt: skip
    assert join(pieces, tty=True) == b"a\nbc" + b"d" * 300
