"""Where the body of a request ends: RFC 9112 §6.2 (Content-Length) and §7.1 (chunked). Pure: counts, reads nothing.

A framing says how many bytes of content follow now (`left`) and is told when they were taken; between contents it is shown
what comes next and takes from it what is framing. So contents need not be looked at by who moves them.
"""

from __future__ import annotations

import re
from typing import Protocol

_LINE_LIMIT_BYTES = 4096  # chunk extensions are nobody's business here; Go's limit too
_TRAILER_LIMIT_BYTES = 1 << 16
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r\n", re.DOTALL)


class BadFraming(Exception):
    """What was shown is no framing."""


class Framing(Protocol):
    left: int  # bytes of content that come next
    done: bool

    def took(self, count: int) -> None:
        """So many of `left` are behind us."""
        ...

    def frame(self, data: bytes, start: int = 0) -> int:
        """How many bytes of data, from start on, were framing, to be asked while no content is `left`. Raises BadFraming."""
        ...


class Sized:
    """A body whose length is known."""

    def __init__(self, size_bytes: int) -> None:
        self.left = size_bytes
        self.done = size_bytes == 0

    def took(self, count: int) -> None:
        self.left -= count
        self.done = self.left == 0

    def frame(self, data: bytes, start: int = 0) -> int:
        return 0


class Chunked:
    """A body that says its length as it comes."""

    def __init__(self) -> None:
        self.left = 0
        self.done = False
        self._line = b""
        self._next = self._size
        self._trailer_bytes = 0

    def took(self, count: int) -> None:
        self.left -= count

    def frame(self, data: bytes, start: int = 0) -> int:
        at = start
        while at < len(data) and not self.left and not self.done:
            end = data.find(b"\n", at, at + _LINE_LIMIT_BYTES) + 1
            piece = data[at : end or at + _LINE_LIMIT_BYTES]
            at += len(piece)
            self._line += piece
            if len(self._line) > _LINE_LIMIT_BYTES:
                raise BadFraming("a line of framing that is too long")
            if end:
                line, self._line = self._line, b""
                self._next(line)
        return at - start

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadFraming("invalid byte in chunk length")
        self.left = int(match[1], 16)
        self._next = self._end if self.left else self._trailer

    def _end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise BadFraming("a chunk that does not end where it said")
        self._next = self._size

    def _trailer(self, line: bytes) -> None:
        """Trailers are read over."""
        if not line.endswith(b"\r\n"):
            raise BadFraming("invalid trailer")
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _TRAILER_LIMIT_BYTES:
            raise BadFraming("too many trailers")
        self.done = line == b"\r\n"
