from __future__ import annotations

import pytest

from naru.api.framing import BadFraming, Chunked, Framing, Sized

LONG = b"x" * 5000


def unframed(framing: Framing, data: bytes, step: int) -> tuple[bytes, bytes]:
    """(content, what is behind the body), shown `step` bytes at a time."""
    content, at = bytearray(), 0
    while at < len(data) and not framing.done:
        if framing.left:
            piece = data[at : at + min(step, framing.left)]
            framing.took(len(piece))
            content += piece
            at += len(piece)
        else:
            at += framing.frame(data[: at + step], at)
    return bytes(content), data[at:]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100_000])
@pytest.mark.parametrize(
    ("framing", "data", "content"),
    [
        (lambda: Sized(3), b"abcGET", b"abc"),
        (lambda: Sized(0), b"GET", b""),
        (Chunked, b"3\r\nabc\r\n0\r\n\r\nGET", b"abc"),
        (Chunked, b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nGET", b"abc0123456789"),
        (Chunked, b'1 ;n="a\tb"\r\n\n\r\n0000\r\nTrailer: x\r\nOther: y\r\n\r\nGET', b"\n"),
        (Chunked, b"0\r\n\r\nGET", b""),
        (Chunked, b"2\r\n\r\n\r\n1388\r\n" + LONG + b"\r\n0\r\n\r\nGET", b"\r\n" + LONG),
    ],
)
def test_content_and_what_follows(framing: type[Chunked], data: bytes, content: bytes, step: int) -> None:
    made = framing()
    rest = b"GET" if data.endswith(b"GET") else b""
    assert unframed(made, data, step) == (content, rest)
    assert made.done


@pytest.mark.parametrize(
    "data", [b"", b"3", b"3\r\n", b"3\r\nab", b"3\r\nabc\r", b"3\r\nabc\r\n0\r\n", b"3\r\nabc\r\n0\r\nA: b\r\n"]
)
def test_a_body_that_is_cut_is_not_done(data: bytes) -> None:
    framing = Chunked()
    unframed(framing, data, 100)
    assert not framing.done


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n", b"\r\n", b"-1\r\n", b"+1\r\na\r\n", b"0x1\r\na\r\n", b"1_0\r\n", b" 1\r\n", b"1\na\r\n", b"1\r\nab\r\n", b"1\r\na\n",
        b"1" * 16 + b"\r\n", b"1;" + LONG + b"\r\n", b"1\r\na" + LONG, b"0\r\n" + b"A: b\n", b"0\r\n" + b"A: " + LONG + b"\r\n",
        b"0\r\n" + b"A: b\r\n" * 20_000,
    ],
)  # fmt: skip
def test_what_is_no_framing_is_refused(data: bytes, step: int) -> None:
    with pytest.raises(BadFraming):
        unframed(Chunked(), data, step)
