"""Where archives go (`tarstream.Sink`): into a function that takes bytes, or through gzip (RFC 1952) into another sink."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from isal import isal_zlib

if TYPE_CHECKING:
    from naru.snapshots.tarstream import Sink

_GZIP = 31  # zlib's window bits for a gzip header and trailer
_PIECE = 1 << 18


class Copied:
    """A sink that is a function: files are read, and written to it."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write

    def send_file(self, fd: int, size_bytes: int) -> None:
        while size_bytes:
            count = min(size_bytes, _PIECE)
            piece = os.read(fd, count) or bytes(count)
            self.write(piece)
            size_bytes -= len(piece)


def compressed(write: Callable[[Sink], None], out: Sink) -> None:
    """What write writes, gzipped. Blocks; raises what write and out raise."""
    gzip = isal_zlib.compressobj(level=1, wbits=_GZIP)
    write(Copied(lambda data: out.write(gzip.compress(data))))
    out.write(gzip.flush())
