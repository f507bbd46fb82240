from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from naru.cli.terminal import DetachKeys, RawMode, read_keys, size


@pytest.fixture
def terminal() -> Iterator[int]:
    outer, inner = pty.openpty()
    yield inner
    os.close(outer)
    os.close(inner)


def test_raw_mode_is_undone_whatever_happens(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    with pytest.raises(KeyError), RawMode(terminal):
        during = termios.tcgetattr(terminal)
        assert not during[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        assert not during[1] & termios.OPOST
        raise KeyError
    assert termios.tcgetattr(terminal) == before


def test_size(terminal: int) -> None:
    termios.tcsetwinsize(terminal, (30, 100)) if hasattr(termios, "tcsetwinsize") else None
    assert size(terminal) in ((30, 100), (0, 0))
    read, write = os.pipe()
    assert size(read) == (0, 0)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("text", "keys"), [("ctrl-p,ctrl-q", b"\x10\x11"), ("a,ctrl-@", b"a\0"), ("ctrl-[", b"\x1b"), ("ctrl-A", b"\x01")]
)
def test_keys(text: str, keys: bytes) -> None:
    assert read_keys(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ab", "ctrl-1", "a,,b", "é"])
def test_bad_keys(text: str) -> None:
    with pytest.raises(ValueError, match="invalid detach keys"):
        read_keys(text)


TYPED = [
    ([b"abc"], b"abc", False),
    ([b"\x10\x11"], b"", True),
    ([b"ab\x10", b"\x11cd"], b"ab", True),
    ([b"\x10", b"x"], b"\x10x", False),
    ([b"\x10\x10\x11"], b"\x10", True),
    ([b"\x11\x10"], b"\x11", False),
]


@pytest.mark.parametrize(("pieces", "sent", "detached"), TYPED)
def test_detaching(pieces: list[bytes], sent: bytes, detached: bool) -> None:
    keys = DetachKeys(b"\x10\x11")
    got = [keys.feed(piece) for piece in pieces]
    assert (b"".join(data for data, _ in got), got[-1][1]) == (sent, detached)
