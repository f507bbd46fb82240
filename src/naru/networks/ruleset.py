"""The firewall as one value: every network and published port → the text of one nftables table. Pure; golden-tested.

The rules never change: what changes are elements of the table's sets and maps, so one more network or published port
is one more element, whatever the number of others. The kernel keeps all of it when the daemon dies.

    chain guard        before everything: loopback addresses never come in from outside; a bridge brings only its own
                       addresses, and says nothing about routes
    chain forward      who may pass from where to where
    chain publish      destination of published ports, for packets from outside, from containers and from the host itself
    chain postrouting  whose source address is hidden

What exists per family has the IPv6 one under the same name with a 6 behind. The gateway modes of a network are elements,
too: `nat` (the default) masquerades and publishes, `open` (nat-unprotected) lets in whatever is routed to its
containers, `direct` (routed) lets in ICMP, and what is published, at the container's own address: `routed`.

To ::1 nothing is led: a packet from there cannot leave the loopback interface, as one from 127.0.0.1 can where
route_localnet is set. Such connections are relayed (`relay`).

The table touches only packets that come from or go to our own bridges (and, in guard, forged loopback ones). Other
tables keep their say: a packet passes only if all agree, so on a host whose own FORWARD policy is drop (Docker's, for
one) that host must also allow it. Syntax: nft(8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from naru.networks.records import (
    ANY,
    ANY6,
    LOOPBACK6,
    NAT,
    OPTION_SOURCE,
    OPTION_SOURCE6,
    ROUTED,
    UNPROTECTED,
    Endpoint,
    Network,
    PortBinding,
)

# set or map → its type; the order is the order in the text
_SETS: Mapping[str, str] = {
    "set bridges": "type ifname",
    "set internal": "type ifname",
    "set closed": "type ifname",
    "set itself": "type ifname . ifname",
    "set subnets": "type ifname . ipv4_addr; flags interval",
    "set subnets6": "type ifname . ipv6_addr; flags interval",
    "set linked6": "type ifname",
    "set open": "type ifname",
    "set open6": "type ifname",
    "set direct": "type ifname",
    "set direct6": "type ifname",
    "set routed": "type ifname . ipv4_addr . inet_proto . inet_service",
    "set routed6": "type ifname . ipv6_addr . inet_proto . inet_service",
    "set masquerading": "type ifname",
    "set masquerading6": "type ifname",
    "map source": "type ifname : ipv4_addr",
    "map source6": "type ifname : ipv6_addr",
    "map published": "type inet_proto . inet_service : ipv4_addr . inet_service",
    "map published_on": "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    "map published6": "type inet_proto . inet_service : ipv6_addr . inet_service",
    "map published6_on": "type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
}

_CHAINS = """\
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
		iifname != @bridges accept
		iifname . ip saddr @subnets accept
		ip saddr 169.254.0.0/16 ip daddr 169.254.0.0/16 accept
		iifname != @linked6 drop
		icmpv6 type { nd-router-advert, nd-redirect } drop
		iifname . ip6 saddr @subnets6 accept
		ip6 saddr fe80::/64 accept
		ip6 saddr :: meta l4proto icmpv6 accept
		drop
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname != @bridges oifname != @bridges accept
		iifname . oifname @itself iifname != @closed accept
		iifname @internal drop
		oifname @internal drop
		ct state established,related accept
		ct status dnat accept
		oifname . ip daddr . meta l4proto . th dport @routed accept
		oifname . ip6 daddr . meta l4proto . th dport @routed6 accept
		meta l4proto icmp oifname @direct accept
		meta l4proto icmpv6 oifname @direct6 accept
		meta nfproto ipv4 oifname @open iifname != @bridges accept
		meta nfproto ipv6 oifname @open6 iifname != @bridges accept
		oifname @bridges drop
	}

	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @published_on
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6_on
		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published
		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @published6
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump publish
	}

	chain output {
		type nat hook output priority -100; policy accept;
		ip6 daddr ::1 return
		fib daddr type local jump publish
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		oifname . ip saddr @subnets ct status dnat masquerade
		oifname . ip saddr @subnets accept
		oifname . ip6 saddr @subnets6 ct status dnat masquerade
		oifname . ip6 saddr @subnets6 accept
		ip6 saddr fe80::/10 accept
		meta nfproto ipv4 snat ip to iifname map @source
		meta nfproto ipv6 snat ip6 to iifname map @source6
		meta nfproto ipv4 iifname @masquerading masquerade
		meta nfproto ipv6 iifname @masquerading6 masquerade
	}
"""


@dataclass(frozen=True, slots=True)
class Element:
    """A member of a set or map: `key`, or `key : value`."""

    where: str  # the name of the set or map
    text: str


def of_network(network: Network) -> list[Element]:
    """The elements of a network; none for those without a bridge."""
    if not network.bridge:
        return []
    name = f'"{network.bridge}"'
    found = [Element("bridges", name), Element("itself", f"{name} . {name}")]
    families = (
        ("", network.pool4, network.mode4, network.options.get(OPTION_SOURCE)),
        ("6", network.pool6, network.mode6, network.options.get(OPTION_SOURCE6)),
    )
    for suffix, pool, mode, source in families:
        if pool is None:
            continue
        found.append(Element(f"subnets{suffix}", f"{name} . {pool.subnet}"))
        if mode == UNPROTECTED:
            found.append(Element(f"open{suffix}", name))
        if mode == ROUTED:
            found.append(Element(f"direct{suffix}", name))
        if network.masquerade and mode in (NAT, UNPROTECTED):
            found.append(
                Element(f"source{suffix}", f"{name} : {source}") if source else Element(f"masquerading{suffix}", name)
            )
    traits = {"internal": network.internal, "closed": not network.icc, "linked6": network.pool6 is not None}
    return found + [Element(where, name) for where, held in traits.items() if held]


def of_endpoint(endpoint: Endpoint, bridge: str) -> list[Element]:
    """The elements of an endpoint's published ports: one for each, none for those that the daemon relays itself."""
    found = (_of_port(endpoint, port, bridge) for port in endpoint.ports)
    return list(dict.fromkeys(element for element in found if element is not None))


def _of_port(endpoint: Endpoint, port: PortBinding, bridge: str) -> Element | None:
    suffix, ip = ("6", endpoint.ip6) if ":" in port.host_ip else ("", endpoint.ip)
    if not ip or port.host_ip == LOOPBACK6:
        return None
    if not port.host_port:
        return Element(f"routed{suffix}", f'"{bridge}" . {ip} . {port.proto} . {port.container_port}')
    target = f"{port.proto} . {port.host_port} : {ip} . {port.container_port}"
    if port.host_ip in (ANY, ANY6):
        return Element(f"published{suffix}", target)
    return Element(f"published{suffix}_on", f"{port.host_ip} . {target}")


def whole(table: str, networks: Iterable[Network], endpoints: Iterable[Endpoint]) -> str:
    """Commands that put the whole table in place of whatever it was, in one transaction."""
    elements: dict[str, list[str]] = {}
    known = list(networks)
    bridges = {network.id: network.bridge for network in known}
    for element in [
        *(e for n in known for e in of_network(n)),
        *(e for point in endpoints for e in of_endpoint(point, bridges.get(point.network_id, ""))),
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
