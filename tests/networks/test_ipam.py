from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from naru.errors import Forbidden, Internal, InvalidArgument, NaruError, Unavailable
from naru.networks import ipam
from naru.networks.records import Pool

N = IPv4Network


def test_default_pools_are_docker_s_first_and_then_hundreds() -> None:
    pools = [str(pool) for pool in ipam.default_pools()]
    assert pools[:2] == ["172.17.0.0/16", "172.18.0.0/16"] and pools[14:17] == [
        "172.31.0.0/16",
        "192.168.0.0/20",
        "192.168.16.0/20",
    ]
    assert len(pools) == 15 + 16 + 512 == len(set(pools))


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "172.17.0.0/16"),
        (["172.17.0.0/16"], "172.18.0.0/16"),
        (["172.17.9.0/24", "172.18.0.0/15"], "172.20.0.0/16"),  # 172.18.0.0/15 holds .18 and .19
        (["172.16.0.0/12"], "192.168.0.0/20"),  # the route of a VPN
        (["172.16.0.0/12", "192.168.0.0/16"], "10.201.0.0/24"),
    ],
)
def test_choose_subnet(taken: list[str], chosen: str) -> None:
    assert str(ipam.choose_subnet([N(text) for text in taken])) == chosen


def test_no_subnet_left() -> None:
    with pytest.raises(Unavailable, match="all predefined address pools have been fully subnetted"):
        ipam.choose_subnet([N("0.0.0.0/1"), N("128.0.0.0/1")])


@pytest.mark.parametrize(
    ("asked", "settled"),
    [
        ([], (Pool("172.17.0.0/16", "172.17.0.1"),)),
        ([Pool()], (Pool("172.17.0.0/16", "172.17.0.1"),)),
        ([Pool("10.0.0.0/24")], (Pool("10.0.0.0/24", "10.0.0.1"),)),
        ([Pool("10.0.0.0/24", "10.0.0.9")], (Pool("10.0.0.0/24", "10.0.0.9"),)),
        ([Pool("10.0.0.0/24", aux={"a": "10.0.0.1"})], (Pool("10.0.0.0/24", "10.0.0.2", aux={"a": "10.0.0.1"}),)),
        ([Pool("10.0.0.0/24", "", "10.0.0.128/25")], (Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25"),)),
        ([Pool("fd00::/64")], (Pool("172.17.0.0/16", "172.17.0.1"),)),  # without IPv6 its subnet means nothing
        ([Pool("fd00::/64"), Pool("10.0.0.0/24")], (Pool("10.0.0.0/24", "10.0.0.1"),)),
    ],
)
def test_settle(asked: list[Pool], settled: tuple[Pool, ...]) -> None:
    assert ipam.settle(asked, [], []) == settled


ULA = str(next(ipam.default_pools("engine", 6)))


@pytest.mark.parametrize(
    ("versions", "asked", "settled"),
    [
        ((4, 6), [], [("172.17.0.0/16", "172.17.0.1"), (ULA, ULA.replace("/64", "1"))]),
        ((6,), [], [(ULA, ULA.replace("/64", "1"))]),
        ((6,), [Pool("10.0.0.0/24"), Pool("fd00::/64")], [("fd00::/64", "fd00::1")]),
        ((4, 6), [Pool("fd00::/64")], [("fd00::/64", "fd00::1"), ("172.17.0.0/16", "172.17.0.1")]),  # in Docker's order
        ((4, 6), [Pool("FD00:0:0:0::/64", "fd00:0::9")], [("fd00::/64", "fd00::9"), ("172.17.0.0/16", "172.17.0.1")]),
    ],
)
def test_settle_ipv6(versions: tuple[int, ...], asked: list[Pool], settled: list[tuple[str, str]]) -> None:
    found = ipam.settle(asked, [], [], versions=versions, seed="engine")
    assert [(pool.subnet, pool.gateway) for pool in found] == settled


def test_unique_local_subnets() -> None:
    """RFC 4193: fd00::/8, forty bits of the engine's own, then one /64 after the other."""
    first, second = (subnet for _, subnet in zip(range(2), ipam.default_pools("engine", 6), strict=False))
    assert first.prefixlen == 64 and str(first).startswith("fd") and not first.overlaps(second)
    assert first.supernet(16) == second.supernet(16) != next(ipam.default_pools("another", 6)).supernet(16)
    assert ipam.choose_subnet([first, N("172.17.0.0/16")], "engine", 6) == second


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        ([Pool("fd00::1/64")], InvalidArgument, "invalid network config:\ninvalid subnet fd00::1/64: it should be fd00::/64"),
        ([Pool("fd00::/64", "10.0.0.1")], InvalidArgument, "invalid network config:\ninvalid gateway 10.0.0.1: parent subnet fd00::/64 doesn't contain this address"),
        ([Pool("fd00::/64", "", "10.0.0.0/24")], InvalidArgument, "invalid network config:\ninvalid ip-range 10.0.0.0/24: parent subnet fd00::/64 doesn't contain ip-range"),
        ([Pool("ff00::/64")], InvalidArgument, "multicast subnet 'ff00::1/64' is not allowed"),
        ([Pool("fd00::/128")], Internal, "failed to allocate gateway (): no available addresses on this pool"),
        ([Pool("fd00:1::/64"), Pool("fd00:2::/64")], Forbidden, "bridge driver doesn't support multiple subnets"),
        ([Pool("fd00:5::/48")], Forbidden, "invalid pool request: Pool overlaps with other one on this address space"),
    ],
)  # fmt: skip
def test_settle_refuses_ipv6(asked: list[Pool], kind: type[NaruError], message: str) -> None:
    with pytest.raises(kind) as caught:
        ipam.settle(asked, [IPv6Network("fd00:5::/64")], [], versions=(4, 6))
    assert str(caught.value) == message


BAD: list[tuple[list[Pool], type[NaruError], str]] = [
    ([Pool("x")], InvalidArgument, "invalid JSON: netip.ParsePrefix(\"x\"): no '/'"),
    ([Pool("10.0.0.0/24", "x")], InvalidArgument, 'invalid JSON: ParseAddr("x"): unable to parse IP'),
    (
        [Pool("10.0.0.5/24")],
        InvalidArgument,
        "invalid network config:\ninvalid subnet 10.0.0.5/24: it should be 10.0.0.0/24",
    ),
    (
        [Pool("10.0.0.0/24", "10.9.0.1")],
        InvalidArgument,
        "invalid network config:\ninvalid gateway 10.9.0.1: parent subnet 10.0.0.0/24 doesn't contain this address",
    ),
    (
        [Pool("10.0.0.0/24", "", "10.9.0.0/25")],
        InvalidArgument,
        "invalid network config:\ninvalid ip-range 10.9.0.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range",
    ),
    (
        [Pool("10.0.0.0/24", aux={"h": "1.2.3.4"})],
        InvalidArgument,
        "invalid network config:\ninvalid auxiliary address h: parent subnet 10.0.0.0/24 doesn't contain this address",
    ),
    (
        [Pool("", "10.0.0.1")],
        InvalidArgument,
        "invalid network config:\ninvalid gateway 10.0.0.1: parent subnet invalid Prefix doesn't contain this address",
    ),
    (
        [Pool("10.0.0.0/24"), Pool("10.0.0.0/24")],
        Forbidden,
        "invalid pool request: Pool overlaps with other one on this address space",
    ),
    ([Pool("10.0.0.0/24"), Pool("10.0.1.0/24")], Forbidden, "bridge driver doesn't support multiple subnets"),
    (
        [Pool("192.0.2.0/25")],
        Forbidden,
        "invalid pool request: Pool overlaps with other one on this address space",
    ),
]


@pytest.mark.parametrize(("asked", "kind", "message"), BAD)
def test_settle_refuses_in_docker_s_words(asked: list[Pool], kind: type[NaruError], message: str) -> None:
    with pytest.raises(kind) as caught:
        ipam.settle(asked, [N("192.0.2.0/24")], [])
    assert str(caught.value) == message


def test_routes_of_the_host_are_avoided_but_may_be_asked_for() -> None:
    route = [N("172.17.0.0/16")]
    assert ipam.settle([], [], route)[0].subnet == "172.18.0.0/16"
    assert ipam.settle([Pool("172.17.0.0/16")], [], route)[0].subnet == "172.17.0.0/16"


@pytest.mark.parametrize(
    ("pool", "used", "following"),
    [
        (Pool("10.0.0.0/24", "10.0.0.1"), [], "10.0.0.2"),
        (Pool("10.0.0.0/24", "10.0.0.1"), ["10.0.0.2", "10.0.0.4"], "10.0.0.3"),
        (Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25"), [], "10.0.0.128"),
        (Pool("10.0.0.0/24", "10.0.0.1", aux={"a": "10.0.0.2"}), [], "10.0.0.3"),
        (Pool("10.0.0.0/30", "10.0.0.1"), [], "10.0.0.2"),
        (Pool("10.0.0.0/31", "10.0.0.0"), [], "10.0.0.1"),
        (Pool("fd00::/64", "fd00::1"), [], "fd00::2"),  # fd00:: is every router's
        (Pool("fd00::/64", "fd00::9"), ["fd00::1"], "fd00::2"),
        (Pool("fd00::/64", "fd00::1", "fd00:0:0:0:1::/80"), [], "fd00::1:0:0:0"),
        (Pool("fd00::/126", "fd00::1"), ["fd00::2"], "fd00::3"),  # there is no broadcast address
        (Pool("10.0.0.0/16", "10.0.0.1"), [f"10.0.0.{n}" for n in range(2, 256)], "10.0.1.0"),
    ],
)
def test_next_address(pool: Pool, used: list[str], following: str) -> None:
    assert ipam.next_address(pool, used) == following


def test_addresses_run_out() -> None:
    with pytest.raises(Unavailable, match="no available IPv4 addresses"):
        ipam.next_address(Pool("10.0.0.0/30", "10.0.0.1"), ["10.0.0.2"])


def test_claim() -> None:
    pool = Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25", {"a": "10.0.0.9"})
    assert ipam.claim(pool, "10.0.0.7", ()) == "10.0.0.7"  # outside the range, inside the subnet
    for ip, kind, message in (
        ("10.0.0.1", Forbidden, "Address already in use"),
        ("10.0.0.9", Forbidden, "Address already in use"),
        ("10.0.0.200", Forbidden, "Address already in use"),
        ("10.0.0.255", Forbidden, "Address already in use"),
        ("10.0.1.1", InvalidArgument, "invalid endpoint settings:\nno configured subnet contains IP address 10.0.1.1"),
        ("fd00::5", InvalidArgument, "invalid endpoint settings:\nno configured subnet contains IP address fd00::5"),
        ("x", InvalidArgument, 'invalid JSON: ParseAddr("x"): unable to parse IP'),
    ):
        with pytest.raises(kind) as caught:
            ipam.claim(pool, ip, ["10.0.0.200"])
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("pool", "used", "counts"),
    [
        (Pool("172.18.0.0/16", "172.18.0.1"), [], (3, 65533)),
        (Pool("10.0.0.0/24", "10.0.0.1"), ["10.0.0.9"], (4, 252)),
        (Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25", {"h": "10.0.0.200"}), [], (4, 126)),
        (Pool("fd00::/64", "fd00::1"), ["fd00::2"], (3, 2**64 - 3)),
        (Pool("fd00::/48", "fd00::1"), [], (2, 2**64 - 1)),  # the API's number ends there
        (Pool("fd00::/64", "fd00::9", "fd00:0:0:0:1::/80", {"a": "fd00:0:0:0:1::1"}), [], (3, 2**48 - 1)),
        (Pool("10.79.0.0/24"), [], (2, 254)),  # macvlan: no gateway of ours
    ],
)
def test_usage_counts_as_docker_does(pool: Pool, used: list[str], counts: tuple[int, int]) -> None:
    assert ipam.usage(pool, used) == counts


def test_mac_is_made_of_the_address() -> None:
    assert ipam.mac_of("172.17.0.2") == "02:42:ac:11:00:02"
    assert ipam.mac_of("fd00::2") != ipam.mac_of("fd00::3") != ipam.mac_of("fd00::1:0:0:3")
