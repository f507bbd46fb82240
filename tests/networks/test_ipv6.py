"""IPv6 with real packets: who reaches whom, what is published, and that there is none where nobody asked for it."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import Any

import pytest

from naru.linux import netlink, netns
from naru.linux.netlink import Netlink
from naru.networks.records import EndpointRequest, Pool, PortRequest

pytestmark = pytest.mark.root

WEB = PortRequest("tcp", 80, "", 8080)
HOST, NEIGHBOUR = "2001:db8::1", "2001:db8::2"


def lan6(world: Any) -> Any:
    """The LAN with IPv6, too: the neighbour routes everything to us."""
    lan = world.lan()
    with Netlink() as host:
        host.run(netlink.add_address(netlink.index_of("lan0"), HOST, 64))

    def configure() -> None:
        with Netlink() as here:
            there = netlink.index_of("eth0")
            here.run(netlink.add_address(there, NEIGHBOUR, 64), netlink.set_default_route(HOST, there))

    lan.inside(configure)
    return lan


async def serve6(box: Any, port: int, text: bytes) -> None:
    """Answer with text and the client's address, in both families."""
    listener = box.inside(lambda: socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text + b" " + writer.get_extra_info("peername")[0].encode())
        await writer.drain()
        writer.close()

    box.servers.append(await asyncio.start_server(answer, sock=listener))


async def dual(world: Any, name: str, subnet: str, **wish: Any) -> Any:
    return await world.networks.create(name, ipv6=True, pools=[Pool(subnet)], **wish)


def test_a_network_with_both(play: Any) -> None:
    async def story(world: Any) -> None:
        network = await world.networks.create("app", ipv6=True)
        assert network.pool6.subnet.startswith("fd") and network.pool6.gateway.endswith("::1")
        box = await world.run("web", "app")
        [end] = box.endpoints
        assert end.ip6 == network.pool6.gateway[:-1] + "2" and end.primary and end.primary6

        def look() -> None:
            with Netlink() as here:
                assert (end.ip6, 64) in [(a.ip, a.prefix) for a in here.addresses(6)]
                assert end.gateway6 in [r.gateway for r in here.routes(6) if not r.destination.prefixlen]
            assert world.read("/proc/sys/net/ipv6/conf/eth0/accept_ra") == "0\n"

        box.inside(look)
        assert world.read(f"/proc/sys/net/ipv6/conf/{network.bridge}/accept_ra") == "0\n"
        assert world.read("/proc/sys/net/ipv6/conf/all/forwarding") == "1\n"
        second = await world.networks.create("second", ipv6=True)
        assert second.pool6.subnet != network.pool6.subnet
        await world.restart()
        assert world.networks.endpoints_of(box.member.id) == [end]

    play(story)


def test_no_ipv6_where_nobody_asked_for_it(play: Any) -> None:
    """CVE-2024-32473: no address at all on networks with IPv4 alone, not even a link-local one, in no family's table."""

    async def story(world: Any) -> None:
        await dual(world, "app", "fd00:1::/64")
        box = await world.run("web", "bridge", "app")

        def look() -> None:
            assert world.read("/proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "1\n"
            assert world.read("/proc/sys/net/ipv6/conf/eth1/disable_ipv6") == "0\n"
            with Netlink() as here:
                index = netlink.index_of("eth0")
                assert [a for a in here.addresses(6) if a.index == index] == []

        box.inside(look)
        with Netlink() as host:
            index = netlink.index_of("naru0")
            assert [a for a in host.addresses(6) if a.index == index] == []

    play(story)


@pytest.mark.parametrize("bridge_filter", ["0", "1"])
def test_published_ports(play: Any, bridge_filter: str) -> None:
    async def story(world: Any) -> None:
        netns.write_sysctl("bridge/bridge-nf-call-ip6tables", bridge_filter)
        lan = lan6(world)
        await dual(world, "app", "fd00:1::/64")
        await dual(world, "other", "fd00:2::/64")
        web = await world.run("web", "app", ports=(WEB, PortRequest("tcp", 80, "::1", 8081)))
        await serve6(web, 80, b"web")
        client, stranger = await world.run("client", "app"), await world.run("stranger", "other")
        assert await client.fetch("fd00:1::2", 80) == b"web fd00:1::3"  # a neighbour, directly
        for box in (client, stranger, web, lan):
            assert (await box.fetch(HOST, 8080)).startswith(b"web")
        assert await lan.fetch(HOST, 8080) == b"web " + NEIGHBOUR.encode()  # the client's address is kept
        assert (await lan.fetch("10.55.0.1", 8080)).startswith(b"web")
        assert (await world.fetch("::1", 8080)).startswith(b"web")
        assert (await world.fetch("::1", 8081)).startswith(b"web")
        assert (await world.fetch(HOST, 8080)).startswith(b"web")
        assert await world.fetch("fd00:1::2", 80)  # the host itself
        # and what must not be
        assert await stranger.refused("fd00:1::2", 80)  # another network
        assert await lan.refused("fd00:1::2", 80)  # by routing to the container's address
        assert await lan.refused(HOST, 8081)  # published on loopback only
        await world.end(web)
        assert await world.refused("::1", 8080)
        assert "elements" not in world.elements("published6")

    play(story)


def test_ports_of_a_container_with_ipv4_alone_are_relayed(play: Any) -> None:
    async def story(world: Any) -> None:
        lan = lan6(world)
        web = await world.run("web", ports=(WEB, PortRequest("udp", 53, "", 5353)))
        await web.serve(80, b"web")
        echo = web.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        echo.bind((web.ip, 53))
        echo.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(echo, lambda: echo.sendto(*echo.recvfrom(100)))

        def ask() -> bytes:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.settimeout(3)
                client.sendto(b"question", ("::1", 5353))
                return client.recv(100)

        assert (await world.fetch("::1", 8080)).startswith(b"web")
        assert (await lan.fetch(HOST, 8080)).startswith(b"web")
        assert await asyncio.to_thread(ask) == b"question"
        await world.networks.create("app", ipv6=True)  # a network with IPv6 takes over
        await serve6(web, 81, b"six")
        await world.networks.connect(web.member, web.fd, EndpointRequest("app"))
        loop.remove_reader(echo)
        echo.close()
        await world.end(web)
        assert await world.refused("::1", 8080)

    play(story)


def test_ports_move_between_families(play: Any) -> None:
    async def story(world: Any) -> None:
        lan = lan6(world)
        await dual(world, "app", "fd00:1::/64")
        web = await world.run("web", ports=(WEB,))
        await serve6(web, 80, b"web")
        assert (await lan.fetch(HOST, 8080)).split()[1] != NEIGHBOUR.encode()  # relayed
        await world.networks.connect(web.member, web.fd, EndpointRequest("app"))
        assert await lan.fetch(HOST, 8080) == b"web " + NEIGHBOUR.encode()
        await world.networks.disconnect(web.member.id, "app", web.fd)
        assert (await lan.fetch(HOST, 8080)).startswith(b"web")
        await world.restart()
        await world.networks.restore(web.member, web.fd)
        assert (await world.fetch("::1", 8080)).startswith(b"web")

    play(story)


def test_leaving_packets_are_masqueraded_and_foreign_sources_dropped(play: Any) -> None:
    async def story(world: Any) -> None:
        lan = lan6(world)
        await serve6(lan, 80, b"lan")
        await dual(world, "app", "fd00:1::/64")
        await dual(world, "plain", "fd00:2::/64", options={"com.docker.network.bridge.enable_ip_masquerade": "false"})
        await dual(world, "inside", "fd00:3::/64", internal=True)
        assert await (await world.run("a", "app")).fetch(NEIGHBOUR, 80) == b"lan " + HOST.encode()
        assert await (await world.run("b", "plain")).fetch(NEIGHBOUR, 80) == b"lan fd00:2::2"
        closed = await world.run("c", "inside")
        assert closed.endpoints[0].gateway6 == ""

        def add_route() -> None:
            with Netlink() as here:
                here.run(netlink.set_default_route("fd00:3::1", netlink.index_of("eth0")))

        closed.inside(add_route)  # even with a route there is no way out
        assert await closed.refused(NEIGHBOUR, 80)
        forger = await world.run("d", "app")
        forger.inside(lambda: os.system("ip -6 addr add 2001:db8::77/128 dev eth0 nodad"))

        def send(source: str) -> None:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                sender.bind((source, 0))
                sender.sendto(source.encode(), (NEIGHBOUR, 5000))

        receiver = lan.inside(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        with receiver:
            receiver.bind((NEIGHBOUR, 5000))
            receiver.settimeout(3)
            await asyncio.to_thread(forger.inside, partial(send, "2001:db8::77"))
            await asyncio.to_thread(forger.inside, partial(send, "fd00:1::3"))
            assert await asyncio.to_thread(receiver.recv, 100) == b"fd00:1::3"  # the first never arrived

    play(story)


def test_router_advertisements_of_a_container_are_not_believed(play: Any) -> None:
    async def story(world: Any) -> None:
        network = await dual(world, "app", "fd00:1::/64")
        forger, victim = await world.run("forger", "app"), await world.run("victim", "app")

        def routes() -> list[tuple[str, str]]:
            with Netlink() as here:
                return sorted((str(route.destination), route.gateway) for route in here.routes(6))

        before = routes(), victim.inside(routes)
        # a router with lifetime 1800 s and a prefix 2001:db8:bad::/64 for autoconfiguration: RFC 4861 4.2, 4.6.2
        prefix = (
            bytes([3, 4, 64, 0xC0])
            + b"\0\0\x0e\x10" * 2
            + bytes(4)
            + socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
        )
        advertisement = bytes([134, 0, 0, 0, 64, 0]) + b"\x07\x08" + bytes(8) + prefix

        def forge() -> None:
            with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
                raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
                raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, netlink.index_of("eth0"))
                raw.sendto(advertisement, ("ff02::1", 0))

        await asyncio.to_thread(forger.inside, forge)
        assert await victim.refused("fd00:1::1", 9)  # a round trip later
        assert (routes(), victim.inside(routes)) == before
        assert network.bridge

    play(story)


def test_icc_false(play: Any) -> None:
    async def story(world: Any) -> None:
        await dual(world, "shy", "fd00:1::/64", options={"com.docker.network.bridge.enable_icc": "false"})
        web, client = await world.run("web", "shy"), await world.run("client", "shy")
        await serve6(web, 80, b"web")
        assert await client.refused("fd00:1::2", 80)
        assert await world.fetch("fd00:1::2", 80)

    play(story)


def test_a_network_without_ipv4(play: Any) -> None:
    async def story(world: Any) -> None:
        lan = lan6(world)
        await dual(world, "six", "fd00:6::/64", ipv4=False)
        web = await world.run("web", "six", ports=(WEB,))
        [end] = web.endpoints
        assert (end.ip, end.gateway, end.ip6) == ("", "", "fd00:6::2")
        assert [port.host_ip for port in end.ports] == ["::"]
        await serve6(web, 80, b"web")
        assert await lan.fetch(HOST, 8080) == b"web " + NEIGHBOUR.encode()
        assert (await world.fetch("::1", 8080)).startswith(b"web")

        def look() -> None:
            with Netlink() as here:
                assert [a.ip for a in here.addresses()] == ["127.0.0.1"]

        web.inside(look)

    play(story)


@pytest.mark.parametrize("mode", ["routed", "nat-unprotected"])
def test_gateway_modes(play: Any, mode: str) -> None:
    async def story(world: Any) -> None:
        lan = lan6(world)
        await serve6(lan, 80, b"lan")
        options = {f"com.docker.network.bridge.gateway_mode_ipv{version}": mode for version in (4, 6)}
        await dual(world, "app", "fd00:1::/64", options=options)
        await dual(world, "other", "fd00:2::/64")
        web = await world.run("web", "app", ports=(WEB,))
        await serve6(web, 80, b"web")
        await serve6(web, 81, b"unpublished")
        stranger = await world.run("stranger", "other")
        routed = mode == "routed"
        assert [port.host_port for port in web.endpoints[0].ports] == ([0, 0] if routed else [8080, 8080])
        for ip in ("fd00:1::2", web.ip):
            assert (await lan.fetch(ip, 80)).startswith(b"web")
            assert await stranger.refused(ip, 80) is not routed  # published ports are for other networks as well
        assert await lan.refused("fd00:1::2", 81) is routed  # not published
        assert await lan.refused(HOST, 8080) is routed
        assert await web.fetch(NEIGHBOUR, 80) == b"lan " + (b"fd00:1::2" if routed else HOST.encode())
        await world.end(web)
        assert "elements" not in world.elements("routed6")

    play(story)


def test_isolated_from_the_host(play: Any) -> None:
    async def story(world: Any) -> None:
        options = {f"com.docker.network.bridge.gateway_mode_ipv{version}": "isolated" for version in (4, 6)}
        network = await dual(world, "app", "fd00:1::/64", options=options, internal=True)
        web, client = await world.run("web", "app"), await world.run("client", "app")
        await serve6(web, 80, b"web")
        assert await client.fetch(web.ip, 80) and await client.fetch(web.endpoints[0].ip6, 80)
        with Netlink() as host:
            index = netlink.index_of(network.bridge)
            assert [a for version in (4, 6) for a in host.addresses(version) if a.index == index] == []

    play(story)


def test_an_endpoint_s_own_settings(play: Any) -> None:
    async def story(world: Any) -> None:
        await dual(world, "app", "fd00:1::/64")
        wish = {
            "sysctls": ("net.ipv4.conf.IFNAME.log_martians=1", "net.ipv6.conf.IFNAME.accept_ra=2"),
            "interface": "web0",
            "link_local": ("169.254.34.3", "fe80::beef"),
        }
        box = await world.run("web", "app", **wish)

        def look() -> list[str]:
            assert world.read("/proc/sys/net/ipv4/conf/web0/log_martians") == "1\n"
            assert world.read("/proc/sys/net/ipv6/conf/web0/accept_ra") == "2\n"
            with Netlink() as here:
                return [a.ip for version in (4, 6) for a in here.addresses(version)]

        assert {"169.254.34.3", "fe80::beef"} <= set(box.inside(look))
        before = world.links()
        for text, message in (
            ("net.ipv4.conf.IFNAME.nosuch=1", "/proc/sys/net/ipv4/conf/eth0/nosuch is not a sysctl file"),
            ("net.ipv4.conf.IFNAME.log_martians=x", "unable to write to '/proc/sys/net/ipv4/conf/eth0/log_martians'"),
        ):
            with pytest.raises(Exception, match=message):
                await world.run("bad", "app", sysctls=(text,))
        assert world.links() == before

    play(story)
