from __future__ import annotations

from dataclasses import replace

from naru.networks.records import Endpoint, Network, Pool, PortBinding, decode_endpoint, decode_network, encode

NETWORK = Network(
    "n" * 64, "äpp", "bridge", 7, (Pool("10.0.0.0/24", "10.0.0.1", aux={"a": "10.0.0.9"}),), "br-1", options={"o": "1"}, labels={"l": ""}
)  # fmt: skip
ENDPOINT = Endpoint(
    "n" * 64, "äpp", "c" * 64, "web", "e" * 64, "eth0", "02:42:0a:00:00:02", "10.0.0.2", 24, "10.0.0.1", ("a",), ("web", "a"),
    primary=True, ports=(PortBinding("tcp", 80, "0.0.0.0", 8080),),
)  # fmt: skip


def test_records_come_back_from_the_database_as_they_went() -> None:
    assert decode_network(encode(NETWORK)) == NETWORK
    assert decode_endpoint(encode(ENDPOINT)) == ENDPOINT


def test_what_options_mean() -> None:
    assert NETWORK.icc and NETWORK.masquerade and NETWORK.named and NETWORK.mtu == 0
    prefix = "com.docker.network."
    assert not replace(NETWORK, options={f"{prefix}bridge.enable_icc": "0"}).icc
    assert not replace(NETWORK, options={f"{prefix}bridge.enable_ip_masquerade": "False"}).masquerade
    assert not replace(NETWORK, internal=True).masquerade
    assert replace(NETWORK, options={f"{prefix}driver.mtu": "1400"}).mtu == 1400
    assert not replace(NETWORK, name="bridge").named


def test_veth_has_an_interface_s_length() -> None:
    assert ENDPOINT.veth == "veth" + "e" * 7
