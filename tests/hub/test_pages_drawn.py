"""What pages draw: charts, and QR codes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from naru.errors import InvalidArgument
from naru.hub.pages import charts, qr


@dataclass
class Layer:
    size: int


def test_days_without_pulls_are_there_too() -> None:
    drawn = charts.pulls([(100, 5), (103, 10)], 103, 5)
    assert [(bar.day, bar.count) for bar in drawn.bars] == [(99, 0), (100, 5), (101, 0), (102, 0), (103, 10)]
    assert (drawn.total, drawn.most, drawn.most_day) == (15, 10, 103)
    assert drawn.bars[4].height == 2 * drawn.bars[1].height and drawn.bars[0].height == 0
    assert all(bar.x + bar.width <= charts.WIDTH and bar.y + bar.height <= charts.HEIGHT for bar in drawn.bars)
    assert charts.pulls([], 103, 5).total == 0 and charts.pulls([], 0, 0).bars == ()


def test_small_layers_are_seen_and_all_fit() -> None:
    drawn = charts.layers([Layer(10**9), Layer(1), Layer(0), *[Layer(10)] * 100])
    assert all(one.width > 1 for one in drawn)
    assert abs(drawn[-1].x + drawn[-1].width - charts.LAYERS_WIDTH) < 0.5
    assert charts.layers([]) == () and charts.layers([Layer(0)]) == ()
    assert (charts.percent(1, 10**9), charts.percent(None, 5), charts.percent(7, 7), charts.percent(9, 0)) == (
        1.0,
        0.0,
        100.0,
        0.0,
    )


def _read(code: qr.Code) -> str:
    """A reader of version 1 to 3, where there is one block: made apart from what writes."""
    rows, size = code.rows, len(code.rows)
    version = (size - 17) // 4
    taken = [[False] * size for _ in range(size)]
    for row in range(size):
        for column in range(size):
            corner = (row < 9 and column < 9) or (row < 9 and column >= size - 8) or (row >= size - 8 and column < 9)
            aligned = version > 1 and abs(row - (size - 7)) <= 2 and abs(column - (size - 7)) <= 2
            taken[row][column] = corner or aligned or row == 6 or column == 6
    written = [rows[8][column] for column in (0, 1, 2, 3, 4)]  # the five bits of the format, masked by 10101
    level = [bit ^ mask for bit, mask in zip(written, (1, 0, 1, 0, 1), strict=True)]
    assert level[:2] == [0, 0]  # M
    mask = level[2] * 4 + level[3] * 2 + level[4]
    bits, column, upwards = [], size - 1, True
    while column > 0:
        column -= column == 6
        for row in range(size - 1, -1, -1) if upwards else range(size):
            for at in (column, column - 1):
                if not taken[row][at]:
                    bits.append(rows[row][at] ^ qr._MASKS[mask](row, at))
        column, upwards = column - 2, not upwards
    data = [int("".join(str(int(bit)) for bit in bits[at : at + 8]), 2) for at in range(0, len(bits) - 7, 8)]
    joined = "".join(f"{one:08b}" for one in data)
    assert joined[:4] == "0100"
    length = int(joined[4:12], 2)
    for power in range(qr._CORRECTION[version - 1]):  # a codeword that is whole is zero at every root
        value, root = 0, 1
        for _ in range(power):
            root = qr._product(root, 2)
        for one in data:
            value = qr._product(value, root) ^ one
        assert value == 0
    return bytes(int(joined[12 + 8 * at : 20 + 8 * at], 2) for at in range(length)).decode()


@pytest.mark.parametrize("text", ["", "a", "otpauth://x?y", "나루", "0123456789" * 4])
def test_a_qr_code_says_what_it_was_given(text: str) -> None:
    assert _read(qr.encode(text)) == text


def test_longer_texts_take_larger_codes() -> None:
    sizes = [len(qr.encode("x" * length).rows) for length in (14, 15, 26, 27, 42, 43, 180, 213, 412)]
    assert sizes == [21, 25, 25, 29, 29, 33, 53, 57, 77]
    with pytest.raises(InvalidArgument):
        qr.encode("x" * 413)


def test_a_qr_code_has_room_around_it() -> None:
    code = qr.encode("a")
    assert code.size == 29 and code.path.startswith("M4 4h7v1h-7z")
