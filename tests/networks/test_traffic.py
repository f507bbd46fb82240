"""Who reaches whom: real packets between containers, the host and a LAN."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import Any

import pytest

from naru.linux import netns
from naru.linux.netlink import Netlink
from naru.networks.records import PortRequest

pytestmark = pytest.mark.root

WEB = PortRequest("tcp", 80, "", 8080)


@pytest.mark.parametrize("bridge_filter", ["0", "1"])  # 1: what Docker and Kubernetes set, if br_netfilter is loaded
def test_published_ports(play: Any, bridge_filter: str) -> None:
    async def story(world: Any) -> None:
        netns.write_sysctl("bridge/bridge-nf-call-iptables", bridge_filter)
        lan = world.lan()
        await world.networks.create("other")
        web = await world.run("web", ports=(WEB, PortRequest("tcp", 80, "127.0.0.1", 8081)))
        await web.serve(80, b"web")
        client, stranger = await world.run("client"), await world.run("stranger", "other")
        assert await client.fetch(web.ip, 80) == b"web 172.17.0.3"  # a neighbour, directly
        for box in (client, stranger, web, lan):  # the host's addresses, its own port included
            assert (await box.fetch("10.55.0.1", 8080)).startswith(b"web")
        assert (await client.fetch("172.17.0.1", 8080)).startswith(b"web")
        assert await lan.fetch("10.55.0.1", 8080) == b"web 10.55.0.2"  # the client's address is kept
        assert await world.fetch("127.0.0.1", 8080) == b"web 172.17.0.1"
        assert await world.fetch("10.55.0.1", 8080)
        assert await world.fetch("127.0.0.1", 8081)
        assert await world.fetch(web.ip, 80)  # the host itself
        # and what must not be
        assert await stranger.refused(web.ip, 80)  # another network
        assert await lan.refused(web.ip, 80)  # by routing to the container's address
        assert await lan.refused("10.55.0.1", 8081)  # published on loopback only
        assert await client.refused("172.17.0.1", 8081)
        await world.end(web)
        assert await world.refused("127.0.0.1", 8080)

    play(story)


def test_loopback_packets_from_outside_are_dropped(play: Any) -> None:
    async def story(world: Any) -> None:
        lan = world.lan()
        web = await world.run("web", ports=(PortRequest("tcp", 80, "127.0.0.1", 8081),))
        await web.serve(80, b"web")
        client = await world.run("client")

        def to_loopback(interface: str) -> bool:
            # 127.0.0.1 leaves through the interface instead of lo, as a hostile neighbour would send it
            netns.write_sysctl("ipv4/conf/all/route_localnet", "1")
            os.system(
                f"ip addr flush dev lo; ip rule add pref 5 to 127.0.0.1 lookup 77; ip rule del pref 0; ip rule add pref 9 lookup local;"
                f"ip route add 127.0.0.1 via $(ip route show default | cut -d' ' -f3) dev {interface} table 77 onlink"
            )
            return world.is_refused("127.0.0.1", 8081)

        assert await asyncio.to_thread(lan.inside, partial(to_loopback, "eth0"))
        assert await asyncio.to_thread(client.inside, partial(to_loopback, "eth0"))

    play(story)


def test_leaving_packets_are_masqueraded_and_foreign_sources_dropped(play: Any) -> None:
    async def story(world: Any) -> None:
        lan = world.lan()
        await lan.serve(80, b"lan")
        await world.networks.create("plain", options={"com.docker.network.bridge.enable_ip_masquerade": "false"})
        await world.networks.create("inside", internal=True)
        assert await (await world.run("a")).fetch("10.55.0.2", 80) == b"lan 10.55.0.1"
        assert await (await world.run("b", "plain")).fetch("10.55.0.2", 80) == b"lan 172.18.0.2"
        closed = await world.run("c", "inside")
        assert closed.endpoints[0].gateway == ""

        def add_route() -> None:
            from naru.linux import netlink

            with Netlink() as here:
                here.run(netlink.set_default_route("172.19.0.1", netlink.index_of("eth0")))

        closed.inside(add_route)  # even with a route there is no way out
        assert await closed.refused("10.55.0.2", 80)
        forger = await world.run("d")
        forger.inside(lambda: os.system("ip addr add 10.55.0.77/32 dev eth0"))

        def send(source: str) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                sender.sendto(source.encode(), ("10.55.0.2", 5000))

        receiver = lan.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with receiver:
            receiver.bind(("10.55.0.2", 5000))
            receiver.settimeout(3)
            await asyncio.to_thread(forger.inside, partial(send, "10.55.0.77"))
            await asyncio.to_thread(forger.inside, partial(send, forger.ip))
            assert await asyncio.to_thread(receiver.recv, 100) == forger.ip.encode()  # the first never arrived

    play(story)


@pytest.mark.parametrize("bridge_filter", ["0", "1"])
def test_icc_false(play: Any, bridge_filter: str) -> None:
    async def story(world: Any) -> None:
        netns.write_sysctl("bridge/bridge-nf-call-iptables", bridge_filter)
        await world.networks.create("shy", options={"com.docker.network.bridge.enable_icc": "false"})
        web = await world.run("web", "shy", ports=(WEB,))
        await web.serve(80, b"web")
        client = await world.run("client", "shy")
        assert await client.refused(web.ip, 80)
        if bridge_filter == "0":  # otherwise br_netfilter leads it back inside the bridge, where ports are isolated
            assert (await client.fetch("172.18.0.1", 8080)).startswith(b"web")  # what is published is published

    play(story)


def test_internal_neighbours_reach_each_other(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("inside", internal=True)
        web = await world.run("web", "inside", ports=(WEB,))
        assert web.endpoints[0].ports == ()
        await web.serve(80, b"web")
        assert await (await world.run("client", "inside")).fetch(web.ip, 80)

    play(story)
