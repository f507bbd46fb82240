"""The firewall as one value: every network and published port → the text of one nftables table. Pure; golden-tested.

The rules never change: what changes are elements of the table's sets and maps, so one more network or published port
is one more element, whatever the number of others. The kernel keeps all of it when the daemon dies.

    chain guard        before everything: 127.0.0.0/8 never comes in from outside; a bridge brings only its own addresses
    chain forward      who may pass from where to where
    chain publish      destination of published ports, for packets from outside, from containers and from the host itself
    chain postrouting  whose source address is hidden

The table touches only packets that come from or go to our own bridges (and, in guard, forged loopback ones). Other
tables keep their say: a packet passes only if all agree, so on a host whose own FORWARD policy is drop (Docker's, for
one) that host must also allow it. Syntax: nft(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from naru.networks.records import Endpoint, Network, PortBinding

_ANY = "0.0.0.0"
# set or map → its type; the order is the order in the text
_SETS: Mapping[str, str] = {
    "set bridges": "type ifname",
    "set internal": "type ifname",
    "set closed": "type ifname",
    "set masquerading": "type ifname",
    "set itself": "type ifname . ifname",
    "set subnets": "type ifname . ipv4_addr; flags interval",
    "map published": "type inet_proto . inet_service : ipv4_addr . inet_service",
    "map published_on": "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
}

_CHAINS = """\
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
		iifname != @bridges accept
		iifname . ip saddr @subnets accept
		drop
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname != @bridges oifname != @bridges accept
		iifname . oifname @itself iifname != @closed accept
		meta nfproto ipv6 drop
		iifname @internal drop
		oifname @internal drop
		ct state established,related accept
		ct status dnat accept
		oifname @bridges drop
	}

	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @published_on
		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump publish
	}

	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		oifname . ip saddr @subnets ct status dnat masquerade
		oifname . ip saddr @subnets accept
		iifname @masquerading masquerade
	}
"""


@dataclass(frozen=True, slots=True)
class Element:
    """A member of a set or map: `key`, or `key : value`."""

    where: str  # the name of the set or map
    text: str


def of_network(network: Network) -> list[Element]:
    """The elements of a network; none for host and none."""
    if not network.bridge:
        return []
    name = f'"{network.bridge}"'
    found = [
        Element("bridges", name),
        Element("itself", f"{name} . {name}"),
        Element("subnets", f"{name} . {network.pool.subnet}"),
    ]
    traits = {"internal": network.internal, "closed": not network.icc, "masquerading": network.masquerade}
    return found + [Element(where, name) for where, held in traits.items() if held]


def of_port(ip: str, port: PortBinding) -> Element:
    """The element that leads a host port to the container with this address."""
    target = f"{port.proto} . {port.host_port} : {ip} . {port.container_port}"
    return (
        Element("published", target) if port.host_ip == _ANY else Element("published_on", f"{port.host_ip} . {target}")
    )


def of_endpoint(endpoint: Endpoint) -> list[Element]:
    return [of_port(endpoint.ip, port) for port in endpoint.ports]


def whole(table: str, networks: Iterable[Network], endpoints: Iterable[Endpoint]) -> str:
    """Commands that put the whole table in place of whatever it was, in one transaction."""
    elements: dict[str, list[str]] = {}
    for element in [
        *(e for n in networks for e in of_network(n)),
        *(e for point in endpoints for e in of_endpoint(point)),
    ]:
        elements.setdefault(element.where, []).append(element.text)
    sets = []
    for declared, kind in _SETS.items():
        texts = elements.get(declared.split()[1], [])
        members = f"\n\t\telements = {{ {', '.join(texts)} }}" if texts else ""
        sets.append(f"\t{declared} {{\n\t\t{kind}{members}\n\t}}\n")
    return (
        f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n" + "\n".join([*sets, _CHAINS]) + "}\n"
    )


def add(table: str, elements: Iterable[Element]) -> str:
    """Commands that add elements: `create`, so that one which is there already is an error, not a silent second owner."""
    return "".join(f"create element inet {table} {element.where} {{ {element.text} }}\n" for element in elements)


def remove(table: str, elements: Iterable[Element]) -> str:
    return "".join(f"delete element inet {table} {element.where} {{ {element.text} }}\n" for element in elements)


def gone(table: str) -> str:
    """Commands that remove the table, whether or not it exists."""
    return f"table inet {table}\ndelete table inet {table}\n"


def redirect_dns(table: str, resolver: str, udp_port: int, tcp_port: int) -> str:
    """Inside a container's namespace: port 53 of the resolver's address leads to the ports where the daemon listens."""
    return (
        gone(table)
        + f"table inet {table} {{\n\tchain output {{\n\t\ttype nat hook output priority -100; policy accept;\n"
        + f"\t\tip daddr {resolver} udp dport 53 dnat ip to {resolver}:{udp_port}\n"
        + f"\t\tip daddr {resolver} tcp dport 53 dnat ip to {resolver}:{tcp_port}\n\t}}\n}}\n"
    )
