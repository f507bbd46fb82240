from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.networks import dnsmessage as dns


def test_a_question_is_read_as_it_was_written() -> None:
    query = dns.parse_query(dns.question("Web.Example", dns.AAAA, 77))
    assert (query.id, query.name, query.kind) == (77, "web.example", dns.AAAA)
    assert query.question == b"\3Web\7Example\0" + struct.pack("!HH", 28, 1)  # the case is kept for the answer


def test_answer() -> None:
    query = dns.parse_query(dns.question("web", number=77))
    data = dns.answer(query, dns.addresses(["10.0.0.2", "10.0.0.3"]))
    number, flags, questions, answers, authorities, additional = struct.unpack_from("!HHHHHH", data)
    assert (number, questions, answers, authorities, additional) == (77, 1, 2, 0, 0)
    assert flags == 0x8000 | 0x0400 | 0x0100 | 0x0080  # response, authoritative, recursion desired and available
    assert data[12:].startswith(query.question + struct.pack("!HHHIH", 0xC00C, 1, 1, 10, 4) + bytes([10, 0, 0, 2]))


def test_answer_of_ipv6() -> None:
    query = dns.parse_query(dns.question("web", dns.AAAA))
    data = dns.answer(query, dns.addresses(["fd00::2"]))
    assert data.endswith(struct.pack("!HHHIH", 0xC00C, 28, 1, 10, 16) + bytes.fromhex("fd00" + "0" * 27 + "2"))


def test_answer_that_is_too_long_is_cut_and_marked() -> None:
    query = dns.parse_query(dns.question("web"))
    data = dns.answer(query, dns.addresses(["10.0.0.2"] * 100), limit_bytes=dns.UDP_LIMIT)
    assert len(data) <= 512 and data[2] & 0x02
    assert not dns.answer(query, dns.addresses(["10.0.0.2"] * 100))[2] & 0x02


def test_reverse_names() -> None:
    assert dns.reversed_ip("2.0.17.172.in-addr.arpa") == "172.17.0.2"
    six = ".".join(reversed("fd000077" + "0" * 23 + "9"))
    assert dns.reversed_ip(f"{six}.ip6.arpa") == "fd00:77::9"
    assert dns.reversed_ip("9.ip6.arpa") is None and dns.reversed_ip("x." * 32 + "ip6.arpa") is None
    assert dns.reversed_ip("x.in-addr.arpa") is None and dns.reversed_ip("web") is None
    assert dns.pointer("web.app") == b"\3web\3app\0"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 12,
        dns.question("web")[:-1],
        dns.question("web")[:14],
        struct.pack("!HHHHHH", 1, 0x8000, 1, 0, 0, 0) + b"\0\0\1\0\1",  # a response
        struct.pack("!HHHHHH", 1, 0x2800, 1, 0, 0, 0) + b"\0\0\1\0\1",  # an update
        struct.pack("!HHHHHH", 1, 0, 2, 0, 0, 0) + b"\0\0\1\0\1" * 2,  # two questions
        struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",  # a name that points to itself
        struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\0\0\1\0\3",  # class CHAOS
        struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\1a" * 200 + b"\0\0\1\0\1",  # too long a name
    ],
)
def test_what_is_no_query_of_ours(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        dns.parse_query(data)


def test_refuse_answers_queries_only() -> None:
    assert dns.refuse(b"short", dns.FORMAT_ERROR) is None
    assert dns.refuse(struct.pack("!HHHHHH", 9, 0x8000, 0, 0, 0, 0), dns.FORMAT_ERROR) is None
    assert dns.refuse(struct.pack("!HHHHHH", 9, 0, 5, 0, 0, 0), dns.FORMAT_ERROR) == struct.pack(
        "!HHHHHH", 9, 0x8001, 0, 0, 0, 0
    )


def test_only_the_response_to_our_question_counts() -> None:
    query = dns.parse_query(dns.question("web", number=5))
    good = dns.with_id(dns.answer(query), 99)
    assert dns.answers(good, 99, query)
    assert not dns.answers(good, 98, query)
    assert not dns.answers(dns.with_id(dns.question("web"), 99), 99, query)  # a query
    assert not dns.answers(dns.with_id(dns.answer(dns.parse_query(dns.question("evil"))), 99), 99, query)
    assert not dns.answers(b"", 99, query)


@given(st.binary(max_size=64))
def test_no_bytes_do_harm(data: bytes) -> None:
    try:
        query = dns.parse_query(data)
    except InvalidArgument:
        dns.refuse(data, dns.FORMAT_ERROR)
    else:
        assert dns.answers(dns.answer(query), query.id, query)
