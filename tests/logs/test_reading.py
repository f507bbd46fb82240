"""Logs as conmon writes them: whole and partial lines, damaged ones, tails, windows, and following a growing file."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loglines import line, pieces_of, text_of

from naru.logs.cri import Window
from naru.logs.files import LogFiles, Part, pack


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(
        line(1, b"one") + line(2, b"err", "stderr") + line(3, b"long ", tag="P") + line(4, b"between", "stderr")
        + line(5, b"line") + line(6, b"") + line(7, b"\xff\x00 raw")
    )  # fmt: skip
    return path


def test_every_byte_in_order(log: Path) -> None:
    assert text_of(log) == b"one\nerr\nlong between\nline\n\n\xff\x00 raw\n"
    assert pieces_of(log) == [
        (1, [b"one\n"]),
        (2, [b"err\n"]),
        (1, [b"long "]),
        (2, [b"between\n"]),
        (1, [b"line\n", b"\n", b"\xff\x00 raw\n"]),
    ]


def test_streams(log: Path) -> None:
    assert text_of(log, Window(stderr=False)) == b"one\nlong line\n\n\xff\x00 raw\n"
    assert text_of(log, Window(stdout=False)) == b"err\nbetween\n"


def test_since_and_until_are_inclusive(log: Path) -> None:
    window = Window(since="2026-11-25T16:45:02.000000001Z", until="2026-11-25T16:45:04.000000001Z")
    assert text_of(log, window) == b"err\nlong between\n"
    assert text_of(log, Window(since="2027")) == b""
    assert text_of(log, Window(until="2025")) == b""


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
    assert text_of(log, Window(tail=tail, stdout=streams[0], stderr=streams[1])) == expected


def test_a_last_line_without_its_newline_counts_as_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line(1, b"a") + line(2, b"b") + line(3, b"e", "stderr", "P") + line(4, b"c", tag="P"))
    assert text_of(path, Window(tail=1, stderr=False)) == b"c"
    assert text_of(path, Window(tail=2, stderr=False)) == b"b\nc"
    assert text_of(path, Window(tail=1, stdout=False)) == b"e"


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(
        b"\n" + line(1, b"a") + b"\0" * 5000 + b"\n" + line(2, b"b")[:20] + b"\n" + line(3, b"c") + line(4, b"cut")[:-3]
    )
    assert text_of(path) == b"a\nc\n"
    assert text_of(path, Window(tail=1)) == b"c\n"


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    assert pieces_of(tmp_path / "nosuch") == []


def test_lines_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    pieces = [b"x" * 16384 for _ in range(200)]
    with path.open("wb") as file:
        for number in range(3):
            for piece in pieces:
                file.write(line(number, piece, tag="P"))
            file.write(line(number, b"end"))
    assert text_of(path) == (b"x" * 16384 * 200 + b"end\n") * 3
    assert text_of(path, Window(tail=1)) == b"x" * 16384 * 200 + b"end\n"
    assert text_of(path, Window(tail=2)) == (b"x" * 16384 * 200 + b"end\n") * 2


@given(
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), st.binary(max_size=30))),
    st.integers(0, 12),
)
def test_a_tail_is_the_end_of_the_whole(rows: list[tuple[str, str, bytes]], tail: int) -> None:
    data = b"".join(line(1, body.replace(b"\n", b""), stream, tag) for stream, tag, body in rows)
    path = Path(f"/dev/shm/naru-test-log-{id(rows)}")
    path.write_bytes(data)
    try:
        whole = text_of(path, Window(stderr=False))
        part = text_of(path, Window(stderr=False, tail=tail))
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


def test_the_tail_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    assert text_of(tmp_path / "log", Window(tail=5)) == b""


def test_a_line_without_end_is_left_out_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(line(1, b"a"))
        file.truncate(1 << 26)  # what a power cut leaves
        file.seek(0, 2)
        file.write(b"\n" + line(2, b"b"))
    tracemalloc.start()
    try:
        assert text_of(path) == b"a\nb\n"
        assert text_of(path, Window(tail=1)) == b"b\n"
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


# -- over all parts -----------------------------------------------------------------------------------------------------

_ROW = st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FFFP"), st.binary(max_size=5))


@given(
    st.lists(st.lists(_ROW, max_size=8), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([None, 0, 1, 2, 3, 5, 50]),
    st.sampled_from([(True, True), (True, False), (False, True)]),
)
def test_parts_are_read_as_one(
    parts: list[list[tuple[str, str, bytes]]], packed: list[bool], tail: int | None, streams: tuple[bool, bool]
) -> None:
    data = [b"".join(line(1, t.replace(b"\n", b""), s, tag) for s, tag, t in [*rows, ("stdout", "F", b"x"), ("stderr", "F", b"y")]) for rows in parts]  # fmt: skip
    window = Window(tail=tail, stdout=streams[0], stderr=streams[1])
    with TemporaryDirectory(dir="/dev/shm") as folder:
        whole, path = Path(folder, "whole"), Path(folder, "log")
        whole.write_bytes(b"".join(data))
        for number, content in enumerate(data, 7):
            Path(f"{path}.{number}").write_bytes(content)
            if packed[number - 7] and number < 6 + len(data):
                pack(f"{path}.{number}")
        path.hardlink_to(f"{path}.{6 + len(data)}")
        assert text_of(path, window) == text_of(whole, window)


def test_a_file_that_has_no_number_yet_is_the_last(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line(2, b"b"))
    (tmp_path / "log.3").write_bytes(line(1, b"a"))
    assert text_of(path) == b"a\nb\n"
    assert LogFiles(str(path)).parts() == [Part(3, f"{path}.3"), Part(4, str(path))]
    (tmp_path / "log.4").hardlink_to(path)
    assert text_of(path) == b"a\nb\n"
    assert LogFiles(str(path)).parts()[-1] == Part(4, f"{path}.4")


def test_a_packed_part_that_is_damaged_costs_only_its_rest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line(2, b"b"))
    old = tmp_path / "log.1"
    old.write_bytes(b"".join(line(1, b"%d" % n) for n in range(20000)))
    pack(str(old))
    damaged = tmp_path / "log.1.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    found = text_of(path)
    assert found.startswith(b"0\n1\n") and found.endswith(b"\nb\n")
