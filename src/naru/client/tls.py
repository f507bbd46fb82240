"""TLS over a connected socket, with what `ssl.SSLSocket` lacks: an end of our output that leaves the input open.

Looks like a socket to `client/http.py`. Nothing decrypted stays hidden: `recv` returns all that has arrived, so a caller
who polls the descriptor after it found nothing misses nothing. RFC 8446 section 6.1 (close_notify ends one direction).
"""

from __future__ import annotations

import _socket
import select
import ssl
from contextlib import suppress

from naru.errors import InvalidArgument, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.client.endpoint import Tls

_READ_BYTES = 65536
_RECORD_BYTES = 16384


def make_context(tls: Tls) -> ssl.SSLContext:
    """Raises InvalidArgument if a file cannot be read."""
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key or None)
    except (OSError, ValueError) as error:
        names = ", ".join(name for name in (tls.ca, tls.cert, tls.key) if name)
        raise InvalidArgument(f"could not read TLS certificate files ({names}): {error}") from error
    return context


class TlsSocket:
    """The socket underneath is non-blocking throughout; `setblocking` says what `recv` does when there is nothing."""

    def __init__(self, raw: _socket.socket, context: ssl.SSLContext, name: str) -> None:
        """Shakes hands; raises Unavailable if the peer is not who it should be or does not speak TLS."""
        self._raw, self._blocking, self._ended = raw, True, False
        self._early = b""  # decrypted, and not asked for yet
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        raw.setblocking(False)
        self._readable, self._either = select.poll(), select.poll()
        self._readable.register(raw.fileno(), select.POLLIN)
        self._either.register(raw.fileno(), select.POLLIN | select.POLLOUT)
        try:
            while not self._shaken():
                self._flush()
                if self._ended:
                    raise Unavailable("the daemon closed the connection during the TLS handshake")
                self._readable.poll()
                self._take_in()
        except ssl.SSLError as error:
            raise Unavailable(f"error during connect: TLS: {error.reason or error}: {error}") from error
        self._flush()

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _take_in(self) -> bool:
        """Move what has arrived into the TLS layer; False if nothing has."""
        try:
            data = self._raw.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._in.write(data)
        else:
            self._ended = True
        return True

    def _flush(self) -> None:
        """Send everything that is encrypted; what the peer sends meanwhile is taken in, so that neither waits for the other."""
        view = memoryview(self._out.read())
        while view:
            self._either.poll()
            if not self._ended:
                self._take_in()
            try:
                view = view[self._raw.send(view) :]
            except BlockingIOError:
                continue

    def _decrypted(self) -> bytes:
        out = []
        try:
            while piece := self._tls.read(_READ_BYTES):
                out.append(piece)
            self._ended = True  # close_notify
        except ssl.SSLWantReadError:
            pass  # until more arrives
        except ssl.SSLZeroReturnError:
            self._ended = True  # close_notify, when we have sent ours
        except ssl.SSLError as error:
            raise OSError(0, f"TLS: {error}") from error
        self._flush()
        return b"".join(out)

    def recv(self, limit_bytes: int) -> bytes:
        """All that has arrived (the limit is not observed), b"" at the end. Raises BlockingIOError if there is nothing now."""
        early, self._early = self._early, b""
        if early:
            return early
        while True:
            data = self._decrypted()
            if data or self._ended:
                return data
            if not self._take_in():
                if not self._blocking:
                    raise BlockingIOError
                self._readable.poll()

    def send(self, data: bytes | memoryview) -> int:
        count = self._tls.write(memoryview(data)[:_RECORD_BYTES])
        self._flush()
        return count

    def sendall(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def shutdown(self, how: int) -> None:
        """End our output; `how` is SHUT_WR."""
        self._early += self._decrypted()  # OpenSSL refuses to say goodbye while data of the peer's waits to be read
        with suppress(ssl.SSLWantReadError):  # it would like to wait for the peer's end, which comes when it comes
            self._tls.unwrap()
        self._flush()

    def setblocking(self, flag: bool) -> None:
        self._blocking = flag

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
