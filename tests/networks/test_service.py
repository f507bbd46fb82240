from __future__ import annotations

import asyncio
import os
import socket
import time
from functools import partial
from typing import Any

import pytest

from naru.errors import Conflict, Forbidden, Internal, InvalidArgument, NaruError, NotFound, Unsupported
from naru.linux import netns
from naru.linux.netlink import Netlink
from naru.linux.nft import Nft
from naru.networks.records import Endpoint, EndpointRequest, Pool, PortRequest

pytestmark = pytest.mark.root

WEB = PortRequest("tcp", 80, "", 8080)


def elements(where: str) -> str:
    with Nft() as nft:
        return nft.run(f"list set inet naru {where}" if where == "bridges" else f"list map inet naru {where}")


def links() -> dict[str, str]:
    with Netlink() as host:
        return {link.name: link.kind for link in host.links()}


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


# -- networks


def test_start_makes_the_predefined_networks_once(play: Any) -> None:
    async def story(world: Any) -> None:
        before = {network.name: network for network in world.networks.list({})}
        assert set(before) == {"bridge", "host", "none"}
        assert before["bridge"].pool == Pool("172.17.0.0/16", "172.17.0.1")
        assert before["bridge"].options["com.docker.network.bridge.name"] == "naru0"
        assert links()["naru0"] == "bridge"
        assert read("/proc/sys/net/ipv4/ip_forward") == "1\n"
        assert read("/proc/sys/net/ipv6/conf/naru0/accept_ra") == "0\n"
        await world.restart()
        assert {network.name: network for network in world.networks.list({})} == before

    play(story)


def test_create_list_remove(play: Any) -> None:
    async def story(world: Any) -> None:
        made = await world.networks.create("app", labels={"a": "1"})
        assert made.pool == Pool("172.18.0.0/16", "172.18.0.1")
        assert made.bridge == f"br-{made.id[:12]}" and links()[made.bridge] == "bridge"
        assert made.bridge in elements("bridges")
        for text in (made.id, "app", made.id[:6]):
            assert world.networks.resolve(text) == made
        assert world.networks.usage(made) == {"172.18.0.0/16": (3, 65533)}
        second = await world.networks.create("app2")
        assert second.pool.subnet == "172.19.0.0/16"
        await world.networks.remove("app")
        await world.networks.remove("app2")
        assert made.bridge not in links() and made.bridge not in elements("bridges")
        assert [action for action, _ in world.events()] == ["create", "create", "destroy", "destroy"]
        assert world.events()[0] == ("create", {"name": "app", "type": "bridge"})

    play(story)


REFUSED: list[tuple[dict[str, Any], type[NaruError], str]] = [
    ({"name": " "}, InvalidArgument, "invalid name: name is empty"),
    ({"name": "host"}, Forbidden, "operation is not permitted on predefined host network "),
    ({"name": "default"}, Forbidden, "operation is not permitted on predefined default network "),
    ({"name": "container:x"}, Forbidden, 'network name "container:x" is reserved and cannot be created'),
    ({"name": "there"}, Conflict, "network with name there already exists"),
    ({"driver": "host"}, Forbidden, 'only one instance of "host" network is allowed'),
    ({"driver": "nonsense"}, NotFound, 'plugin "nonsense" not found'),
    ({"driver": "macvlan"}, Unsupported, "network driver macvlan is not supported"),
    ({"ipam_driver": "null"}, InvalidArgument, "ipv4 pool is empty"),
    ({"ipam_driver": "nonsense"}, NotFound, 'plugin "nonsense" not found'),
    ({"ingress": True}, Forbidden, "Ingress network can only be global scope network"),
    ({"ipv4": False}, InvalidArgument, "IPv4 or IPv6 must be enabled"),
    (
        {"options": {"com.docker.network.bridge.enable_icc": "x"}},
        InvalidArgument,
        "failed to parse com.docker.network.bridge.enable_icc value: x "
        '(strconv.ParseBool: parsing "x": invalid syntax)',
    ),
    (
        {"options": {"com.docker.network.driver.mtu": "x"}},
        InvalidArgument,
        'failed to parse com.docker.network.driver.mtu value: x (strconv.Atoi: parsing "x": invalid syntax)',
    ),
    (
        {"options": {"com.docker.network.bridge.gateway_mode_ipv4": "x"}},
        InvalidArgument,
        "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: x (unknown gateway mode x)",
    ),
    ({"options": {"com.docker.network.bridge.name": "x" * 16}}, InvalidArgument, "numerical result out of range"),
    ({"options": {"com.docker.network.bridge.name": "../x"}}, InvalidArgument, "invalid interface name ../x"),
    ({"options": {"com.docker.network.bridge.name": "naru0"}}, Forbidden, "interface naru0 already exists"),
    (
        {"pools": [Pool("172.18.0.128/25")]},
        Forbidden,
        "invalid pool request: Pool overlaps with other one on this address space",
    ),
    ({"options": {"com.docker.network.driver.mtu": "9"}}, Internal, None),
]  # fmt: skip


def test_create_refuses_and_leaves_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("there")
        before, names = links(), [network.name for network in world.networks.list({})]
        for wish, kind, message in REFUSED:
            with pytest.raises(kind) as caught:
                await world.networks.create(**{"name": "x", **wish})
            assert message is None or str(caught.value) == message
            assert (links(), [network.name for network in world.networks.list({})]) == (before, names)

    play(story)


def test_remove_refuses(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("app")
        box = await world.run("web", "app")
        for text, kind, message in (
            ("bridge", Forbidden, "bridge is a pre-defined network and cannot be removed"),
            ("none", Forbidden, "none is a pre-defined network and cannot be removed"),
            ("nope", NotFound, "network nope not found"),
            ("", InvalidArgument, 'invalid name or ID supplied: ""'),
            (
                "app",
                Forbidden,
                "error while removing network: network app has active endpoints "
                f'(name:"web" id:"{box.endpoints[0].endpoint_id[:12]}")',
            ),
        ):
            with pytest.raises(kind) as caught:
                await world.networks.remove(text)
            assert str(caught.value) == message
        await world.end(box)
        await world.networks.remove("app")

    play(story)


def test_filters_and_prune(play: Any) -> None:
    async def story(world: Any) -> None:
        app = await world.networks.create("app-one", labels={"k": "v"})
        await world.networks.create("two")

        def names(**filters: list[str]) -> list[str]:
            return sorted(network.name for network in world.networks.list(filters))

        assert names(name=["app"]) == names(name=["^app-one$"]) == ["app-one"]
        assert names(id=[app.id[:6]]) == names(label=["k"]) == names(label=["k=v"]) == ["app-one"]
        assert names(label=["k=x"]) == names(scope=["swarm"]) == []
        assert names(driver=["null"]) == ["none"]
        assert names(type=["builtin"]) == ["bridge", "host", "none"]
        await world.run("web", "two")
        assert names(dangling=["true"]) == ["app-one"]
        assert names(dangling=["0"], type=["custom"]) == ["two"]
        for filters, message in (
            ({"nonsense": ["1"]}, "invalid filter 'nonsense'"),
            ({"type": ["x"]}, "invalid value for filter 'type': must be 'builtin' or 'custom'"),
            (
                {"dangling": ["x"]},
                'invalid value for filter \'dangling\': must be "true" (or "1"), or "false" (or "0")',
            ),
        ):
            with pytest.raises(InvalidArgument) as caught:
                world.networks.list(filters)
            assert str(caught.value) == message
        assert await world.networks.prune({"label!": ["k"]}) == []
        assert await world.networks.prune({}, created_before_ns=app.created_ns) == []
        assert await world.networks.prune({}) == ["app-one"]
        assert world.events()[-1] == ("prune", {"reclaimed": "0"})

    play(story)


# -- endpoints


def test_attach_and_detach_leave_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        before = links()
        for _ in range(100):
            box = await world.run("web", ports=(WEB, PortRequest("udp", 53)))
            assert box.ip == "172.17.0.2" and box.endpoints[0].mac == "02:42:ac:11:00:02"
            await world.end(box)
        assert world.db.rows("SELECT * FROM endpoint") == []
        assert "elements" not in elements("published")
        await world.until(lambda: links() == before)  # the kernel removes interfaces of dead namespaces a little later
        assert len(os.listdir("/proc/self/fd")) < 60

    play(story)


def test_endpoint_says_what_the_container_has(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("app", pools=[Pool("10.9.8.0/24")])
        box = await world.run("web", "app", aliases=("www",), ip="10.9.8.7", ports=(WEB,))
        [end] = box.endpoints
        assert (end.interface, end.ip, end.prefix, end.gateway) == ("eth0", "10.9.8.7", 24, "10.9.8.1")
        assert end.dns_names == ("web", "www", box.member.id[:12])
        assert [(port.host_ip, port.host_port) for port in end.ports] == [("0.0.0.0", 8080)]
        assert world.networks.endpoints_of(box.member.id) == [end]

        def look() -> None:
            with Netlink() as here:
                assert [(a.ip, a.prefix) for a in here.addresses()] == [("127.0.0.1", 8), ("10.9.8.7", 24)]
                assert next((str(r.destination), r.gateway) for r in here.routes()) == ("0.0.0.0/0", "10.9.8.1")
                assert here.link("eth0").mac == end.mac  # type: ignore[union-attr]
            assert read("/proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "1\n"

        box.inside(look)
        assert world.events()[-1] == ("connect", {"container": box.member.id, "name": "app", "type": "bridge"})

    play(story)


def test_host_and_none_have_endpoints_without_interface(play: Any) -> None:
    async def story(world: Any) -> None:
        for name in ("host", "none"):
            box = await world.run("web", name, ports=(WEB,))
            [end] = box.endpoints
            assert (end.network_name, end.interface, end.ip, end.ports) == (name, "", "", ())
            await world.end(box)
        with pytest.raises(InvalidArgument, match="conflicting options"):
            await world.run("web", "host", "bridge")

    play(story)


def test_attach_that_fails_leaves_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("app", pools=[Pool("10.9.8.0/29")])
        first = await world.run("one", "app", ip="10.9.8.5", ports=(WEB,))
        before, rows = links(), world.db.rows("SELECT * FROM endpoint")
        with socket.create_server(("0.0.0.0", 9090)):
            for wish, kind, message in (
                ({"networks": ["app"], "ip": "10.9.8.5"}, Forbidden, "Address already in use"),
                ({"networks": ["app"], "ip": "10.9.8.1"}, Forbidden, "Address already in use"),
                ({"networks": ["app"], "ip": "10.1.1.1"}, InvalidArgument,
                 "invalid endpoint settings:\nno configured subnet contains IP address 10.1.1.1"),
                ({"networks": ["bridge"], "ip": "172.17.0.9"}, InvalidArgument,
                 "invalid endpoint settings:\nuser-specified IP address is supported on user-defined networks only"),
                ({"networks": ["bridge"], "aliases": ("x",)}, InvalidArgument,
                 "invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks"),
                ({"networks": ["app", "nope"]}, NotFound, "network nope not found"),
                ({"networks": ["app"], "ports": (PortRequest("tcp", 81, "", 7070), WEB)}, Conflict,
                 "Bind for 0.0.0.0:8080 failed: port is already allocated"),
                ({"networks": ["app"], "ports": (PortRequest("tcp", 81, "127.0.0.1", 8080),)}, Conflict,
                 "Bind for 127.0.0.1:8080 failed: port is already allocated"),
                ({"networks": ["app"], "ports": (PortRequest("tcp", 81, "", 9090),)}, Conflict,
                 "Bind for 0.0.0.0:9090 failed: port is already allocated"),
                ({"networks": ["app"], "ports": (PortRequest("tcp", 81, "10.77.0.1", 80),)}, Conflict,
                 "failed to bind host port 10.77.0.1:80/tcp: cannot assign requested address"),
                ({"networks": ["app"], "ports": (PortRequest("xxx", 81),)}, InvalidArgument, "unknown protocol"),
            ):  # fmt: skip
                networks = wish.pop("networks")
                with pytest.raises(kind) as caught:
                    await world.run("two", *networks, **wish)
                assert str(caught.value).endswith(message)
                if kind is Conflict:
                    prefix = "driver failed programming external connectivity on endpoint two ("
                    assert str(caught.value).startswith(prefix)
                assert (links(), world.db.rows("SELECT * FROM endpoint")) == (before, rows)
        box = world.box("broken")
        os.dup2(os.open("/dev/null", os.O_RDONLY), box.fd)
        with pytest.raises(Internal):
            await world.networks.attach(box.member, box.fd, [EndpointRequest("app")], [PortRequest("tcp", 1, "", 7070)])
        assert (links(), world.db.rows("SELECT * FROM endpoint")) == (before, rows)
        await world.end(first)
        await world.run("two", "app", ip="10.9.8.5", ports=(WEB, PortRequest("tcp", 81, "", 7070)))

    play(story)


def test_a_small_network_is_used_up_and_free_again(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("tiny", pools=[Pool("10.9.8.0/29")])
        boxes = [await world.run(f"c{number}", "tiny") for number in range(5)]
        assert [box.ip for box in boxes] == [f"10.9.8.{number}" for number in range(2, 7)]
        with pytest.raises(NaruError, match="no available IPv4 addresses"):
            await world.run("one-too-many", "tiny")
        await world.end(boxes[2])
        assert (await world.run("again", "tiny")).ip == "10.9.8.4"

    play(story)


def test_ports_at_random_and_from_ranges(play: Any) -> None:
    async def story(world: Any) -> None:
        box = await world.run(
            "web", ports=(PortRequest("tcp", 80), PortRequest("udp", 80), PortRequest("tcp", 81, "", 7000, 7002))
        )
        [tcp, udp, ranged] = box.endpoints[0].ports
        assert tcp.host_port >= 32768 and udp.host_port >= 32768 and ranged.host_port == 7000
        other = await world.run("web2", ports=(PortRequest("tcp", 81, "", 7000, 7002),))
        assert other.endpoints[0].ports[0].host_port == 7001
        await world.end(box)
        await world.run("web3", ports=(PortRequest("tcp", 81, "", tcp.host_port),))

    play(story)


async def two(world: Any) -> tuple[Any, Any]:
    await world.networks.create("alpha")
    await world.networks.create("beta")
    web = await world.run("web", "alpha", ports=(WEB,))
    await web.serve(80, b"web")
    return web, await world.run("client", "beta")


def test_connect_and_disconnect(play: Any) -> None:
    async def story(world: Any) -> None:
        web, client = await two(world)
        assert await client.refused(web.ip, 80)
        end = await world.networks.connect(client.member, client.fd, EndpointRequest("alpha", aliases=("x",)))
        assert (end.interface, end.ip) == ("eth1", "172.18.0.3")
        assert await client.fetch(web.ip, 80) == b"web 172.18.0.3"
        for text, kind, message in (
            ("alpha", Forbidden, "endpoint with name client already exists in network alpha"),
            ("host", InvalidArgument, "cannot connect container to host network - container must be created in host network mode"),
            ("none", InvalidArgument,
             "container cannot be connected to multiple networks with one of the networks in private (none) mode"),
        ):  # fmt: skip
            with pytest.raises(kind) as caught:
                await world.networks.connect(client.member, client.fd, EndpointRequest(text))
            assert str(caught.value) == message
        await world.networks.disconnect(client.member.id, "alpha", client.fd)
        assert await client.refused(web.ip, 80)
        with pytest.raises(Internal) as error:
            await world.networks.disconnect(client.member.id, "alpha", client.fd)
        assert str(error.value) == f"container {client.member.id} is not connected to network alpha"
        assert [action for action, _ in world.events()][-2:] == ["connect", "disconnect"]

    play(story)


def primary(ends: list[Endpoint]) -> list[tuple[str, list[int]]]:
    return [(end.network_name, [port.host_port for port in end.ports]) for end in ends if end.primary]


def test_ports_and_default_route_move_with_the_gateway(play: Any) -> None:
    async def story(world: Any) -> None:
        web, _ = await two(world)

        def gateway() -> str:
            with Netlink() as here:
                return next(route.gateway for route in here.routes() if route.destination.prefixlen == 0)

        of = lambda: primary(world.networks.endpoints_of(web.member.id))  # noqa: E731
        assert of() == [("alpha", [8080])] and web.inside(gateway) == "172.18.0.1"
        await world.networks.connect(web.member, web.fd, EndpointRequest("beta"))
        assert of() == [("alpha", [8080])]
        await world.networks.connect(web.member, web.fd, EndpointRequest("bridge", gateway_priority=5))
        assert of() == [("bridge", [8080])] and web.inside(gateway) == "172.17.0.1"
        assert (await world.fetch("127.0.0.1", 8080)).startswith(b"web")
        await world.networks.disconnect(web.member.id, "bridge", web.fd)
        assert of() == [("alpha", [8080])] and web.inside(gateway) == "172.18.0.1"
        await world.networks.disconnect(web.member.id, "alpha", web.fd)
        assert of() == [("beta", [8080])] and web.inside(gateway) == "172.19.0.1"
        assert (await world.fetch("127.0.0.1", 8080)).startswith(b"web")
        await world.networks.disconnect(web.member.id, "beta", web.fd)
        assert of() == [] and "8080" not in elements("published")
        socket.create_server(("0.0.0.0", 8080)).close()

    play(story)


# -- traffic


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


# -- the daemon comes and goes


def test_rules_outlive_the_daemon_and_ports_are_taken_up_again(play: Any) -> None:
    async def story(world: Any) -> None:
        web = await world.run("web", ports=(WEB,))
        await web.serve(80, b"web")
        world.networks.close()
        assert await world.fetch("127.0.0.1", 8080)
        world.networks = world.daemon()
        await world.networks.start()
        assert await world.fetch("127.0.0.1", 8080)
        assert await world.networks.restore(web.member, web.fd) == web.endpoints
        with pytest.raises(Conflict, match="port is already allocated"):
            await world.run("other", ports=(WEB,))
        assert (await world.run("third")).ip == "172.17.0.3"
        await world.end(web)
        await world.run("other", ports=(WEB,))

    play(story)


def test_a_flushed_ruleset_is_put_back(play: Any) -> None:
    async def story(world: Any) -> None:
        web = await world.run("web", ports=(WEB,))
        await web.serve(80, b"web")
        with Nft() as nft:
            nft.run("flush ruleset")
        await world.until(lambda: "172.17.0.2" in elements_or_nothing())
        assert await world.fetch("127.0.0.1", 8080)
        with Nft() as nft:
            nft.run("flush ruleset")
        await world.run("second", ports=(PortRequest("tcp", 80, "", 8088),))  # before the daemon was told
        assert "8088" in elements("published") and "8080" in elements("published")

    play(story)


def elements_or_nothing() -> str:
    try:
        return elements("published")
    except OSError:
        return ""


def test_attach_is_quick(play: Any) -> None:
    async def story(world: Any) -> None:
        taken = []
        for _ in range(30):
            box = world.box("web")
            start = time.perf_counter()
            box.endpoints = await world.networks.attach(
                box.member, box.fd, [EndpointRequest("bridge")], [PortRequest("tcp", 80)]
            )
            taken.append(time.perf_counter() - start)
        print(f"attach: median {sorted(taken)[15] * 1000:.2f} ms, best {min(taken) * 1000:.2f} ms")
        assert min(taken) < 0.006  # 2.2 to 2.7 on a quiet machine; this catches a veth moved or deleted (16 ms)

    play(story)
