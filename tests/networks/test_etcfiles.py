from __future__ import annotations

import pytest

from naru.networks import etcfiles

HOST = "# made by hand\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nsearch corp.example example\noptions edns0 timeout:1\n"
STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n"
REAL = "nameserver 192.0.2.1\n"


def test_parse() -> None:
    assert etcfiles.parse(HOST) == etcfiles.ResolvConf(
        ("10.0.0.53", "fe80::1%eth0"), ("corp.example", "example"), ("edns0", "timeout:1")
    )
    assert etcfiles.parse("nameserver\nnameserver x\ndomain a ; b\n") == etcfiles.ResolvConf((), ("a",), ())


@pytest.mark.parametrize(
    ("host", "resolved", "embedded", "expected"),
    [
        (HOST, "", False, "nameserver 10.0.0.53\nsearch corp.example example\noptions edns0 timeout:1\n"),
        (STUB, REAL, False, "nameserver 192.0.2.1\noptions edns0 trust-ad\n"),
        (STUB, "", False, "nameserver 8.8.8.8\nnameserver 8.8.4.4\noptions edns0 trust-ad\n"),
        ("", "", False, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"),
        (HOST, "", True, "nameserver 127.0.0.11\nsearch corp.example example\noptions edns0 timeout:1 ndots:0\n"),
        ("options ndots:3\n", "", True, "nameserver 127.0.0.11\noptions ndots:3\n"),
    ],
)
def test_resolv_conf(host: str, resolved: str, embedded: bool, expected: str) -> None:
    assert etcfiles.resolv_conf(host, resolved, embedded=embedded) == expected


def test_what_the_user_set_replaces_what_the_host_has() -> None:
    given = etcfiles.resolv_conf(HOST, "", embedded=False, dns=["1.1.1.1"], search=["a"], options=["ndots:2"])
    assert given == "nameserver 1.1.1.1\nsearch a\noptions ndots:2\n"
    assert "search" not in etcfiles.resolv_conf(HOST, "", embedded=False, search=["."])


def test_hosts() -> None:
    text = etcfiles.hosts(["172.17.0.2", "10.0.0.2"], "web", "example.org", [("db", "10.0.0.9")])
    assert text.startswith("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    assert text.endswith("10.0.0.9\tdb\n172.17.0.2\tweb.example.org web\n10.0.0.2\tweb.example.org web\n")
    assert etcfiles.hosts(["172.17.0.2"], "abc").endswith("172.17.0.2\tabc\n")
    assert etcfiles.hosts(["172.17.0.2"], "a.b").endswith("172.17.0.2\ta.b a\n")
    assert etcfiles.hosts(["172.17.0.2"], "a.b", "c.d").endswith("172.17.0.2\ta.b.c.d a\n")
