"""MessagePack, as Fluentd's forward protocol speaks it. Specifications: msgpack/spec.md; Forward-Protocol-Specification-v1."""

from __future__ import annotations

import struct
from typing import Any

import msgspec

_encoder = msgspec.msgpack.Encoder()


def pack(value: Any) -> bytes:
    return _encoder.encode(value)


def unpack(data: bytes) -> Any:
    """Raises ValueError for what is no MessagePack, or not whole."""
    try:
        return msgspec.msgpack.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def event_time(ns: int) -> msgspec.msgpack.Ext:
    """Extension type 0: seconds and nanoseconds, 32 bits big-endian each."""
    return msgspec.msgpack.Ext(0, struct.pack(">II", *divmod(ns, 1_000_000_000)))
