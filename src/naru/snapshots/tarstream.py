"""A tar as a stream of entries, read or written, in constant memory. Pure: it is given a function that reads or writes.

Long names, pax headers and padding are dealt with here, the headers themselves in `tarformat`. Time and memory are
linear in what is read: metadata is bounded in size and in number, and nothing is ever seeked.
"""

from __future__ import annotations

from naru.errors import InvalidArgument
from naru.snapshots.tarformat import (
    BLOCK,
    DIR,
    FILE,
    GNU_LINK,
    GNU_NAME,
    METADATA_LIMIT_BYTES,
    PAX,
    PAX_GLOBAL,
    Entry,
    encode_header,
    invalid,
    merge_pax,
    padding,
    parse_header,
    parse_pax,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    class Sink(Protocol):
        """Where an archive goes."""

        def write(self, data: bytes) -> object: ...

        def send_file(self, fd: int, size_bytes: int) -> object:
            """Exactly that many bytes of the file, from its position; zeros for what it does not have. Raises OSError."""
            ...

    Owners = Callable[[int, int], tuple[int, int]]  # (user, group) → those of the archive

ENTRY_LIMIT = 4_000_000
_METADATA_PER_ENTRY = 4  # a name, a link and a pax header; one to spare
_ZEROS = bytes(BLOCK)


def truncated() -> InvalidArgument:
    return InvalidArgument("unexpected EOF")


class TarReader:
    """Iterate for the entries; `copy` takes the body of the last one, which is skipped if nobody does.

    `more()` returns some bytes, which may change at the next call; none at the end. Raises InvalidArgument, Unsupported, and what `more` raises.
    """

    def __init__(self, more: Callable[[], bytes | memoryview]) -> None:
        self._more = more
        self._piece = memoryview(b"")
        self._body = 0  # bytes of the current entry not yet taken
        self._padding = 0
        self.entries = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next()) is not None:
            self.entries += 1
            if self.entries > ENTRY_LIMIT:
                raise InvalidArgument(f"tar of more than {ENTRY_LIMIT} entries")
            yield entry

    def copy(self, write: Callable[[memoryview], object], move: Callable[[int], int] | None = None) -> None:
        """Hand the rest of the current body to write, piece by piece, each good until write returns.

        `move(n)`, if given, may put up to n of the bytes that nobody has read yet where they belong; it returns how many, 0
        at the end of the stream.
        """
        while self._body:
            if move is not None and not self._piece:
                if not (count := move(self._body)):
                    raise truncated()
                self._body -= count
                continue
            piece = self._some(self._body)
            self._body -= len(piece)
            write(piece)

    def read(self, limit_bytes: int) -> bytes:
        """The whole of the current body. Raises InvalidArgument if it is larger than the limit."""
        if self._body > limit_bytes:
            raise InvalidArgument(f"tar entry of {self._body} bytes where at most {limit_bytes} are allowed")
        data = self._exact(self._body)
        self._body = 0
        return data

    def drain(self) -> None:
        """Read what follows the archive, to the end of the stream: it belongs to the digest."""
        while self._more():
            pass

    def _some(self, limit: int) -> memoryview:
        if not self._piece:
            self._piece = memoryview(self._more())
            if not self._piece:
                raise truncated()
        piece, self._piece = self._piece[:limit], self._piece[limit:]
        return piece

    def _exact(self, size: int) -> bytes:
        if len(self._piece) >= size:
            piece, self._piece = self._piece[:size], self._piece[size:]
            return bytes(piece)
        out = bytearray()
        while len(out) < size:
            out += self._some(size - len(out))
        return bytes(out)

    def _block(self) -> bytes | None:
        """The next header block; None at a clean end of the stream."""
        if not self._piece:
            self._piece = memoryview(self._more())
            if not self._piece:
                return None
        return self._exact(BLOCK)

    def _skip(self) -> bool:
        """Go past the current body and its padding; False if the stream ends within the padding, which is no harm."""
        while self._body:
            self._body -= len(self._some(self._body))
        while self._padding:
            if not self._piece:
                self._piece = memoryview(self._more())
                if not self._piece:
                    return False
            self._padding -= len(self._some(self._padding))
        return True

    def _next(self) -> Entry | None:
        name = link = ""
        records: dict[str, bytes] = {}
        for _ in range(_METADATA_PER_ENTRY + 1):
            entry = self._next_header()
            while entry is not None and entry.kind == PAX_GLOBAL:  # comments of git archive; says nothing we heed
                self._metadata(entry)
                entry = self._next_header()
            if entry is None:
                if name or link or records:
                    raise truncated()
                return None
            if entry.kind == PAX:
                records = parse_pax(self._metadata(entry))
            elif entry.kind == GNU_NAME:
                name = self._long_text(entry)
            elif entry.kind == GNU_LINK:
                link = self._long_text(entry)
            else:
                return self._finish(entry, name, link, records)
        raise invalid("too many headers for one entry")

    def _next_header(self) -> Entry | None:
        if not self._skip():
            return None
        block = self._block()
        if block is None:
            return None
        if block == _ZEROS:
            second = self._block()
            if second is not None and second != _ZEROS:
                raise invalid()
            return None
        entry = parse_header(block)
        self._body, self._padding = entry.size, padding(entry.size)
        return entry

    def _metadata(self, entry: Entry) -> bytes:
        if entry.size > METADATA_LIMIT_BYTES:
            raise invalid(f"metadata of {entry.size} bytes")
        return self.read(METADATA_LIMIT_BYTES)

    def _long_text(self, entry: Entry) -> str:
        return self._metadata(entry).partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _finish(self, entry: Entry, name: str, link: str, records: dict[str, bytes]) -> Entry:
        entry.name, entry.link = name or entry.name, link or entry.link
        if records:
            entry = merge_pax(entry, records)
        if entry.kind == FILE and entry.name.endswith("/"):
            entry.kind, entry.size = DIR, 0
        self._body, self._padding = entry.size, padding(entry.size)
        return entry


class TarWriter:
    """Entries into a tar, in the order given. `close` ends the archive, not what is behind `out`. `owners` says what an
    owner (user, group) is called in the archive."""

    def __init__(self, out: Sink, owners: Owners | None = None) -> None:
        self._out = out
        self._owners = owners

    def add(self, entry: Entry, body: int = -1) -> None:
        """Write entry; `body` is the descriptor of its content. One that ends early (a file cut short as we read it) is
        filled up with zeros, as GNU tar does: the size has been written already."""
        if self._owners is not None:
            entry.uid, entry.gid = self._owners(entry.uid, entry.gid)
        self._out.write(encode_header(entry))
        if entry.size:
            self._out.send_file(body, entry.size)
            self._out.write(bytes(padding(entry.size)))

    def close(self) -> None:
        self._out.write(bytes(2 * BLOCK))
