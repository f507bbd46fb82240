from __future__ import annotations

import pytest

from naru.errors import Internal, InvalidArgument, NaruError
from naru.networks import options

BRIDGE = "com.docker.network.bridge."


@pytest.mark.parametrize(
    ("driver", "given", "kind", "message"),
    [
        ("bridge", {BRIDGE + "inhibit_ipv4": "x"}, InvalidArgument, f'failed to parse {BRIDGE}inhibit_ipv4 value: x (strconv.ParseBool: parsing "x": invalid syntax)'),
        ("bridge", {BRIDGE + "host_binding_ipv4": ""}, InvalidArgument, f"failed to parse {BRIDGE}host_binding_ipv4 value:  (nil ip)"),
        ("bridge", {"com.docker.network.host_ipv4": "x"}, InvalidArgument, "failed to parse com.docker.network.host_ipv4 value: x (nil ip)"),
        ("bridge", {BRIDGE + "gateway_mode_ipv6": "foo"}, InvalidArgument, f"failed to parse {BRIDGE}gateway_mode_ipv6 value: foo (unknown gateway mode foo)"),
        ("bridge", {BRIDGE + "gateway_mode_ipv6": "isolated"}, InvalidArgument, "gateway mode 'isolated' can only be used for an internal network"),
        ("bridge", {"com.docker.network.driver.mtu": "-4"}, InvalidArgument, "invalid MTU number: -4"),
        ("bridge", {"com.docker.network.driver.mtu": "70000"}, Internal, "invalid argument"),
        ("macvlan", {"macvlan_mode": "foo"}, Internal, "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default"),
        ("ipvlan", {"ipvlan_mode": "l7"}, Internal, "requested ipvlan mode 'l7' is not valid, 'l2' mode is the ipvlan driver default"),
        ("ipvlan", {"ipvlan_flag": "x"}, Internal, "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default"),
    ],
)  # fmt: skip
def test_refused_in_docker_s_words(driver: str, given: dict[str, str], kind: type[NaruError], message: str) -> None:
    with pytest.raises(kind) as caught:
        options.check(driver, given, internal=False)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("driver", "given"),
    [
        ("bridge", {"foo": "bar"}),  # kept, and means nothing
        ("bridge", {BRIDGE + "host_binding_ipv4": "::1", BRIDGE + "gateway_mode_ipv4": "routed"}),
        ("bridge", {BRIDGE + "gateway_mode_ipv4": "isolated"}),
        ("macvlan", {"parent": "eth0", "macvlan_mode": "private", BRIDGE + "gateway_mode_ipv4": "x"}),
        ("ipvlan", {"ipvlan_mode": "l3s", "ipvlan_flag": "vepa"}),
    ],
)
def test_accepted(driver: str, given: dict[str, str]) -> None:
    options.check(driver, given, internal=True)
