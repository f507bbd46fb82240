from __future__ import annotations

import os
from dataclasses import replace

import pytest

from naru.linux import netns
from naru.linux.nft import Nft
from naru.networks import ruleset
from naru.networks.records import Endpoint, Network, Pool, PortBinding

GOLDEN = os.path.join(os.path.dirname(__file__), "golden")

BRIDGE = Network("1" * 64, "bridge", "bridge", 1, (Pool("172.17.0.0/16", "172.17.0.1"),), "naru0")
CLOSED = replace(BRIDGE, name="db", bridge="br-db", pools=(Pool("172.18.0.0/16", "172.18.0.1"),), internal=True)
SHY = replace(
    BRIDGE,
    name="shy",
    bridge="br-shy",
    pools=(Pool("172.19.0.0/16", "172.19.0.1"),),
    options={
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "false",
    },
)
DUAL = replace(
    BRIDGE,
    name="dual",
    bridge="br-dual",
    ipv6=True,
    pools=(Pool("172.20.0.0/16", "172.20.0.1"), Pool("fd00::/64", "fd00::1")),
    id="4" * 64,
)
ROUTED = replace(
    DUAL,
    id="5" * 64,
    name="routed",
    bridge="br-routed",
    pools=(Pool("172.21.0.0/16", "172.21.0.1"), Pool("fd00:1::/64", "fd00:1::1")),
    options={
        "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected",
        "com.docker.network.bridge.gateway_mode_ipv6": "routed",
        "com.docker.network.host_ipv4": "192.0.2.7",
    },
)
NONE = Network("3" * 64, "none", "null", 1)
WEB = Endpoint(
    BRIDGE.id, "bridge", "c" * 64, "web", "e" * 64, ip="172.17.0.2",
    ports=(PortBinding("tcp", 80, "0.0.0.0", 8080), PortBinding("udp", 53, "127.0.0.1", 53), PortBinding("tcp", 443, "192.0.2.2", 443)),
)  # fmt: skip

DUAL_WEB = Endpoint(
    DUAL.id, "dual", "d" * 64, "web", "f" * 64, ip="172.20.0.2", ip6="fd00::2",
    ports=(
        PortBinding("tcp", 80, "0.0.0.0", 8080), PortBinding("tcp", 80, "::", 8080), PortBinding("udp", 53, "2001:db8::7", 53),
        PortBinding("tcp", 80, "::1", 8081),  # relayed
    ),
)  # fmt: skip
ROUTED_WEB = Endpoint(
    ROUTED.id, "routed", "d" * 64, "web", "f" * 64, ip="172.21.0.2", ip6="fd00:1::2",
    ports=(PortBinding("tcp", 80, "::", 0), PortBinding("tcp", 80, "::", 0), PortBinding("tcp", 80, "0.0.0.0", 8082)),
)  # fmt: skip

CASES = {
    "ipv6": ruleset.whole("naru", [DUAL, ROUTED], [DUAL_WEB, ROUTED_WEB]),
    "empty": ruleset.whole("naru", [], []),
    "three_networks": ruleset.whole("naru", [BRIDGE, CLOSED, SHY, NONE], [WEB]),
    "dns": ruleset.redirect_dns("naru-br7", "127.0.0.11", 40000, 40001),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    """NARU_GOLDEN=write writes them anew; the diff is then to be read."""
    path = os.path.join(GOLDEN, f"{name}.nft")
    if os.environ.get("NARU_GOLDEN") == "write":
        os.makedirs(GOLDEN, exist_ok=True)
        with open(path, "w") as file:
            file.write(CASES[name])
    with open(path) as file:
        assert file.read() == CASES[name]


def test_one_port_is_one_element() -> None:
    elements = ruleset.of_endpoint(WEB, "naru0")
    assert ruleset.add("t", elements) == (
        "create element inet t published { tcp . 8080 : 172.17.0.2 . 80 }\n"
        "create element inet t published_on { 127.0.0.1 . udp . 53 : 172.17.0.2 . 53 }\n"
        "create element inet t published_on { 192.0.2.2 . tcp . 443 : 172.17.0.2 . 443 }\n"
    )
    assert ruleset.remove("t", elements[:1]) == "delete element inet t published { tcp . 8080 : 172.17.0.2 . 80 }\n"


def test_what_the_kernel_cannot_lead_has_no_element() -> None:
    assert ruleset.of_endpoint(replace(WEB, ports=(PortBinding("tcp", 80, "::", 8080),)), "naru0") == []  # IPv4 only
    assert [element.text for element in ruleset.of_endpoint(DUAL_WEB, "br-dual")] == [
        "tcp . 8080 : 172.20.0.2 . 80",
        "tcp . 8080 : fd00::2 . 80",
        "2001:db8::7 . udp . 53 : fd00::2 . 53",
    ]


def test_networks_without_bridge_have_no_rules() -> None:
    assert ruleset.of_network(NONE) == []


@pytest.mark.root
def test_the_kernel_takes_it_and_a_second_time_too() -> None:
    def work() -> None:
        with Nft() as nft:
            for text in CASES.values():
                nft.run(text)
                nft.run(text)
            nft.run(CASES["empty"])
            elements = [*ruleset.of_network(CLOSED), *ruleset.of_endpoint(WEB, "naru0")]
            nft.run(ruleset.add("naru", elements))
            with pytest.raises(OSError, match="File exists"):
                nft.run(ruleset.add("naru", elements[-1:]))
            moved = ruleset.of_endpoint(replace(WEB, ip="172.17.0.9"), "naru0")
            nft.run(ruleset.remove("naru", elements[-3:]) + ruleset.add("naru", moved))  # one transaction
            assert "172.17.0.9" in nft.run("list table inet naru")
            nft.run(ruleset.remove("naru", [*elements[:-3], *moved]))
            assert "elements" not in nft.run("list table inet naru")
            nft.run(ruleset.gone("naru") + ruleset.gone("naru") + ruleset.gone("naru-br7"))
            assert nft.run("list ruleset") == ""

    fd = netns.create()
    try:
        netns.inside(fd, work)
    finally:
        os.close(fd)
