from __future__ import annotations

from typing import Any

import pytest

from naru.errors import Conflict, Forbidden, Internal, InvalidArgument, NaruError, NotFound
from naru.networks.records import Pool, PortRequest

pytestmark = pytest.mark.root

WEB = PortRequest("tcp", 80, "", 8080)


def test_start_makes_the_predefined_networks_once(play: Any) -> None:
    async def story(world: Any) -> None:
        before = {network.name: network for network in world.networks.list({})}
        assert set(before) == {"bridge", "host", "none"}
        assert before["bridge"].pools[0] == Pool("172.17.0.0/16", "172.17.0.1")
        assert before["bridge"].options["com.docker.network.bridge.name"] == "naru0"
        assert world.links()["naru0"] == "bridge"
        assert world.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
        assert world.read("/proc/sys/net/ipv6/conf/naru0/accept_ra") == "0\n"
        await world.restart()
        assert {network.name: network for network in world.networks.list({})} == before

    play(story)


def test_create_list_remove(play: Any) -> None:
    async def story(world: Any) -> None:
        made = await world.networks.create("app", labels={"a": "1"})
        assert made.pools[0] == Pool("172.18.0.0/16", "172.18.0.1")
        assert made.bridge == f"br-{made.id[:12]}" and world.links()[made.bridge] == "bridge"
        assert made.bridge in world.elements("bridges")
        for text in (made.id, "app", made.id[:6]):
            assert world.networks.resolve(text) == made
        assert world.networks.usage(made) == {"172.18.0.0/16": (3, 65533)}
        second = await world.networks.create("app2")
        assert second.pools[0].subnet == "172.19.0.0/16"
        await world.networks.remove("app")
        await world.networks.remove("app2")
        assert made.bridge not in world.links() and made.bridge not in world.elements("bridges")
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
    (
        {"driver": "macvlan", "options": {"parent": "lo"}},
        Internal,
        "loopback interface is not a valid macvlan parent link",
    ),
    (
        {"driver": "ipvlan", "options": {"parent": "nosuch0"}},
        Internal,
        "invalid subinterface vlan name nosuch0, example formatting is eth0.10",
    ),
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
    ({"options": {"com.docker.network.bridge.name": "x" * 16}}, Internal, "numerical result out of range"),
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
        before, names = world.links(), [network.name for network in world.networks.list({})]
        for wish, kind, message in REFUSED:
            with pytest.raises(kind) as caught:
                await world.networks.create(**{"name": "x", **wish})
            assert message is None or str(caught.value) == message
            assert (world.links(), [network.name for network in world.networks.list({})]) == (before, names)

    play(story)


def test_settings_for_others(play: Any) -> None:
    async def story(world: Any) -> None:
        create = world.networks.create
        settings = {
            "pools": [Pool("10.9.8.0/24")],
            "options": {"com.docker.network.driver.mtu": "1400"},
            "labels": {"a": "b"},
        }
        before = world.links()
        config = await create("settings", config_only=True, **settings)
        assert (config.driver, config.bridge, world.networks.usage(config), world.links()) == ("null", "", {}, before)
        made = await create("app", config_from="settings")
        assert (made.pools, made.mtu, made.labels, made.config_from) == (
            (Pool("10.9.8.0/24", "10.9.8.1"),), 1400, {"a": "b"}, "settings",
        )  # fmt: skip
        for work, kind, message in (
            (create("x", config_from="app"), NotFound, 'configuration network "app" does not exist'),
            (create("x", config_from="settings", labels={"x": "y"}), Forbidden,
             "user-specified configurations are not supported if the network depends on a configuration network"),
            (world.networks.remove("settings"), Forbidden,
             'error while removing network: configuration network "settings" is in use'),
            (world.run("web", "settings"), Forbidden, "cannot create endpoint on configuration-only network"),
        ):  # fmt: skip
            with pytest.raises(kind) as caught:
                await work
            assert str(caught.value) == message
        await world.restart()
        assert world.networks.resolve("settings") == config
        await world.networks.remove("app")
        await world.networks.remove("settings")

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
