from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zlib
from collections.abc import Callable

import pytest
import zstandard

from naru.errors import InvalidArgument
from naru.snapshots.inflate import inflated

DATA = random.Random(1).randbytes(50_000) + b"abc" * 40_000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "bzip2": bz2.compress,
    "xz": lzma.compress,
}  # fmt: skip


def unpack(data: bytes, step: int = 1 << 20) -> tuple[str, bytes]:
    source = io.BytesIO(data)
    kind, more = inflated(lambda count: source.read(min(count, step)))
    return kind, b"".join(iter(more, b""))


@pytest.mark.parametrize("kind", PACKERS)
def test_each_kind_is_told_by_its_first_bytes(kind: str) -> None:
    assert unpack(PACKERS[kind](DATA)) == (kind, DATA)


@pytest.mark.parametrize("kind", [kind for kind in PACKERS if kind])
def test_several_members(kind: str) -> None:
    assert unpack(PACKERS[kind](DATA) + PACKERS[kind](b"more"), 1000) == (kind, DATA + b"more")


@pytest.mark.parametrize("kind", [kind for kind in PACKERS if kind])
@pytest.mark.parametrize("cut", [7, 1000, -5, -1])
def test_a_cut_stream_is_an_error(kind: str, cut: int) -> None:
    with pytest.raises(InvalidArgument):
        unpack(PACKERS[kind](DATA)[:cut])


@pytest.mark.parametrize("kind", [kind for kind in PACKERS if kind])
def test_rubbish_behind_the_stream_is_an_error(kind: str) -> None:
    with pytest.raises(InvalidArgument):
        unpack(PACKERS[kind](DATA) + b"rubbish")


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_flipped_bit_is_an_error(kind: str) -> None:
    data = bytearray(PACKERS[kind](DATA))
    data[len(data) // 2] ^= 4
    with pytest.raises(InvalidArgument):
        unpack(bytes(data))


def gzip_with_names(body: bytes, flags: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = bytes([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 255])
    head += b"\x04\x00abcd" if flags & 4 else b""
    head += b"name\0" if flags & 8 else b""
    head += b"remark\0" if flags & 16 else b""
    head += b"\0\0" if flags & 2 else b""
    return (
        head
        + packer.compress(body)
        + packer.flush()
        + zlib.crc32(body).to_bytes(4, "little")
        + len(body).to_bytes(4, "little")
    )


@pytest.mark.parametrize("flags", range(0, 32, 2))
@pytest.mark.parametrize("step", [1, 2, 3, 7, 11])
def test_gzip_headers_may_be_split_anywhere(flags: int, step: int) -> None:
    assert unpack(gzip_with_names(b"hello" * 99, flags) * 2, step) == ("gzip", b"hello" * 198)


def test_nothing_is_plain() -> None:
    assert unpack(b"") == ("", b"")


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_pieces_of_a_bomb_stay_small(kind: str) -> None:
    bomb = PACKERS[kind](bytes(1 << 22))
    source = io.BytesIO(bomb)
    _, more = inflated(source.read)
    assert max(len(piece) for piece in iter(more, b"")) <= 1 << 18
