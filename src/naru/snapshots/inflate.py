"""Compressed streams, told by their first bytes (never by what somebody calls them) and inflated in bounded pieces.

gzip (RFC 1952, several members allowed) by isal, zstd (RFC 8878, several frames) by zstandard, bzip2 and xz by the
standard library. Pieces are bounded (256 KiB; 64 MiB for zstd) however small their source, so whoever counts the pieces bounds the bomb.
gzip headers are read here: isal 1.9 misreads one with a file name or an extra field that is split over two inputs.
"""

from __future__ import annotations

from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    class _Decompressor(Protocol):
        @property
        def needs_input(self) -> bool: ...
        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...

        def decompress(self, data: bytes, max_length: int) -> bytes: ...


_SNIFF = 1 << 10
_IN = 1 << 16
_OUT = 1 << 18
_PLAIN = 1 << 20  # the pipes that archives come through hold as much
_ZSTD_IN = 1 << 11  # zstandard bounds no output: at its densest (4 bytes a 128 KiB block) this much becomes 64 MiB
_ZSTD_WINDOW_LIMIT_BYTES = 1 << 27
_XZ_MEMORY_LIMIT_BYTES = 1 << 28
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))


class _Source:
    """What the reader gives, with what was looked at put back before it."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._held = b""
        self.piece = _SNIFF  # how much to read at once

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer than size only at the end."""
        while len(self._held) < size and (piece := self._read(self.piece)):
            self._held += piece
        return self._held[:size]

    def some(self) -> bytes:
        piece, self._held = self._held, b""
        return piece or self._read(self.piece)

    def put_back(self, data: bytes) -> None:
        """Only what `some` has just given."""
        self._held = data

    def skip(self, size: int) -> None:
        while size:
            piece = self.some()
            if not piece:
                raise InvalidArgument("unexpected EOF")
            self._held = piece[size:]
            size -= min(size, len(piece))

    def skip_text(self) -> None:
        while piece := self.some():
            _, zero, rest = piece.partition(b"\0")
            if zero:
                self._held = rest
                return
        raise InvalidArgument("unexpected EOF")


def inflated(
    read: Callable[[int], bytes], read_into: Callable[[memoryview], int] | None = None
) -> tuple[str, Callable[[], bytes | memoryview]]:
    """(compression, more): the kind found ("" for none), and a function that gives the next plain bytes, b"" at the end.

    `read(n)` gives up to n bytes, b"" at the end. What is not compressed is read by `read_into`, if given, into one buffer:
    what `more` has given changes at its next call then. `more` raises InvalidArgument for damaged or cut streams.
    """
    source = _Source(read)
    head = source.peek(6)
    kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")
    source.piece = _IN
    if not kind and read_into is not None:
        straight = _straight(source, read_into)
        return kind, lambda: next(straight, b"")
    pieces = _DECODERS[kind](source)
    return kind, lambda: next(pieces, b"")


def _plain(source: _Source) -> Iterator[bytes]:
    return iter(source.some, b"")


def _straight(source: _Source, read_into: Callable[[memoryview], int]) -> Iterator[bytes | memoryview]:
    if head := source.some():
        yield head
    buffer = memoryview(bytearray(_PLAIN))
    while count := read_into(buffer):
        yield buffer[:count]


def _after_gzip_header(source: _Source) -> None:
    header = source.peek(10)
    if len(header) < 10 or header[:3] != b"\x1f\x8b\x08" or header[3] & 0xE0:
        raise InvalidArgument("gzip: invalid header")
    source.skip(10)
    flags = header[3]
    if flags & 4:  # FEXTRA
        size = int.from_bytes(source.peek(2), "little")
        source.skip(2 + size)
    for flag in (8, 16):  # FNAME, FCOMMENT
        if flags & flag:
            source.skip_text()
    if flags & 2:  # FHCRC
        source.skip(2)


def _members(
    source: _Source, start: Callable[[_Source], _Decompressor], name: str, faults: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """One compressed member after the other until the source ends."""
    while source.peek(1):
        member = start(source)
        while not member.eof:
            data = b""
            if member.needs_input and not (data := source.some()):
                raise InvalidArgument("unexpected EOF")
            try:
                piece = member.decompress(data, _OUT)
            except faults as error:
                raise InvalidArgument(f"{name}: {error}") from error
            if piece:
                yield piece
        source.put_back(member.unused_data)


# Each library is loaded when it is needed: import time is part of every unpack. It is loaded before the first piece is
# asked for, since the child that unpacks has no library folder any more by then.


def _gzip(source: _Source) -> Iterator[bytes]:
    from isal import igzip_lib  # noqa: PLC0415

    def member(source: _Source) -> _Decompressor:
        _after_gzip_header(source)
        made: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP_NO_HDR_VER)
        return made

    faults: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # isal's stub calls the class an instance
    return _members(source, member, "gzip", (faults,))


def _zstd(source: _Source) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415

    class Frame:
        """One frame. Not zstandard's stream reader, which takes a cut stream for a whole one."""

        needs_input = True

        def __init__(self) -> None:
            self._frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_LIMIT_BYTES).decompressobj()

        def decompress(self, data: bytes, max_length: int) -> bytes:
            return self._frame.decompress(data)

        @property
        def eof(self) -> bool:
            return self._frame.eof

        @property
        def unused_data(self) -> bytes:
            return self._frame.unused_data

    faults: tuple[type[Exception], ...] = (zstandard.ZstdError,)
    source.piece = _ZSTD_IN
    return _members(source, lambda _: Frame(), "zstd", faults)


def _bzip2(source: _Source) -> Iterator[bytes]:
    import bz2  # noqa: PLC0415

    return _members(source, lambda _: bz2.BZ2Decompressor(), "bzip2", (OSError,))


def _xz(source: _Source) -> Iterator[bytes]:
    import lzma  # noqa: PLC0415

    return _members(source, lambda _: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_LIMIT_BYTES), "xz", (lzma.LZMAError,))


_DECODERS: dict[str, Callable[[_Source], Iterator[bytes]]] = {
    "": _plain, "gzip": _gzip, "zstd": _zstd, "bzip2": _bzip2, "xz": _xz,
}  # fmt: skip
