from __future__ import annotations

import pytest

from naru.client.stdcopy import STDERR, STDOUT, Demultiplexer
from naru.errors import Internal


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_any_cut(size: int) -> None:
    data = frame(1, b"out") + frame(2, b"error") + frame(1, b"") + frame(0, b"in") + frame(1, b"x" * 300)
    frames = Demultiplexer()
    got = [item for at in range(0, len(data), size) for item in frames.feed(data[at : at + size])]
    assert b"".join(payload for stream, payload in got if stream == STDOUT) == b"outin" + b"x" * 300
    assert b"".join(payload for stream, payload in got if stream == STDERR) == b"error"


def test_system_error_is_raised_with_its_text() -> None:
    frames = Demultiplexer()
    assert list(frames.feed(frame(1, b"a") + frame(3, b"disk full")[:10])) == [(STDOUT, b"a")]
    with pytest.raises(Internal, match="disk full"):
        list(frames.feed(frame(3, b"disk full")[10:]))


def test_what_came_before_an_error_is_not_lost() -> None:
    got = []
    with pytest.raises(Internal, match="boom"):
        for item in Demultiplexer().feed(frame(1, b"a") + frame(3, b"boom")):
            got.append(item)
    assert got == [(STDOUT, b"a")]


@pytest.mark.parametrize("data", [b"hello world", b"\x01\x02\x00\x00\x00\x00\x00\x01x", b"\x09\0\0\0\0\0\0\1x"])
def test_no_frame(data: bytes) -> None:
    with pytest.raises(Internal, match="Unrecognized input header"):
        list(Demultiplexer().feed(data))
