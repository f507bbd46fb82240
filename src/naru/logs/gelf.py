"""The log driver `gelf`: Graylog's Extended Log Format 1.1, over UDP (compressed, in chunks) or TCP (one after the other,
each ended by a zero byte)."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from urllib.parse import urlsplit

from naru.logs.attributes import extra
from naru.logs.cri import STDERR
from naru.logs.destination import Destination, Driver, Options, host_and_port, tag_of
from naru.logs.messages import Message
from naru.logs.transport import Address, Datagrams, Stream
from naru.logs.values import Source
from naru.wire.decode import encode

CHUNK_BYTES = 1420  # with its head of 12
_CHUNK_HEAD_BYTES = 12
_CHUNKS_LIMIT = 128
_WBITS = {"gzip": 31, "zlib": 15}


def address(text: str) -> Address:
    """Raises ValueError in Docker's words."""
    if not text:
        raise ValueError("gelf-address is a required parameter")
    parts = urlsplit(text)
    if parts.scheme not in ("udp", "tcp"):
        raise ValueError("gelf: endpoint needs to be TCP or UDP")
    try:
        host, port = host_and_port(parts.netloc, 0)
    except ValueError as error:
        raise ValueError("gelf: please provide gelf-address as proto://host:port") from error
    if not host or not port:
        raise ValueError("gelf: please provide gelf-address as proto://host:port")
    return Address(parts.scheme, host, port)


def chunks(data: bytes, id: bytes) -> list[bytes]:
    """The datagrams of one message; none if it is longer than the protocol can say."""
    if len(data) <= CHUNK_BYTES:
        return [data]
    size = CHUNK_BYTES - _CHUNK_HEAD_BYTES
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    if len(pieces) > _CHUNKS_LIMIT:
        return []
    return [b"\x1e\x0f" + id + bytes((number, len(pieces))) + piece for number, piece in enumerate(pieces)]


class Gelf:
    def __init__(self, options: Options, source: Source) -> None:
        self._address = address(options.get("gelf-address", ""))
        udp = self._address.scheme == "udp"
        self._wbits = _WBITS.get(options.get("gelf-compression-type", "gzip")) if udp else None
        self._level = int(options.get("gelf-compression-level", "1"))
        seconds, ns = divmod(source.created_ns, 1_000_000_000)
        created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ns:09d}".rstrip("0").rstrip(".") + "Z"
        self._host = source.host
        self._constant = {
            **{f"_{name}": value for name, value in extra(options, source).items()},
            "_command": " ".join((source.entrypoint, *source.arguments)).strip(),
            "_container_id": source.id, "_container_name": source.name, "_created": created,
            "_image_id": source.image_id, "_image_name": source.image_name, "_tag": tag_of(options, source),
        }  # fmt: skip
        self._socket: Datagrams | Stream = Datagrams(self._address) if udp else Stream(self._address)

    def document(self, message: Message) -> bytes:
        return encode(
            {
                "version": "1.1", "host": self._host, "short_message": message.text.decode("utf-8", "replace"),
                "timestamp": message.time_ns // 1_000_000 / 1000, "level": 3 if message.stream == STDERR else 6,
                **self._constant,
            }
        )  # fmt: skip

    def packets(self, message: Message) -> list[bytes]:
        data = self.document(message)
        if self._wbits is not None:
            gzip = zlib.compressobj(self._level, wbits=self._wbits)
            data = gzip.compress(data) + gzip.flush()
        return chunks(data, os.urandom(8))

    async def send(self, messages: Sequence[Message]) -> None:
        """An empty line says nothing, and servers refuse it."""
        messages = [message for message in messages if message.text]
        if isinstance(self._socket, Datagrams):
            await self._socket.send([packet for message in messages for packet in self.packets(message)])
        else:
            await self._socket.send(b"".join(self.document(message) + b"\0" for message in messages))

    def close(self) -> None:
        self._socket.close()


def _check(options: Options) -> None:
    target = address(options.get("gelf-address", ""))
    for name, value in options.items():
        wrong = f'unknown value "{value}" for log opt "{name}" for gelf log driver'
        if name == "gelf-compression-type":
            if target.scheme != "udp":
                raise ValueError("compression is only supported on UDP")
            if value not in ("gzip", "zlib", "none"):
                raise ValueError(wrong)
        elif name == "gelf-compression-level":
            if target.scheme != "udp":
                raise ValueError("compression is only supported on UDP")
            if value not in {str(level) for level in range(-1, 10)}:
                raise ValueError(wrong)
        elif name in ("gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"):
            if target.scheme != "tcp":
                raise ValueError(f'"{name}" is only valid for TCP')
            if not value.isdigit():
                raise ValueError(f'"{name}" must be a positive integer')


def _open(options: Options, source: Source) -> Destination:
    return Gelf(options, source)


DRIVER = Driver(
    frozenset(
        f"gelf-{name}"
        for name in ("address", "compression-type", "compression-level", "tcp-max-reconnect", "tcp-reconnect-delay")
    ),
    _check,
    _open,
)
