"""The log driver `fluentd`: Fluentd's forward protocol (Forward-Protocol-Specification-v1), in its Forward mode: many
messages at once, and acknowledged if that is asked for."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from naru.logs.attributes import extra
from naru.logs.cri import STDERR
from naru.logs.destination import Destination, Driver, Options, host_and_port, tag_of
from naru.logs.goliterals import boolean, duration_s, integer, size_bytes
from naru.logs.messages import Message
from naru.logs.transport import Address, Stream
from naru.logs.values import Source
from naru.wire.msgpack import event_time, pack, unpack

_HOST, _PORT = "127.0.0.1", 24224
_ACK_LIMIT_BYTES = 4096


def address(text: str) -> Address:
    """Raises ValueError."""
    if not text:
        return Address("tcp", _HOST, _PORT)
    try:
        return _address(text if "://" in text else f"tcp://{text}")
    except ValueError as error:
        raise ValueError(f"invalid fluentd-address ({text}): {error}") from error


def _address(text: str) -> Address:
    parts = urlsplit(text)
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("path is empty")
        return Address("unix", path=parts.path)
    if parts.scheme not in ("tcp", "tls"):
        raise ValueError(f"unsupported scheme: '{parts.scheme}'")
    if parts.path:
        raise ValueError("should not contain a path element")
    host, port = host_and_port(parts.netloc, _PORT)
    return Address(parts.scheme, host or _HOST, port)


class Fluentd:
    def __init__(self, options: Options, source: Source) -> None:
        self._tag = tag_of(options, source)
        self._precise = boolean(options.get("fluentd-sub-second-precision", "false"))
        self._acknowledged = boolean(options.get("fluentd-request-ack", "false"))
        self._constant = {
            "container_id": source.id,
            "container_name": f"/{source.name}",
            **extra(options, source),
        }
        target = address(options.get("fluentd-address", ""))
        self._stream = Stream(target, ssl.create_default_context() if target.scheme == "tls" else None)

    def event(self, message: Message) -> list[Any]:
        record = {
            **self._constant,
            "source": "stderr" if message.stream == STDERR else "stdout",
            "log": _text(message.text),
        }
        if (partial := message.partial) is not None:
            record |= {
                "partial_message": "true", "partial_id": partial.id, "partial_ordinal": str(partial.ordinal),
                "partial_last": str(partial.last).lower(),
            }  # fmt: skip
        return [event_time(message.time_ns) if self._precise else message.time_ns // 1_000_000_000, record]

    async def send(self, messages: Sequence[Message]) -> None:
        chunk = base64.b64encode(os.urandom(16)).decode()
        option: dict[str, Any] = {"size": len(messages)}
        if self._acknowledged:
            option["chunk"] = chunk
        await self._stream.send(pack([self._tag, [self.event(message) for message in messages], option]))
        if self._acknowledged:
            await self._wait_acknowledged(chunk)

    async def _wait_acknowledged(self, chunk: str) -> None:
        data = b""
        while len(data) < _ACK_LIMIT_BYTES:
            data += await self._stream.receive()
            try:
                answer = unpack(data)
            except ValueError:
                continue
            if isinstance(answer, dict) and answer.get("ack") == chunk:
                return
            break
        self._stream.close()
        raise ConnectionResetError("the log server acknowledged something else")

    def close(self) -> None:
        self._stream.close()


def _text(data: bytes) -> str | bytes:
    """MessagePack's text is UTF-8; everything else goes as its binary type, as it is."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


_VALUES: dict[str, tuple[Callable[[str], object], str]] = {  # how it is read, what stands before the error
    "fluentd-async": (boolean, ""),
    "fluentd-async-reconnect-interval": (duration_s, "invalid value for fluentd-async-reconnect-interval: "),
    "fluentd-buffer-limit": (lambda text: size_bytes(text, 1024), ""),
    "fluentd-max-retries": (lambda text: integer(text, "ParseUint"), ""),
    "fluentd-request-ack": (boolean, ""),
    "fluentd-retry-wait": (duration_s, ""),
    "fluentd-sub-second-precision": (boolean, ""),
    "fluentd-write-timeout": (duration_s, "invalid value for fluentd-write-timeout: value must be a duration: "),
    "fluentd-read-timeout": (duration_s, "invalid value for fluentd-read-timeout: value must be a duration: "),
}


def _check(options: Options) -> None:
    address(options.get("fluentd-address", ""))
    for name, (read, prefix) in _VALUES.items():
        if name in options:
            try:
                read(options[name])
            except ValueError as error:
                raise ValueError(f"{prefix}{error}") from error


def _open(options: Options, source: Source) -> Destination:
    return Fluentd(options, source)


DRIVER = Driver(frozenset({"fluentd-address", *_VALUES}), _check, _open)
