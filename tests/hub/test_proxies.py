from __future__ import annotations

from dataclasses import replace

import pytest
from peer import peering

from naru.errors import InvalidArgument
from naru.hub.proxies import client_address, is_trusted, parse_networks
from naru.hub.server import Settings

OURS = parse_networks("10.0.0.0/8, fd00::/8,127.0.0.1")


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),  # a stranger that says it is another
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),  # what the client has put in front counts nothing
        ("10.0.0.1", ["203.0.113.9", "fd00::1"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["203.0.113.9", "unknown"], "10.0.0.1"),  # the proxy does not say whom it speaks for
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["2001:db8::9", "[fd00::1]:4711"], "2001:db8::9"),
        ("10.0.0.1", ['"[2001:db8::9]:4711"'], "2001:db8::9"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_who_really_asks(remote: str, forwarded: list[str], expected: str) -> None:
    assert client_address(remote, forwarded, OURS) == expected


def test_networks() -> None:
    assert parse_networks("") == () and not is_trusted("10.0.0.1", ())
    with pytest.raises(InvalidArgument, match="trusted proxies"):
        parse_networks("10.0.0.0/99")


async def test_headers_are_believed_of_proxies_alone(hub_settings: Settings) -> None:
    for proxies, expected in (("127.0.0.1", "https://hub.example"), ("", "http://127.0.0.1")):
        async with peering(replace(hub_settings, proxies=parse_networks(proxies))) as peer:
            answer = await peer.ask(
                "GET", "/v2/", X_Forwarded_Proto="https", X_Forwarded_Host="hub.example", X_Forwarded_For="203.0.113.9"
            )
            assert f'realm="{expected}' in answer.headers["WWW-Authenticate"]
