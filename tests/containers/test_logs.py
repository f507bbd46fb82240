"""Logs as conmon writes them: whole and partial lines, damaged ones, tails, windows, and following a growing file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.containers.logs import Entry, Window, _tail_offset, read


def stamp(second: int) -> str:
    return f"2026-11-25T16:45:{second:02d}.000000001+00:00"


def line(second: int, text: bytes, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"{stamp(second)} {stream} {tag} ".encode() + text + b"\n"


def entries(path: Path, window: Window = Window()) -> list[Entry]:
    async def collect() -> list[Entry]:
        return [entry async for batch in read(str(path), window) for entry in batch]

    return asyncio.run(collect())


def text(path: Path, window: Window = Window()) -> bytes:
    return b"".join(entry.data for entry in entries(path, window))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(
        line(1, b"one") + line(2, b"err", "stderr") + line(3, b"long ", tag="P") + line(4, b"between", "stderr")
        + line(5, b"line") + line(6, b"") + line(7, b"\xff\x00 raw")
    )  # fmt: skip
    return path


def test_every_byte_in_order(log: Path) -> None:
    assert text(log) == b"one\nerr\nlong between\nline\n\n\xff\x00 raw\n"
    assert entries(log)[0] == Entry("2026-11-25T16:45:01.000000001Z", 1, b"one\n", True)
    assert [entry.begins for entry in entries(log)] == [True, True, True, True, False, True, True]


def test_streams(log: Path) -> None:
    assert text(log, Window(stderr=False)) == b"one\nlong line\n\n\xff\x00 raw\n"
    assert text(log, Window(stdout=False)) == b"err\nbetween\n"


def test_since_and_until_are_inclusive(log: Path) -> None:
    window = Window(since="2026-11-25T16:45:02.000000001Z", until="2026-11-25T16:45:04.000000001Z")
    assert text(log, window) == b"err\nlong between\n"
    assert text(log, Window(since="2027")) == b""
    assert text(log, Window(until="2025")) == b""


@pytest.mark.parametrize(
    ("tail", "streams", "expected"),
    [
        (0, (True, True), b""),
        (1, (True, True), b"\xff\x00 raw\n"),
        (2, (True, True), b"\n\xff\x00 raw\n"),
        (3, (True, False), b"long line\n\n\xff\x00 raw\n"),
        (1, (False, True), b"between\n"),
        (2, (False, True), b"err\nbetween\n"),
        (100, (True, True), b"one\nerr\nlong between\nline\n\n\xff\x00 raw\n"),
    ],
)
def test_tail(log: Path, tail: int, streams: tuple[bool, bool], expected: bytes) -> None:
    assert text(log, Window(tail=tail, stdout=streams[0], stderr=streams[1])) == expected


def test_a_last_line_without_its_newline_counts_as_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line(1, b"a") + line(2, b"b") + line(3, b"e", "stderr", "P") + line(4, b"c", tag="P"))
    assert text(path, Window(tail=1, stderr=False)) == b"c"
    assert text(path, Window(tail=2, stderr=False)) == b"b\nc"
    assert text(path, Window(tail=1, stdout=False)) == b"e"


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(
        b"\n" + line(1, b"a") + b"\0" * 5000 + b"\n" + line(2, b"b")[:20] + b"\n" + line(3, b"c") + line(4, b"cut")[:-3]
    )
    assert text(path) == b"a\nc\n"
    assert text(path, Window(tail=1)) == b"c\n"


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    assert entries(tmp_path / "nosuch") == []


def test_lines_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    pieces = [b"x" * 16384 for _ in range(200)]
    with path.open("wb") as file:
        for number in range(3):
            for piece in pieces:
                file.write(line(number, piece, tag="P"))
            file.write(line(number, b"end"))
    assert text(path) == (b"x" * 16384 * 200 + b"end\n") * 3
    assert text(path, Window(tail=1)) == b"x" * 16384 * 200 + b"end\n"
    assert text(path, Window(tail=2)) == (b"x" * 16384 * 200 + b"end\n") * 2


@given(
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), st.binary(max_size=30))),
    st.integers(0, 12),
)
def test_a_tail_is_the_end_of_the_whole(rows: list[tuple[str, str, bytes]], tail: int) -> None:
    data = b"".join(line(1, body.replace(b"\n", b""), stream, tag) for stream, tag, body in rows)
    path = Path(f"/dev/shm/naru-test-log-{id(rows)}")
    path.write_bytes(data)
    try:
        whole = text(path, Window(stderr=False))
        part = text(path, Window(stderr=False, tail=tail))
        assert whole.endswith(part)
        lines = whole.split(b"\n")
        count = len(lines) - (lines[-1] == b"")
        assert part == b"\n".join(lines[max(0, count - tail) :]) or _ends_in_empty_piece(rows)
    finally:
        path.unlink()


def _ends_in_empty_piece(rows: list[tuple[str, str, bytes]]) -> bool:
    """A last piece that holds nothing is a line of its own that cannot be seen."""
    out = [(tag, body.replace(b"\n", b"")) for stream, tag, body in rows if stream == "stdout"]
    tail = b""
    for tag, body in out:
        tail = b"" if tag == "F" else tail + body
    return bool(out) and out[-1][0] == "P" and tail == b""


def test_tail_offset_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with (tmp_path / "log").open("rb") as file:
        assert _tail_offset(file.fileno(), 5, lambda line: True) == 0


def test_following(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line(1, b"old") + line(2, b"half a line")[:40])

    async def follow() -> list[bytes]:
        ended, seen = asyncio.Event(), []
        with path.open("ab") as file:
            async for batch in read(str(path), Window(), ended=ended):
                seen += [entry.data for entry in batch]
                if len(seen) == 1:
                    file.write(line(2, b"half a line")[40:])
                    file.flush()
                elif len(seen) == 2:
                    file.write(line(3, b"last"))
                    file.flush()
                    ended.set()  # what was written before the end is still read
        return seen

    assert asyncio.run(asyncio.wait_for(follow(), 5)) == [b"old\n", b"half a line\n", b"last\n"]


def test_following_stops_at_until(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line(1, b"a") + line(9, b"b"))

    async def follow() -> list[bytes]:
        window = Window(until="2026-11-25T16:45:05.000000000Z")
        return [entry.data async for batch in read(str(path), window, ended=asyncio.Event()) for entry in batch]

    assert asyncio.run(asyncio.wait_for(follow(), 5)) == [b"a\n"]
