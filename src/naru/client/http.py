"""HTTP/1.1 (RFC 9112) over one blocking socket: a request at a time, streamed both ways, and the Engine API's upgrade.

Owns framing (length, chunks, until-close) and nothing above it: no paths, no JSON, no error kinds but Unavailable for a
peer that does not speak HTTP or goes away.
"""

from __future__ import annotations

import select

from naru.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from naru.client.dial import Socket

_RECEIVE_BYTES = 65536
_SHUT_WR = 1
_HEAD_LIMIT_BYTES = 1 << 20
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:")


def quote(text: str) -> str:
    """Percent-encode (RFC 3986) all but unreserved characters, `/` and `:`."""
    data = text.encode()
    if _UNRESERVED.issuperset(data):
        return text
    return "".join([chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in data])


class Closed(Unavailable):
    """The peer closed before the first byte of an answer: nothing has happened, as far as one can tell from here."""


class Connection:
    """One socket and the bytes read from it that nobody has asked for yet."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self._buffer = b""
        self._position = 0
        self._closed_by_peer = False
        self.answered = 0  # requests answered so far: a connection that has answered one may have been left by the peer

    def close(self) -> None:
        self.socket.close()

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None) -> None:
        """Send one request. A body given in pieces is sent in chunks, and cut short if the server has refused it already."""
        lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        elif method in ("POST", "PUT"):
            lines.append("Content-Length: 0")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        try:
            self.socket.raw.sendall(head + body if isinstance(body, bytes) else head)
            if body is not None and not isinstance(body, bytes):
                self._send_pieces(body)
        except (BrokenPipeError, ConnectionResetError):
            self._closed_by_peer = True  # it may have said why before it closed: the answer is read as usual

    def _send_pieces(self, pieces: Iterable[bytes]) -> None:
        poller = select.poll()
        poller.register(self.socket.raw.fileno(), select.POLLIN | select.POLLOUT)
        self.socket.raw.setblocking(False)
        try:
            for piece in pieces:
                if piece and not self._push(poller, b"%x\r\n%b\r\n" % (len(piece), piece)):
                    return
            self._push(poller, b"0\r\n\r\n")
        finally:
            self.socket.raw.setblocking(True)

    def _push(self, poller: select.poll, data: bytes) -> bool:
        """Send data while taking in what arrives (neither side may block the other); False if there is no more use in it."""
        view = memoryview(data)
        while view:
            poller.poll()
            try:
                received = self.socket.raw.recv(_RECEIVE_BYTES)
                self._buffer += received
                self._closed_by_peer = not received
                if not received or self._refused():
                    return False
            except BlockingIOError:
                pass
            try:  # noqa: SIM105 - contextlib takes too long to import
                view = view[self.socket.raw.send(view) :]
            except BlockingIOError:
                pass
        return True

    def _refused(self) -> bool:
        return self._buffer[:7] == b"HTTP/1." and self._buffer[9:10] in (b"4", b"5")

    def _fill(self) -> bool:
        """Wait for more bytes; False at the end of the stream."""
        try:
            received = self.socket.raw.recv(_RECEIVE_BYTES)
        except ConnectionResetError:
            received = b""
        except OSError as error:
            raise Unavailable(f"error reading from the daemon: {error.strerror or error}") from error
        self._buffer = self._buffer[self._position :] + received
        self._position = 0
        return bool(received)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n", self._position)) < 0:
            if len(self._buffer) - self._position > _HEAD_LIMIT_BYTES:
                raise Unavailable("the daemon sent a line that does not end")
            if not self._fill():
                raise Unavailable("unexpected EOF: the daemon closed the connection")
        line = self._buffer[self._position : end]
        self._position = end + 1
        return line.rstrip(b"\r")

    def _take(self, limit_bytes: int) -> bytes:
        """Some bytes, at most limit; b"" at the end of the stream."""
        if self._position == len(self._buffer) and not self._fill():
            return b""
        end = min(self._position + limit_bytes, len(self._buffer))
        piece = self._buffer[self._position : end] if self._position or end < len(self._buffer) else self._buffer
        self._position = end
        return piece

    def rest(self) -> bytes:
        """What was read from the socket beyond the current answer's head: the first bytes of an upgraded stream."""
        data, self._buffer, self._position = self._buffer[self._position :], b"", 0
        return data

    def receive(self, method: str) -> Response:
        """The head of the answer; its body is read from the Response. Raises Closed, Unavailable."""
        if self._position == len(self._buffer) and not self._fill():
            raise Closed("EOF: the daemon closed the connection without an answer")
        while True:
            first = self._line().decode("latin-1").split(" ", 2)
            if len(first) < 2 or not first[0].startswith("HTTP/1.") or not first[1].isdigit():
                raise Unavailable(f"malformed HTTP response {' '.join(first)[:60]!r}")
            headers: dict[str, str] = {}
            while line := self._line():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            status = int(first[1])
            if status >= 200 or status == 101:
                break
        self.answered += 1
        return Response(self, method, status, first[2] if len(first) > 2 else "", headers, first[0] != "HTTP/1.0")


class Response:
    """One answer. Read it with `read` or `pieces`, once; `reusable` is true when the connection can carry another request."""

    def __init__(
        self, connection: Connection, method: str, status: int, reason: str, headers: dict[str, str], keep_alive: bool
    ) -> None:
        self.connection, self.status, self.reason, self.headers = connection, status, reason, headers
        self._keep_alive = keep_alive and headers.get("connection", "").lower() != "close"
        self._empty = method == "HEAD" or status in (204, 304)
        self.reusable = False

    def read(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives. Raises Unavailable if the peer stops in the middle."""
        if not self._empty:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                yield from self._chunks()
            elif "content-length" in self.headers:
                yield from self._exactly(int(self.headers["content-length"]))
            else:
                self._keep_alive = False
                while piece := self.connection._take(_RECEIVE_BYTES):
                    yield piece
        self.reusable = self._keep_alive and not self.connection._closed_by_peer

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self.connection._line().partition(b";")[0]
            try:
                size = int(line, 16)
            except ValueError as error:
                raise Unavailable(f"malformed chunk size {line[:20]!r}") from error
            if not size:
                break
            yield from self._exactly(size)
            self.connection._line()
        while self.connection._line():
            pass  # trailers

    def _exactly(self, size_bytes: int) -> Iterator[bytes]:
        while size_bytes:
            piece = self.connection._take(size_bytes)
            if not piece:
                raise Unavailable("unexpected EOF: the daemon closed the connection in the middle of its answer")
            size_bytes -= len(piece)
            yield piece

    def close(self) -> None:
        self.connection.close()

    def stream(self) -> Stream:
        """The connection as the raw stream that it has become, after a 101 (or the 200 of old daemons)."""
        return Stream(self.connection.socket, self.connection.rest())


class Stream:
    """A raw connection: bytes both ways (attach, exec). Non-blocking: `receive` and `send` say when they must wait."""

    def __init__(self, socket: Socket, first: bytes = b"") -> None:
        """`first` are bytes of the stream that were read already."""
        self._socket, self._first = socket, first
        self._socket.raw.setblocking(False)

    def fileno(self) -> int:
        return self._socket.raw.fileno()

    def receive(self) -> bytes | None:
        """Bytes, b"" at the end, None if there are none now."""
        if self._first:
            data, self._first = self._first, b""
            return data
        try:
            return self._socket.raw.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def send(self, data: bytes | memoryview) -> int:
        """How many bytes were taken; raises BrokenPipeError or ConnectionResetError when nobody reads any more."""
        try:
            return self._socket.raw.send(data)
        except BlockingIOError:
            return 0

    def close_write(self) -> None:
        """End of input; output goes on."""
        try:
            self._socket.raw.shutdown(_SHUT_WR)
        except OSError as error:
            if error.errno not in (32, 104, 107):  # EPIPE, ECONNRESET, ENOTCONN: the other side was faster
                raise

    def close(self) -> None:
        self._socket.close()
