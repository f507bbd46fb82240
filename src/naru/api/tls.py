"""TLS under an HTTP connection, on a memory BIO: what asyncio's own lacks is an input that ends before the output does.

A client that has sent all of its stdin says so with close_notify (RFC 8446 section 6.1, Go's `CloseWrite`) and goes on
reading. asyncio closes the connection then; here the protocol above is told `eof_received`, as on a plain socket, and
decides. To that protocol this is its transport. A connection that ends without close_notify is lost, not finished.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

log = logging.getLogger(__name__)
_READ_BYTES = 1 << 16
_HANDSHAKE_S = 10.0


class TlsConnection(asyncio.Transport, asyncio.Protocol):
    """Server side of one connection. `make` gives the protocol above, once hands have been shaken."""

    def __init__(self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol]) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._make = make
        self._above: asyncio.Protocol | None = None
        self._raw: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False  # the peer sends no more
        self._closing = False

    # -- to the socket ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(_HANDSHAKE_S, self.abort)

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._raw = None
        if self._above is not None:
            self._above.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if self._above is not None or self._shaken():
                self._deliver()
        except ssl.SSLError as error:
            log.debug("TLS: %s", error)
            self._flush()  # the alert that says why
            if self._raw is not None:
                self._raw.close()

    def eof_received(self) -> bool:
        return False  # the socket has ended: whoever waits for more is told by connection_lost

    def pause_writing(self) -> None:
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._above is not None:
            self._above.resume_writing()

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        self._flush()
        if self._timer is not None:
            self._timer.cancel()
        self._above = self._make()
        self._above.connection_made(self)
        return True

    def _deliver(self) -> None:
        assert self._above is not None
        while not self._ended and not self._closing:
            try:
                data = self._tls.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            if data:
                self._above.data_received(data)
            else:
                self._ended = True
                if not self._above.eof_received():
                    self.close()
        self._flush()  # answers of TLS itself: key updates

    def _flush(self) -> None:
        if self._raw is not None and not self._raw.is_closing() and (data := self._outgoing.read()):
            self._raw.write(data)

    # -- what the protocol above has as its transport ------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view and not self.is_closing():
            view = view[self._tls.write(view) :]
        self._flush()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            with suppress(ssl.SSLError):  # it would like to wait for the peer's close_notify: nobody does
                self._tls.unwrap()
            self._flush()
            if self._raw is not None:
                self._raw.close()

    def abort(self) -> None:
        self._closing = True
        if self._raw is not None:
            self._raw.abort()

    def is_closing(self) -> bool:
        return self._closing or self._raw is None or self._raw.is_closing()

    def pause_reading(self) -> None:
        if self._raw is not None:
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        if self._raw is not None:
            self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._raw is not None:
            self._raw.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._tls
        return default if self._raw is None else self._raw.get_extra_info(name, default)
