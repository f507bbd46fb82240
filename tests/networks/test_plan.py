from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from naru.errors import Forbidden, Internal, InvalidArgument, NaruError, Unavailable
from naru.networks import plan
from naru.networks.records import Endpoint, EndpointRequest, Member, Network, Pool, PortBinding

MEMBER = Member("c" * 64, "web", "host")
DUAL = Network(
    "1" * 64, "dual", "bridge", 1, (Pool("10.77.0.0/24", "10.77.0.1"), Pool("fd00:77::/64", "fd00:77::1")), "br-dual", ipv6=True
)  # fmt: skip
PLAIN = Network("2" * 64, "plain", "bridge", 2, (Pool("10.78.0.0/24", "10.78.0.1"),), "br-plain")
DEFAULT = Network("3" * 64, "bridge", "bridge", 3, (Pool("172.17.0.0/16", "172.17.0.1"),), "naru0")
SIX = replace(DUAL, id="4" * 64, name="six", ipv4=False, pools=(Pool("fd00:6::/64", "fd00:6::1"),))
MACVLAN = Network("5" * 64, "lan", "macvlan", 5, (Pool("10.79.0.0/24"),))
ISOLATED = replace(
    DUAL, internal=True, pools=(Pool("10.77.0.0/24"), Pool("fd00:77::/64")),
    options={"com.docker.network.bridge.gateway_mode_ipv4": "isolated", "com.docker.network.bridge.gateway_mode_ipv6": "isolated"},
)  # fmt: skip
NETWORKS = {network.id: network for network in (DUAL, PLAIN, DEFAULT, SIX, MACVLAN)}


def ask(network: Network, **wish: object) -> tuple[EndpointRequest, Network]:
    return EndpointRequest(network.name, **wish), network  # type: ignore[arg-type]


def make(
    *wishes: tuple[EndpointRequest, Network], held: tuple[Endpoint, ...] = (), used: tuple[str, ...] = ()
) -> list[Endpoint]:
    ids = count(len(held))
    made = plan.endpoints(MEMBER, wishes, held, lambda _: used, lambda: f"{next(ids):064x}")
    return [end for end, _ in made]


@pytest.mark.parametrize(
    ("network", "wish", "lines"),
    [
        (PLAIN, {"ip6": "fd00:77::33"}, ["no configured subnet contains IP address fd00:77::33"]),
        (DUAL, {"ip": "10.78.0.3"}, ["no configured subnet contains IP address 10.78.0.3"]),
        (DUAL, {"ip6": "10.77.0.3"}, ["* invalid IPv6 address: 10.77.0.3", "* no configured subnet contains IP address 10.77.0.3"]),
        (DUAL, {"ip": "fd00:77::3"}, ["* invalid IPv4 address: fd00:77::3", "* no configured subnet contains IP address fd00:77::3"]),
        (DUAL, {"ip6": "::"}, ["* invalid IPv6 address: ::", "* no configured subnet contains IP address ::"]),
        (DEFAULT, {"ip6": "fd00::1"}, ["user-specified IP address is supported on user-defined networks only"]),
        *((DUAL, {"sysctls": (text,)},
            [f"unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', "
             "'X' must be 'ipv4', 'ipv6' or 'mpls'"])
          for text in ("foo", "kernel.IFNAME=1", "net.ipv4.conf.eth0.log_martians=1", "net.ipv4.IFNAME.x=1", "net.ipv4.conf.IFNAME.../x=1")),
    ],
)  # fmt: skip
def test_what_a_network_cannot_honour(network: Network, wish: dict[str, object], lines: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        plan.check(network, ask(network, **wish)[0])
    assert str(caught.value).split("\n") == ["invalid endpoint settings:", *lines]


def test_an_endpoint_of_both_families() -> None:
    [end] = make(ask(DUAL))
    assert (end.ip, end.prefix, end.gateway) == ("10.77.0.2", 24, "10.77.0.1")
    assert (end.ip6, end.prefix6, end.gateway6) == ("fd00:77::2", 64, "fd00:77::1")
    assert (end.interface, end.mac, end.dns_names) == ("eth0", "02:42:0a:4d:00:02", ("web", "c" * 12, "host"))
    [wished] = make(ask(DUAL, ip="10.77.0.9", ip6="FD00:77:0::9", mac="02:42:aa:bb:cc:dd"))
    assert (wished.ip, wished.ip6, wished.mac) == ("10.77.0.9", "fd00:77::9", "02:42:aa:bb:cc:dd")


def test_an_endpoint_of_ipv6_alone() -> None:
    [end] = make(ask(SIX), used=("fd00:6::2",))
    assert (end.ip, end.prefix, end.gateway) == ("", 0, "")
    assert (end.ip6, end.gateway6) == ("fd00:6::3", "fd00:6::1")
    assert end.mac.startswith("02:42:")


def test_endpoints_without_a_gateway() -> None:
    for network in (ISOLATED, MACVLAN, replace(DUAL, internal=True)):
        [end] = make(ask(network))
        assert (end.gateway, end.gateway6) == ("", "")
    assert make(ask(ISOLATED))[0].ip == "10.77.0.1"  # the host has none there


@pytest.mark.parametrize(
    ("wish", "kind", "message"),
    [
        ({"ip6": "fd00:77::1"}, Forbidden, "Address already in use"),
        ({"ip6": "fd00:77::"}, Forbidden, "Address already in use"),
        ({"ip6": "fd00:77::44"}, Forbidden, "Address already in use"),
        ({"link_local": ("10.0.0.1",)}, InvalidArgument, "invalid link local IP address: 10.0.0.1"),
        ({"mac": "01:00:00:00:00:01"}, Internal, 'failed to add interface veth0000000 to sandbox: error setting interface "veth0000000" MAC to "01:00:00:00:00:01": cannot assign requested address'),
        ({"mac": "00:00:00:00:00:00"}, Internal, 'failed to add interface veth0000000 to sandbox: error setting interface "veth0000000" MAC to "00:00:00:00:00:00": cannot assign requested address'),
        ({"interface": "a/b"}, Internal, 'failed to add interface veth0000000 to sandbox: error renaming interface "veth0000000" to "a/b": invalid argument'),
        ({"interface": "averyveryverylongname"}, Internal, 'failed to add interface veth0000000 to sandbox: error renaming interface "veth0000000" to "averyveryverylongname": numerical result out of range'),
        ({"interface": "lo"}, Internal, 'failed to add interface veth0000000 to sandbox: error renaming interface "veth0000000" to "lo": file exists'),
    ],
)  # fmt: skip
def test_what_cannot_be_had(wish: dict[str, object], kind: type[NaruError], message: str) -> None:
    with pytest.raises(kind) as caught:
        make(ask(DUAL, **wish), used=("fd00:77::44",))
    assert str(caught.value) == message


def test_addresses_run_out() -> None:
    small = replace(DUAL, pools=(Pool("10.77.0.0/24", "10.77.0.1"), Pool("fd00:77::/127", "fd00:77::1")))
    with pytest.raises(Unavailable) as caught:
        make(ask(small))
    assert str(caught.value) == f"no available IPv6 addresses on this network's address pools: dual ({'1' * 64})"


def test_interface_names() -> None:
    web = replace(PLAIN, options={"com.docker.network.container_iface_prefix": "web"})
    assert [end.interface for end in make(ask(web), ask(DUAL))] == ["web0", "eth0"]
    assert [end.interface for end in make(ask(PLAIN, interface="eth1"), ask(DUAL))] == ["eth1", "eth0"]
    held = tuple(make(ask(PLAIN, interface="zz"), ask(DUAL)))
    [third] = make(ask(SIX), held=held)
    assert (third.interface, third.number, [end.number for end in held]) == ("eth1", 2, [0, 1])


@pytest.mark.parametrize(
    ("wishes", "primary", "primary6"),
    [
        ([ask(DUAL)], "dual", "dual"),
        ([ask(PLAIN)], "plain", None),
        ([ask(SIX)], None, "six"),
        ([ask(PLAIN), ask(DEFAULT)], "bridge", None),  # by name
        ([ask(DEFAULT), ask(DUAL)], "dual", "dual"),  # both families come first
        ([ask(PLAIN, gateway_priority=5), ask(DUAL)], "plain", "dual"),
        ([ask(PLAIN), ask(SIX)], "plain", "six"),
        ([ask(MACVLAN)], None, None),
    ],
)
def test_election(wishes: list[tuple[EndpointRequest, Network]], primary: str | None, primary6: str | None) -> None:
    ends = plan.elect(make(*wishes))
    names = [end.network_name if end else None for end in (plan.primary(ends), plan.primary6(ends))]
    assert names == [primary, primary6]


FOUR, SIXTH, GONE = (
    PortBinding("tcp", 80, "0.0.0.0", 8080),
    PortBinding("tcp", 80, "::", 8080),
    PortBinding("tcp", 80, "::", 0),
)


@pytest.mark.parametrize(
    ("wishes", "ports", "lost"),
    [
        ([ask(DUAL)], {"dual": (FOUR, SIXTH)}, [GONE]),
        ([ask(PLAIN)], {"plain": (FOUR, SIXTH)}, [GONE]),  # relayed
        ([ask(PLAIN, gateway_priority=1), ask(DUAL)], {"plain": (FOUR,), "dual": (SIXTH,)}, [GONE]),
        ([ask(SIX)], {"six": (SIXTH,)}, [FOUR, GONE]),
        ([ask(MACVLAN)], {"lan": ()}, [FOUR, SIXTH, GONE]),
    ],
)
def test_ports_follow_the_gateways(
    wishes: list[tuple[EndpointRequest, Network]],
    ports: dict[str, tuple[PortBinding, ...]],
    lost: list[PortBinding],
) -> None:
    ends, left = plan.distribute([FOUR, SIXTH, GONE], plan.elect(make(*wishes)), NETWORKS.__getitem__)
    assert ({end.network_name: end.ports for end in ends}, left) == (ports, lost)


def test_what_is_relayed() -> None:
    own = PortBinding("tcp", 80, "2001:db8::1", 8080)
    [dual], [plain] = make(ask(DUAL)), make(ask(PLAIN))
    assert plan.relayed(replace(dual, ports=(FOUR, SIXTH, own, GONE))) == [SIXTH]  # for the host's ::1
    assert plan.relayed(replace(plain, ports=(FOUR, SIXTH, own))) == [SIXTH, own]


def test_sysctls_are_of_one_interface() -> None:
    assert plan.sysctl("net.ipv4.conf.ifname.log_martians=1", "eth0") == ("ipv4/conf/eth0/log_martians", "1")
