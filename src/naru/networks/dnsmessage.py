"""DNS messages, as far as a resolver for container names needs them: read a question, write an answer. Pure.

Only the question is understood; everything else is passed on as it came. RFC 1035 section 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from naru.errors import InvalidArgument

A, PTR, AAAA = 1, 12, 28
IN = 1
OK, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED = 0, 1, 2, 3, 4
UDP_LIMIT, TCP_LIMIT = 512, 65535
TTL_S = 10  # we are one hop away: nothing is won by remembering an address for long

_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_REVERSE, _REVERSE6 = ".in-addr.arpa", ".ip6.arpa"


@dataclass(frozen=True, slots=True)
class Query:
    id: int
    flags: int
    name: str  # lower case, without the final dot
    kind: int
    question: bytes  # as it was sent


def parse_query(data: bytes) -> Query:
    """Raises InvalidArgument for anything but a standard query with one question of class IN."""
    if len(data) < 12:
        raise InvalidArgument("DNS message is too short")
    number, flags, questions = struct.unpack_from("!HHH", data)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        raise InvalidArgument("not a standard DNS query with one question")
    labels, end = _labels(data, 12)
    if len(data) < end + 4:
        raise InvalidArgument("DNS question is cut short")
    kind, group = struct.unpack_from("!HH", data, end)
    if group != IN:
        raise InvalidArgument(f"DNS class {group} is not IN")
    return Query(number, flags, ".".join(labels).lower(), kind, data[12 : end + 4])


def _labels(data: bytes, start: int) -> tuple[list[str], int]:
    labels: list[str] = []
    at = start
    while at < len(data) and at - start < 255:
        length = data[at]
        if length == 0:
            return labels, at + 1
        if length > 63 or at + 1 + length > len(data):  # 0xc0: a pointer, which a first name cannot need
            break
        labels.append(data[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    raise InvalidArgument("DNS name is malformed")


def _name(name: str) -> bytes:
    labels = [label.encode()[:63] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def refuse(data: bytes, code: int) -> bytes | None:
    """The answer to a message that could not be parsed; None if it is too short, or an answer itself: never answer those."""
    if len(data) < 12 or data[2] & 0x80:
        return None
    (number,) = struct.unpack_from("!H", data)
    return struct.pack("!HHHHHH", number, _RESPONSE | code, 0, 0, 0, 0)


def answer(query: Query, records: Iterable[bytes] = (), code: int = OK, limit_bytes: int = TCP_LIMIT) -> bytes:
    """The response with these record data, all of the asked kind; cut and marked so where they exceed the limit."""
    body = bytearray()
    count, flags = 0, _RESPONSE | _RECURSION_AVAILABLE | (query.flags & _RECURSION_DESIRED) | code
    if code in (OK, NAME_ERROR):
        flags |= _AUTHORITATIVE
    for data in records:
        record = struct.pack("!HHHIH", 0xC00C, query.kind, IN, TTL_S, len(data)) + data  # 0xc00c: the question's name
        if 12 + len(query.question) + len(body) + len(record) > limit_bytes:
            flags |= _TRUNCATED
            break
        body += record
        count += 1
    return struct.pack("!HHHHHH", query.id, flags, 1, count, 0, 0) + query.question + body


def addresses(ips: Sequence[str]) -> list[bytes]:
    """Record data of A or AAAA records."""
    return [ip_address(ip).packed for ip in ips]


def pointer(name: str) -> bytes:
    """Record data of a PTR record."""
    return _name(name)


def reversed_ip(name: str) -> str | None:
    """The address that a name under in-addr.arpa or ip6.arpa (RFC 3596) stands for; None for any other name."""
    try:
        if name.endswith(_REVERSE):
            return str(IPv4Address(".".join(reversed(name.removesuffix(_REVERSE).split(".")))))
        if name.endswith(_REVERSE6):
            digits = "".join(reversed(name.removesuffix(_REVERSE6).split(".")))
            return str(IPv6Address(bytes.fromhex(digits)))
    except ValueError:
        return None
    return None


def with_id(data: bytes, number: int) -> bytes:
    return struct.pack("!H", number) + data[2:]


def answers(data: bytes, number: int, query: Query) -> bool:
    """True if data is a response to this query as we sent it on under this id: what anything forged would have to guess."""
    if len(data) < 12 + len(query.question):
        return False
    found, flags = struct.unpack_from("!HH", data)
    return (
        found == number
        and bool(flags & _RESPONSE)
        and data[12 : 12 + len(query.question)].lower() == query.question.lower()
    )


def question(name: str, kind: int = A, number: int = 1) -> bytes:
    """A query for a name."""
    return struct.pack("!HHHHHH", number, _RECURSION_DESIRED, 1, 0, 0, 0) + _name(name) + struct.pack("!HH", kind, IN)
