"""Where a hub may be sent, and where not, however the way there is written."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import Forbidden, InvalidArgument
from naru.hub.webhooktargets import Target, check_target, target_of

URL = "https://hooks.example/x?y=1"


def test_what_a_url_leads_to() -> None:
    assert target_of(URL) == Target(URL, "https", "hooks.example", 443)
    assert (target_of("HTTP://A.Example:8080").host, target_of("http://a.example:8080/").port) == ("a.example", 8080)
    assert target_of("http://[2001:4860::1]:81/").host == "2001:4860::1"
    assert target_of("http://my_service:5000/hook").port == 5000
    assert target_of("http://a.example.").host == "a.example."
    assert target_of("http://8.8.8.8").port == target_of("http://8.8.8.8:").port == 80
    assert target_of("https://xn--bcher-kva.example/%C3%A9").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//a.example", "/x", "ftp://a.example", "file:///etc/passwd", "gopher://a.example", "javascript:alert(1)",
        "unix:///run/x", "http://", "http:///x", "http:a.example", "https://:443/", "http://a.example:0/", "http://a.example:65536/",
        "http://a.example:x/", "http://user@a.example/", "http://user:pass@a.example/", "http://@a.example/", "http://:@a.example/",
        "http://good.example\\@evil.example/", "http://a.example/ x", "http://a.example/\r\nX: y", "http://a.example/\t", "http://bücher.example/",
        "http://a.example/é", "http://a.example/#x", "http://a.example#@b.example/", "http://-a.example/", "http://a..example/",
        "http://.example/", "http://a.example-/", "http://[::1", "http://[::1]x/", "http://[fe80::1%25eth0]/", "http://[1.2.3.4]/",
        "http://[::1]x:80/", "http://a.example:080/", "http://a%2eexample/", "http://a.example,b.example/", "http://" + "a" * 64 + ".example/", "http://" + "a." * 127 + "example/",
        "https://a.example/" + "x" * 2048, "http://a.example/\0", "http://a.example/\x7f", " http://a.example/",
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^webhook URL: "):
        target_of(url)


PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "223.255.255.255",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "2606:4700::1111",
    "2a00::1",
    "::ffff:8.8.8.8",
]
OWN = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "fd12::1",
    "fc00::1",
]
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "ff02::1", "::", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.0.0.8", "2001:db8::1", "2001::1",
    "100.100.100.200", "168.63.129.16", "fd20:ce::254", "2002:7f00:1::", "fec0::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "::127.0.0.1", "100::1", "4000::1", "3fff::1",
]  # fmt: skip


def test_public_addresses_are_allowed() -> None:
    for address in PUBLIC:
        assert check_target(URL, [address], allow_private=False).host == "hooks.example"
    assert check_target(URL, PUBLIC, allow_private=True).port == 443
    assert check_target(URL, ["64:ff9b::808:808"], allow_private=False).port == 443  # 8.8.8.8, by way of NAT64


def test_ones_own_are_allowed_where_they_are_allowed() -> None:
    for address in [*OWN, "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"]:
        with pytest.raises(Forbidden, match=r"hooks\.example is at "):
            check_target(URL, [address], allow_private=False)
        assert check_target(URL, [address], allow_private=True).host == "hooks.example"


def test_some_are_never_allowed() -> None:
    for address in NEVER:
        for allow_private in (False, True):
            with pytest.raises(Forbidden):
                check_target(URL, [address], allow_private)


def test_one_bad_address_is_enough() -> None:
    with pytest.raises(Forbidden, match=r"hooks\.example is at 127\.0\.0\.1, and 127\.0\.0\.1 is loopback"):
        check_target(URL, ["8.8.8.8", "2606:4700::1111", "127.0.0.1"], allow_private=False)


def test_addresses_that_are_none() -> None:
    for addresses in ([], [""], ["hooks.example"], ["2130706433"], ["0x7f.1"], ["8.8.8.8", "127.1"], ["8.8.8.8:80"]):
        with pytest.raises(InvalidArgument):
            check_target(URL, addresses, allow_private=True)


def test_the_url_is_checked_as_well() -> None:
    with pytest.raises(InvalidArgument):
        check_target("http://user@hooks.example/", ["8.8.8.8"], allow_private=True)
    # a number is a name like any other: what it stands for is what it resolves to
    with pytest.raises(Forbidden):
        check_target("http://2130706433/", ["127.0.0.1"], allow_private=False)


@given(st.ip_addresses())
def test_never_more_than_python_would_allow(address: object) -> None:
    text = str(address)
    try:
        check_target(URL, [text], allow_private=False)
    except Forbidden:
        return
    found = ip_address(text)
    found = getattr(found, "ipv4_mapped", None) or found
    assert not (found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified)
    assert found.is_global or text.startswith("64:ff9b::")
