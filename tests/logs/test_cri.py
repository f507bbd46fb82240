"""The log's lines: stripped block by block and line by line, which must give the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loglines import line

from naru.logs.cri import Piece, Reader, Window, entries, strip

_TEXTS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"x stdout P y", b" stdout F ", b" stderr P ", line(1, b"printed")[:-1], b"\r", b"", b"\0" * 40]),
)
_ROWS = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(["stdout"] * 6 + ["stderr"]), st.sampled_from("FFFP"), _TEXTS),
    max_size=25,
)
_DAMAGE = st.lists(
    st.tuples(st.integers(0, 24), st.sampled_from([b"\n", b"\0\0\n", line(1, b"cut")[:30] + b"\n"])), max_size=2
)


_WINDOWS = [
    Window(stdout=stdout, stderr=stderr, times=times, details=details)
    for stdout, stderr in ((True, True), (True, False), (False, True))
    for times in (False, True)
    for details in (b"", b"k=v ")
]


def blocks_of(rows: list[tuple[int, str, str, bytes]], damage: list[tuple[int, bytes]]) -> list[bytes]:
    lines = [line(second, text.replace(b"\n", b""), stream, tag) for second, stream, tag, text in rows]
    for position, junk in damage:
        lines.insert(position, junk)
    half = len(lines) // 2
    return [block for block in (b"".join(lines[:half]), b"".join(lines[half:])) if block]


def joined(pieces: list[Piece]) -> list[Piece]:
    out: list[Piece] = []
    for stream, data in pieces:
        assert all(data)
        if out and out[-1][0] == stream:
            out[-1] = stream, out[-1][1] + data
        else:
            out.append((stream, data))
    return out


@given(_ROWS, _DAMAGE, st.sampled_from(_WINDOWS))
def test_by_block_and_by_line_are_the_same(
    rows: list[tuple[int, str, str, bytes]], damage: list[tuple[int, bytes]], window: Window
) -> None:
    fast, slow = Reader(window), Reader(window)
    blocks = blocks_of(rows, damage)
    found = [piece for block in blocks for piece in fast.pieces(block)]
    expected = [piece for block in blocks for piece in slow._line_by_line(block)]
    assert joined(found) == joined(expected)
    assert fast._open == slow._open


@given(_ROWS, _DAMAGE, st.integers(0, 10), st.integers(0, 10), st.booleans())
def test_a_window_by_block_and_by_line_is_the_same(
    rows: list[tuple[int, str, str, bytes]], damage: list[tuple[int, bytes]], since: int, until: int, times: bool
) -> None:
    bounds = [f"2026-11-25T16:45:{second:02d}.000000001Z" if second else "" for second in (since, until)]
    window = Window(since=bounds[0], until=bounds[1], times=times)
    fast, slow = Reader(window), Reader(window)
    blocks = blocks_of(sorted(rows, key=lambda row: row[0]), damage)
    expected = [piece for block in blocks if not slow.past_until for piece in slow._line_by_line(block)]
    assert joined([piece for block in blocks if not fast.past_until for piece in fast.pieces(block)]) == joined(
        expected
    )


@given(_ROWS)
def test_every_line_is_found(rows: list[tuple[int, str, str, bytes]]) -> None:
    found = [entry for block in blocks_of(rows, []) for entry in entries(block)]
    assert [(entry.stream, entry.full, entry.data.removesuffix(b"\n")) for entry in found] == [
        (1 if stream == "stdout" else 2, tag == "F", text.replace(b"\n", b"")) for _, stream, tag, text in rows
    ]


@pytest.mark.parametrize("other", [b"", line(1, b"e", "stderr")])
def test_a_line_of_16_kib_is_one_piece_and_a_longer_one_comes_in_several(other: bytes) -> None:
    half = line(1, b"x" * 8192, tag="P")
    block = other + line(1, b"a") + half + half + line(1, b"") + half + half + half + line(1, b"b")
    texts = [text for stream, texts in Reader(Window()).pieces(block) if stream == 1 for text in texts]
    assert [len(text) for text in texts] == [2, 16385, 16384, 8192 + 2]


def test_a_block_of_one_stream_is_stripped() -> None:
    block = line(1, b"a") + line(1, b"part ", tag="P") + line(2, b"end") + line(3, b"", tag="P")
    assert strip(block, 1, Window()) == [b"a\n", b"part end\n"]
    assert strip(block, 2, Window()) is None
    assert strip(block + line(3, b"e", "stderr"), 1, Window()) is None
    assert strip(b"x" + block, 1, Window()) is None


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(times=True), b"2026-11-25T16:45:01.000000001Z a\n2026-11-25T16:45:02.000000001Z bc\n"),
        (Window(details=b"k=v "), b"k=v a\nk=v bc\n"),
        (Window(times=True, details=b"k=v "), b"2026-11-25T16:45:01.000000001Z k=v a\n2026-11-25T16:45:02.000000001Z k=v bc\n"),
    ],
)  # fmt: skip
def test_a_line_is_decorated_once(window: Window, expected: bytes) -> None:
    reader = Reader(window)
    pieces = reader.pieces(line(1, b"a") + line(2, b"b", tag="P")) + reader.pieces(line(3, b"c"))
    assert b"".join(text for _, texts in pieces for text in texts) == expected
