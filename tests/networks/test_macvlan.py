"""Containers directly on a network of the host's: macvlan, on a LAN that is a bridge."""

from __future__ import annotations

import os
from typing import Any

import pytest

from naru.errors import Internal
from naru.linux import netlink, netns
from naru.linux.netlink import Netlink
from naru.networks.records import EndpointRequest, Pool, PortRequest

pytestmark = pytest.mark.root


async def lan_network(world: Any, **wish: Any) -> tuple[Any, Any]:
    lan = world.lan()
    await lan.serve(80, b"lan")
    options = {"parent": "lan0", "macvlan_mode": "bridge"}
    pools = [Pool("10.55.0.0/24", wish.pop("gateway", ""), "10.55.0.128/25")]
    return lan, await world.networks.create("lan", driver="macvlan", options=options, pools=pools, **wish)


def test_containers_are_on_the_lan(play: Any) -> None:
    async def story(world: Any) -> None:
        lan, network = await lan_network(world)
        assert network.pool4.gateway == "" and "lan0" in world.links()
        web = await world.run("web", "lan", ports=(PortRequest("tcp", 80, "", 8080),))
        [end] = web.endpoints
        assert (end.interface, end.ip, end.gateway, end.ports) == ("eth0", "10.55.0.128", "", ())
        await web.serve(80, b"web")
        assert await web.fetch("10.55.0.2", 80) == b"lan 10.55.0.128"  # no NAT
        assert await lan.fetch("10.55.0.128", 80) == b"web 10.55.0.2"  # no firewall
        client = await world.run("client", "lan")
        assert await client.fetch(web.ip, 80) == b"web 10.55.0.129"
        await world.restart()
        await world.networks.restore(web.member, web.fd)
        await world.end(web)
        await world.end(client)
        await world.networks.remove("lan")
        assert "lan0" in world.links()  # the parent is the host's

    play(story)


def test_a_gateway_of_the_lan_and_a_second_network(play: Any) -> None:
    async def story(world: Any) -> None:
        await lan_network(world, gateway="10.55.0.1")
        box = await world.run("web", "bridge")
        await world.networks.connect(box.member, box.fd, EndpointRequest("lan", gateway_priority=1))

        def gateway() -> list[str]:
            with Netlink() as here:
                return [route.gateway for route in here.routes() if not route.destination.prefixlen]

        assert box.inside(gateway) == ["10.55.0.1"]
        await world.networks.disconnect(box.member.id, "lan", box.fd)
        assert box.inside(gateway) == ["172.17.0.1"]

        def names() -> set[str]:
            with Netlink() as here:
                return {link.name for link in here.links()}

        assert box.inside(names) == {"lo", "eth0"}

    play(story)


def test_attach_that_fails_leaves_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        await lan_network(world)
        box = world.box("web")
        with pytest.raises(Internal, match="is not a sysctl file"):
            await world.networks.attach(
                box.member, box.fd, [EndpointRequest("lan", sysctls=("net.ipv4.conf.IFNAME.nosuch=1",))]
            )
        assert world.networks.endpoints_of(box.member.id) == []

        def names() -> set[str]:
            with Netlink() as here:
                return {link.name for link in here.links()}

        assert box.inside(names) == {"lo"}

    play(story)


def test_ipvlan_or_the_kernel_s_own_word(play: Any) -> None:
    """Some kernels have no ipvlan: then the start says so, and leaves nothing."""

    async def story(world: Any) -> None:
        world.lan()
        await world.networks.create(
            "lan", driver="ipvlan", options={"parent": "lan0", "ipvlan_mode": "l3"}, pools=[Pool("10.66.0.0/24")]
        )
        box = world.box("web")
        if not _has_ipvlan():
            with pytest.raises(Internal, match="Operation not supported"):
                await world.networks.attach(box.member, box.fd, [EndpointRequest("lan")])
            assert world.networks.endpoints_of(box.member.id) == []
            return
        await world.networks.attach(box.member, box.fd, [EndpointRequest("lan")])

        def default() -> list[str]:
            with Netlink() as here:
                return [route.gateway for route in here.routes() if not route.destination.prefixlen]

        assert box.inside(default) == [""]

    play(story)


def _has_ipvlan() -> bool:
    fd = netns.create()

    def probe() -> bool:
        with Netlink() as here:
            here.run(netlink.add_bridge("br0", mac="02:00:00:00:00:09"))
            parent = netlink.index_of("br0")
            try:
                here.run(netlink.add_child("x", kind="ipvlan", parent=parent, mode=0, netns=fd))
            except OSError:
                return False
        return True

    try:
        return netns.inside(fd, probe)
    finally:
        os.close(fd)
