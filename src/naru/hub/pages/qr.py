"""QR codes (ISO/IEC 18004) of short texts, for an app's camera: byte mode, error correction M, versions 1 to 15. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from naru.errors import InvalidArgument

# Table 9, level M, versions 1 to 15: error correction codewords of a block; blocks
_CORRECTION = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24)
_BLOCKS = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10)
_QUIET = 4
_FORMAT_GENERATOR, _FORMAT_MASK, _VERSION_GENERATOR = 0x537, 0x5412, 0x1F25
_LEVEL_M = 0

# 7.8.2: whether a mask turns the module of this row and column
_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda row, column: (row + column) % 2 == 0,
    lambda row, column: row % 2 == 0,
    lambda row, column: column % 3 == 0,
    lambda row, column: (row + column) % 3 == 0,
    lambda row, column: (row // 2 + column // 3) % 2 == 0,
    lambda row, column: row * column % 2 + row * column % 3 == 0,
    lambda row, column: (row * column % 2 + row * column % 3) % 2 == 0,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2 == 0,
)


@dataclass(frozen=True, slots=True)
class Code:
    """`rows`: True is dark. `size` is that of `path`, with the quiet zone around it."""

    rows: tuple[tuple[bool, ...], ...]

    @property
    def size(self) -> int:
        return len(self.rows) + 2 * _QUIET

    @property
    def path(self) -> str:
        """Of an SVG, a module a unit."""
        runs = ((row, *run) for row, modules in enumerate(self.rows) for run in _runs(modules))
        return "".join(f"M{column + _QUIET} {row + _QUIET}h{length}v1h-{length}z" for row, column, length in runs)


def encode(text: str) -> Code:
    """Raises InvalidArgument for more than some four hundred bytes."""
    data = text.encode()
    version = next((one for one in range(1, len(_BLOCKS) + 1) if len(data) <= _room(one)), None)
    if version is None:
        raise InvalidArgument(f"a QR code of {len(data)} bytes: too long")
    drawing = _Drawing(version)
    drawing.draw(_interleaved(_codewords(data, version), version))
    return Code(tuple(tuple(row) for row in drawing.masked()))


def _runs(modules: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Column and length of each run of dark modules."""
    start = None
    for column, dark in enumerate((*modules, False)):
        if dark and start is None:
            start = column
        elif not dark and start is not None:
            yield start, column - start
            start = None


def _all_codewords(version: int) -> int:
    """What fits into the modules that no pattern takes."""
    modules = (16 * version + 128) * version + 64
    if version >= 2:
        aligned = version // 7 + 2
        modules -= (25 * aligned - 10) * aligned - 55
    if version >= 7:
        modules -= 36
    return modules // 8


def _data_codewords(version: int) -> int:
    return _all_codewords(version) - _CORRECTION[version - 1] * _BLOCKS[version - 1]


def _room(version: int) -> int:
    """Bytes of text."""
    return _data_codewords(version) - (2 if version < 10 else 3)


def _codewords(data: bytes, version: int) -> list[int]:
    """7.4: mode and length before it, padding after it."""
    bits = f"{0b0100:04b}{len(data):0{8 if version < 10 else 16}b}" + "".join(f"{byte:08b}" for byte in data)
    capacity = _data_codewords(version) * 8
    bits += "0" * min(4, capacity - len(bits))
    bits += "0" * (-len(bits) % 8)
    found = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    while len(found) < capacity // 8:
        found += [0xEC, 0x11][: capacity // 8 - len(found)]
    return found


# Reed-Solomon over GF(256) with 0x11D


def _product(left: int, right: int) -> int:
    result = 0
    while right:
        if right & 1:
            result ^= left
        left = left << 1 ^ (0x11D if left & 0x80 else 0)
        right >>= 1
    return result


def _generator(degree: int) -> list[int]:
    """Coefficients of the product of all (x - 2^i), the leading one left out."""
    found = [1]
    root = 1
    for _ in range(degree):
        shifted = [*found, 0]
        for at, coefficient in enumerate(found):
            shifted[at + 1] ^= _product(coefficient, root)
        found, root = shifted, _product(root, 2)
    return found[1:]


def _remainder(block: Sequence[int], generator: Sequence[int]) -> list[int]:
    rest = [0] * len(generator)
    for codeword in block:
        factor = codeword ^ rest[0]
        rest = [*rest[1:], 0]
        rest = [one ^ _product(other, factor) for one, other in zip(rest, generator, strict=True)]
    return rest


def _interleaved(data: list[int], version: int) -> list[int]:
    """7.6: blocks of two lengths, the short ones first; one codeword of each in turn, then the same of their corrections."""
    count = _BLOCKS[version - 1]
    short, longer = divmod(len(data), count)
    generator = _generator(_CORRECTION[version - 1])
    blocks, at = [], 0
    for number in range(count):
        length = short + (number >= count - longer)
        blocks.append(data[at : at + length])
        at += length
    corrections = [_remainder(block, generator) for block in blocks]
    found = [block[at] for at in range(short + 1) for block in blocks if at < len(block)]
    return found + [one[at] for at in range(len(generator)) for one in corrections]


def _checked(value: int, bits: int, generator: int) -> int:
    """A value with its BCH check bits (annexes C and D)."""
    length = generator.bit_length() - 1
    rest = value << length
    for at in range(bits - 1, -1, -1):
        if rest >> (at + length) & 1:
            rest ^= generator << at
    return value << length | rest


class _Drawing:
    def __init__(self, version: int) -> None:
        self._version = version
        self._size = size = 17 + 4 * version
        self._dark = [[False] * size for _ in range(size)]
        self._taken = [[False] * size for _ in range(size)]
        for at in range(size):
            self._set(6, at, at % 2 == 0)
            self._set(at, 6, at % 2 == 0)
        for row, column in ((3, 3), (3, size - 4), (size - 4, 3)):
            self._draw_finder(row, column)
        places = self._alignments()
        for row in places:
            for column in places:
                if (row, column) not in ((6, 6), (6, size - 7), (size - 7, 6)):
                    self._draw_alignment(row, column)
        self._draw_format(0)
        self._draw_version()

    def _set(self, row: int, column: int, dark: bool) -> None:
        self._dark[row][column] = dark
        self._taken[row][column] = True

    def _draw_finder(self, row: int, column: int) -> None:
        for down in range(-4, 5):
            for right in range(-4, 5):
                if 0 <= row + down < self._size and 0 <= column + right < self._size:
                    self._set(row + down, column + right, max(abs(down), abs(right)) not in (2, 4))

    def _draw_alignment(self, row: int, column: int) -> None:
        for down in range(-2, 3):
            for right in range(-2, 3):
                self._set(row + down, column + right, max(abs(down), abs(right)) != 1)

    def _alignments(self) -> list[int]:
        """Annex E, as a rule: evenly from the far end, by an even step."""
        if self._version == 1:
            return []
        count = self._version // 7 + 2
        step = -(-(self._size - 13) // (count - 1) // 2) * 2 if count > 2 else self._size - 13
        step += step % 2
        return [6, *(self._size - 7 - at * step for at in range(count - 2, -1, -1))]

    def _draw_format(self, mask: int) -> None:
        """7.9: twice, around the finders."""
        bits = _checked(_LEVEL_M << 3 | mask, 5, _FORMAT_GENERATOR) ^ _FORMAT_MASK
        near = [(at, 8) for at in (*range(6), 7, 8)] + [(8, at) for at in (7, 5, 4, 3, 2, 1, 0)]
        far = [(8, self._size - 1 - at) for at in range(8)] + [(self._size - 7 + at, 8) for at in range(7)]
        for places in (near, far):
            for at, (row, column) in enumerate(places):
                self._set(row, column, bool(bits >> at & 1))
        self._set(self._size - 8, 8, True)

    def _draw_version(self) -> None:
        if self._version < 7:
            return
        bits = _checked(self._version, 6, _VERSION_GENERATOR)
        for at in range(18):
            near, far = at // 3, self._size - 11 + at % 3
            self._set(near, far, bool(bits >> at & 1))
            self._set(far, near, bool(bits >> at & 1))

    def draw(self, codewords: Sequence[int]) -> None:
        """7.7.3: two columns at a time, from the right, up and down in turn; the sixth column is passed over."""
        bits = iter("".join(f"{one:08b}" for one in codewords))
        upwards = True
        for right in (*range(self._size - 1, 6, -2), 5, 3, 1):
            for row in range(self._size - 1, -1, -1) if upwards else range(self._size):
                for column in (right, right - 1):
                    if not self._taken[row][column]:
                        self._dark[row][column] = next(bits, "0") == "1"
            upwards = not upwards

    def masked(self) -> list[list[bool]]:
        """By the mask that makes it easiest to read."""
        tried = []
        for number, turns in enumerate(_MASKS):
            self._draw_format(number)
            rows = [
                [
                    dark ^ (not taken and turns(row, column))
                    for column, (dark, taken) in enumerate(zip(*pair, strict=True))
                ]
                for row, pair in enumerate(zip(self._dark, self._taken, strict=True))
            ]
            tried.append((_penalty(rows), number, rows))
        return min(tried)[2]


def _penalty(rows: list[list[bool]]) -> int:
    """7.8.3: long runs, squares, what looks like a finder, and too much of one colour."""
    size = len(rows)
    total = 0
    for lines in (rows, [list(column) for column in zip(*rows, strict=True)]):
        for line in lines:
            text = "".join("1" if dark else "0" for dark in line)
            lengths = [len(run) for run in text.replace("01", "0 1").replace("10", "1 0").split()]
            total += sum(length - 2 for length in lengths if length >= 5)
            total += 40 * (text.count("10111010000") + text.count("00001011101"))
    squares = (
        rows[row][column] == rows[row][column + 1] == rows[row + 1][column] == rows[row + 1][column + 1]
        for row in range(size - 1)
        for column in range(size - 1)
    )
    dark = sum(map(sum, rows))
    return total + 3 * sum(squares) + 10 * (abs(dark * 20 - size * size * 10) // (size * size))
