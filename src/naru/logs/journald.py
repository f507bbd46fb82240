"""The log driver `journald`: systemd's journal by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), one datagram a
message, and a sealed file for one that is too large for a datagram."""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Mapping, Sequence

from naru.logs.attributes import extra
from naru.logs.cri import STDERR
from naru.logs.destination import Destination, Driver, Options, tag_of
from naru.logs.messages import Message
from naru.logs.transport import Address, Datagrams
from naru.logs.values import Source

SOCKET = "/run/systemd/journal/socket"
_NO_FIELD = re.compile(r"[^A-Z0-9_]")


def field_name(name: str) -> str:
    """A label's or variable's name as the journal takes it."""
    return _NO_FIELD.sub("_", name.upper()).lstrip("_")


def field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


def constant_fields(options: Options, source: Source) -> bytes:
    tag = tag_of(options, source)
    fields: Mapping[str, str] = {
        "CONTAINER_ID": source.id[:12], "CONTAINER_ID_FULL": source.id, "CONTAINER_NAME": source.name, "CONTAINER_TAG": tag,
        "IMAGE_NAME": source.image_name, "SYSLOG_IDENTIFIER": tag,
        **{field_name(name): value for name, value in extra(options, source).items() if field_name(name)},
    }  # fmt: skip
    return b"".join(field(name, value.encode()) for name, value in fields.items())


def packet(constant: bytes, message: Message) -> bytes:
    fields = [
        constant,
        field("MESSAGE", message.text),
        b"PRIORITY=3\n" if message.stream == STDERR else b"PRIORITY=6\n",
        field("SYSLOG_TIMESTAMP", f"{message.time}Z".encode()),
    ]
    if message.partial is not None:
        fields.append(
            f"CONTAINER_PARTIAL_ID={message.partial.id}\nCONTAINER_PARTIAL_ORDINAL={message.partial.ordinal}\n"
            f"CONTAINER_PARTIAL_LAST={str(message.partial.last).lower()}\n".encode()
        )
        if not message.partial.last:
            fields.append(b"CONTAINER_PARTIAL_MESSAGE=true\n")
    return b"".join(fields)


class Journal:
    def __init__(self, options: Options, source: Source, path: str = SOCKET) -> None:
        self._constant = constant_fields(options, source)
        self._socket = Datagrams(Address("unixgram", path=path))

    async def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            data = packet(self._constant, message)
            try:
                await self._socket.send([data])
            except OSError as error:
                if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                    raise
                await self._socket.send_file(data)

    def close(self) -> None:
        self._socket.close()


def _check(options: Options) -> None:
    pass  # it has no options of its own


def _open(options: Options, source: Source) -> Destination:
    return Journal(options, source)


DRIVER = Driver(frozenset(), _check, _open)
