"""CRIU's cgroup.img: in which group each process was, in every hierarchy. Pure.

Where CRIU is told to leave groups alone it still puts processes where the file says, so for another container than the one that
was dumped the file has to say something else. It is a header of two magic numbers, a length, and a protobuf message
(criu/images/cgroup.proto): sets (field 1) of members (field 2), whose path is field 2.
"""

from __future__ import annotations

from collections.abc import Callable

_HEADER_BYTES = 12
_SET, _MEMBER, _PATH = 1, 2, 2
_VARINT, _BYTES = 0, 2  # wire types


def with_group(image: bytes, group: str) -> bytes:
    """The image with every process in this group, in those hierarchies where it was in one at all.

    Raises ValueError for bytes that are no such image.
    """
    size = int.from_bytes(image[8:_HEADER_BYTES], "little")
    message = image[_HEADER_BYTES : _HEADER_BYTES + size]
    if len(image) < _HEADER_BYTES or len(message) != size:
        raise ValueError("cgroup.img is cut short")

    def path(value: bytes) -> bytes:
        return value if value in (b"", b"/") else group.encode()

    def member(value: bytes) -> bytes:
        return _mapped(value, _PATH, path)

    changed = _mapped(message, _SET, lambda one: _mapped(one, _MEMBER, member))
    return image[:8] + len(changed).to_bytes(4, "little") + changed + image[_HEADER_BYTES + size :]


def _mapped(message: bytes, wanted: int, change: Callable[[bytes], bytes]) -> bytes:
    """The message with the value of every length-delimited field of this number changed."""
    out, at = bytearray(), 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise ValueError("cgroup.img is damaged")
            if number == wanted:
                value = change(value)
                out += _encoded(tag) + _encoded(len(value)) + value
                continue
        else:
            raise ValueError(f"cgroup.img has a field of type {kind}")
        out += message[begin:at]
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, where it ends)."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    raise ValueError("cgroup.img is damaged")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
