"""Another engine's forward policy, in a host of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from naru.linux import netns
from naru.linux.nft import Nft
from naru.networks import forwarding, neighbours

pytestmark = pytest.mark.root

_POLICY = """\
table {family} filter {{
	chain DOCKER-USER {{
	}}
	chain FORWARD {{
		type filter hook forward priority filter; policy {policy};
		jump DOCKER-USER
	}}
}}
"""


def on_a_host(work: Callable[[], None]) -> None:
    fd = netns.create()
    try:
        netns.inside(fd, work)
    finally:
        os.close(fd)


def rules(family: str) -> list[str]:
    with Nft() as nft:
        lines = nft.run(f"list chain {family} filter DOCKER-USER").splitlines()
    return sorted(" ".join(line.split()[:2]) for line in lines if "comment" in line)


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_bridges_get_room_under_a_drop_policy(family: str) -> None:
    def work() -> None:
        with Nft() as nft:
            nft.run(_POLICY.format(family=family, policy="drop"))
        neighbours.settle("naru", ["naru0", "br-1"])
        neighbours.settle("naru-x", ["x0"])
        both = [
            'iifname "br-1"',
            'iifname "naru0"',
            'iifname "x0"',
            'oifname "br-1"',
            'oifname "naru0"',
            'oifname "x0"',
        ]
        assert rules(family) == both
        neighbours.settle("naru", ["naru0"])
        assert rules(family) == [rule for rule in both if "br-1" not in rule]
        neighbours.settle("naru", [])
        assert rules(family) == ['iifname "x0"', 'oifname "x0"']

    on_a_host(work)


def test_hosts_without_such_a_policy_are_not_touched() -> None:
    def work() -> None:
        neighbours.settle("naru", ["naru0"])
        with Nft() as nft:
            assert nft.run("list ruleset") == ""
            nft.run(_POLICY.format(family="ip6", policy="accept"))
        neighbours.settle("naru", ["naru0"])
        assert rules("ip6") == []

    on_a_host(work)


def test_a_host_that_forwards_keeps_what_it_believes() -> None:
    def work() -> None:
        netns.write_sysctl("ipv6/conf/all/forwarding", "0")
        netns.write_sysctl("ipv6/conf/default/accept_ra", "1")
        os.system("ip link add br0 type bridge; ip link add br1 type bridge")
        netns.write_sysctl("ipv6/conf/br1/accept_ra", "0")
        forwarding.allow(4)
        forwarding.allow(6)
        assert netns.read_sysctl("ipv4/ip_forward") == netns.read_sysctl("ipv6/conf/all/forwarding") == "1"
        assert netns.read_sysctl("ipv6/conf/br0/accept_ra") == "2"  # goes on believing
        assert netns.read_sysctl("ipv6/conf/br1/accept_ra") == "0"

    on_a_host(work)
