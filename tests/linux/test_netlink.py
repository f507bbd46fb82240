from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from naru.linux import netlink, netns
from naru.linux.netlink import LOOPBACK, Address, Netlink, Route

pytestmark = pytest.mark.root
MAC = "02:42:0a:09:00:01"


@pytest.fixture
def inside() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Run something in a namespace made for the test."""
    fd = netns.create()
    yield lambda work: netns.inside(fd, work)
    os.close(fd)


def test_bridge_address_and_route(inside: Any) -> None:
    def work() -> None:
        with Netlink() as host:
            host.run(netlink.add_bridge("br0", mac=MAC, mtu=1400))
            index = netlink.index_of("br0")
            host.run(netlink.add_address(index, "10.9.0.1", 24), netlink.set_default_route("10.9.0.254", index))
            link = host.link("br0")
            assert link is not None
            assert (link.index, link.kind, link.up, link.mtu, link.mac) == (index, "bridge", True, 1400, MAC)
            assert host.addresses() == [Address(LOOPBACK, "127.0.0.1", 8), Address(index, "10.9.0.1", 24)]
            assert Route(IPv4Network("0.0.0.0/0"), "10.9.0.254", index) in host.routes()
            assert netlink.overlapping(host.routes()) == [IPv4Network("10.9.0.0/24")]
            host.run(netlink.add_address(index, "10.9.0.1", 24))  # again is no error
            host.run(netlink.set_default_route("10.9.0.253", index))  # in place of the other
            assert [route.gateway for route in host.routes() if route.gateway] == ["10.9.0.253"]
            host.run(netlink.delete_link("br0"))
            assert host.link("br0") is None

    inside(work)


def test_ipv6_address_and_route(inside: Any) -> None:
    def work() -> None:
        with Netlink() as host:
            host.run(netlink.add_bridge("br0", mac=MAC))
            index = netlink.index_of("br0")
            host.run(netlink.add_address(index, "fd00:9::1", 64), netlink.set_default_route("fd00:9::fe", index))
            assert Address(index, "fd00:9::1", 64) in host.addresses(6)
            assert Route(IPv6Network("::/0"), "fd00:9::fe", index) in host.routes(6)
            assert IPv6Network("fd00:9::/64") in netlink.overlapping(host.routes(6))
            host.run(netlink.set_default_route("fd00:9::fd", index))  # in place of the other
            assert [route.gateway for route in host.routes(6) if route.gateway] == ["fd00:9::fd"]
            host.run(netlink.set_default_interface(6, index), netlink.set_default_interface(4, index))
            for version in (4, 6):
                found = [route for route in host.routes(version) if not route.destination.prefixlen]
                assert [(route.gateway, route.index) for route in found] == [("", index)]

    inside(work)


def test_macvlan_is_made_in_another_namespace(inside: Any) -> None:
    peer = netns.create()

    def work() -> None:
        with Netlink() as host:
            host.run(netlink.add_bridge("br0", mac=MAC))
            parent = netlink.index_of("br0")
            host.run(
                netlink.add_child(
                    "eth0", kind="macvlan", parent=parent, mode=4, netns=peer, mac="02:42:0a:09:00:02", mtu=1300
                )
            )

            def look() -> None:
                with Netlink() as there:
                    link = there.link("eth0")
                    assert link is not None
                    assert (link.kind, link.mac, link.mtu, link.up) == ("macvlan", "02:42:0a:09:00:02", 1300, False)

            netns.inside(peer, look)

    inside(work)
    os.close(peer)


def test_veth_is_made_in_another_namespace_as_a_port(inside: Any) -> None:
    peer = netns.create()

    def work() -> None:
        with Netlink() as host:
            host.run(netlink.add_bridge("br0", mac=MAC))
            master = netlink.index_of("br0")
            host.run(
                netlink.add_veth(
                    "veth0", master=master, peer="eth0", peer_netns=peer, peer_mac="02:42:0a:09:00:02", mtu=1300
                ),
                netlink.set_port("veth0", isolated=True, hairpin=True),
            )
            link = host.link("veth0")
            assert link is not None and (link.kind, link.master, link.mtu, link.up) == ("veth", master, 1300, True)
            host.run(netlink.disable_port("veth0"))

            def there() -> None:
                with Netlink() as here:
                    end = here.link("eth0")
                    assert end is not None and (end.mac, end.mtu, end.up) == ("02:42:0a:09:00:02", 1300, False)

            netns.inside(peer, there)

    try:
        inside(work)
    finally:
        os.close(peer)


@pytest.mark.parametrize(
    ("request_", "number", "words"),
    [
        (netlink.add_bridge("lo", mac=MAC), errno.EEXIST, "create bridge lo"),
        (netlink.delete_link("nope"), errno.ENODEV, "delete interface nope"),
        (netlink.set_up(99), errno.ENODEV, "set interface 99 up"),
        (netlink.add_address(99, "10.0.0.1", 24), errno.ENODEV, "add address 10.0.0.1/24 to interface 99"),
        (
            netlink.set_default_route("9.9.9.9", LOOPBACK),
            errno.ENETUNREACH,
            "invalid gateway",
        ),  # the kernel's own words
        (netlink.disable_port("lo"), errno.EOPNOTSUPP, "disable bridge port lo"),
    ],
)
def test_errors_name_the_object(inside: Any, request_: netlink.Request, number: int, words: str) -> None:
    def work() -> None:
        with Netlink() as host:
            with pytest.raises(OSError, match=words) as caught:
                host.run(request_)
            assert caught.value.errno == number
            assert [link.name for link in host.links()] == ["lo"]  # the socket is still good

    inside(work)


def test_the_first_error_of_several_is_told(inside: Any) -> None:
    def work() -> None:
        with Netlink() as host, pytest.raises(OSError, match="delete interface a:"):
            host.run(netlink.set_up(LOOPBACK), netlink.delete_link("a"), netlink.delete_link("b"))

    inside(work)


def test_many_links_come_in_several_messages(inside: Any) -> None:
    def work() -> None:
        with Netlink() as host:
            host.run(*(netlink.add_bridge(f"br{number}", mac=MAC) for number in range(50)))
            assert len(host.links()) == 51

    inside(work)


def test_index_of_what_is_not_there() -> None:
    with pytest.raises(OSError, match="no interface nope"):
        netlink.index_of("nope")
