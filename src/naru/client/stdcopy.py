"""The framing of a container's output when it has no terminal (Engine API, "Stream format" of /containers/{id}/attach).

    frame = stream (1 byte: 0 stdin, 1 stdout, 2 stderr, 3 the daemon's own error) 0 0 0 length (4 bytes, big-endian) payload

Pure: bytes in, (stream, payload) out; a payload is handed on as it comes, not collected to the end of its frame.
"""

from __future__ import annotations

from naru.errors import Internal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT, STDERR, SYSTEM_ERROR = 1, 2, 3
_HEADER = 8


class Demultiplexer:
    """Feed it pieces of any size; it remembers where in a frame the last one stopped."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = 0
        self._left = 0  # bytes still to come of the current frame
        self._error = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The (stream, bytes) in data, in order. Raises Internal with the daemon's text at the end of a frame of stream 3.

        It must be read to its end before the next call.
        """
        position, end = 0, len(data)
        while position < end:
            if not self._left:
                need = _HEADER - len(self._header)
                self._header += data[position : position + need]
                position += need
                if len(self._header) == _HEADER:
                    self._begin_frame()
                continue
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            if self._stream != SYSTEM_ERROR:
                yield (STDERR if self._stream == STDERR else STDOUT), piece
                continue
            self._error += piece
            if not self._left:
                raise Internal(f"error from daemon in stream: {self._error.decode(errors='replace')}")

    def _begin_frame(self) -> None:
        self._stream = self._header[0]
        if self._stream > SYSTEM_ERROR or self._header[1:4] != b"\0\0\0":
            raise Internal(f"Unrecognized input header: {self._stream}")
        self._left = int.from_bytes(self._header[4:], "big")
        self._header = b""
