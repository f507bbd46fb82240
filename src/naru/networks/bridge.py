"""Bridges on the host and the wires from them into containers. Blocks: a wire takes about 1 ms, more while the kernel
is busy removing other interfaces, so it belongs in a thread.

A veth is made in place, inside the container's namespace, and never moved; it goes when the namespace goes. Only a
disconnect from a running container deletes one.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network

from naru.linux import netlink, netns
from naru.linux.netlink import Netlink
from naru.networks import ipam
from naru.networks.records import Endpoint, Network


@dataclass(frozen=True, slots=True)
class Wire:
    """One veth to make. `master` is the index of the bridge."""

    endpoint: Endpoint
    master: int
    mtu: int
    isolated: bool
    hairpin: bool


def ensure(network: Network) -> int:
    """Make the bridge exist, be up and have its address, and return its index. Raises OSError."""
    name, prefix = network.bridge, IPv4Network(network.pool.subnet).prefixlen
    with Netlink() as host:
        link = host.link(name)
        if link is None:
            host.run(netlink.add_bridge(name, mac=ipam.mac_of(network.pool.gateway), mtu=network.mtu))
        elif link.kind != "bridge":
            raise OSError(errno.EEXIST, f"interface {name} exists and is not a bridge")
        index = netlink.index_of(name)
        # Before the bridge has an address or a port: no router advertisement is ever believed, no IPv6 address given.
        netns.write_sysctl(f"ipv6/conf/{name}/accept_ra", "0")
        netns.write_sysctl(f"ipv6/conf/{name}/disable_ipv6", "1")
        # So that the host reaches published ports by 127.0.0.1; the ruleset drops such packets when they come from outside.
        netns.write_sysctl(f"ipv4/conf/{name}/route_localnet", "1")
        host.run(netlink.set_up(index), netlink.add_address(index, network.pool.gateway, prefix))
    return index


def remove(name: str) -> None:
    """The interface is gone when this returns, also if it was gone before. Raises OSError."""
    with Netlink() as host:
        _delete(host, name)


def _delete(host: Netlink, name: str) -> None:
    try:
        host.run(netlink.delete_link(name))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def wires(pairs: Sequence[tuple[Endpoint, Network]]) -> list[Wire]:
    """What to plug in for these endpoints; a bridge that somebody removed is made again. Raises OSError."""
    # Where br_netfilter is on (Docker, Kubernetes), a published port reached from its own container is led back inside
    # the bridge, before routing: the port must let that out where it came in.
    hairpin = netns.read_sysctl("bridge/bridge-nf-call-iptables") == "1"
    found = []
    for endpoint, network in pairs:
        try:
            master = netlink.index_of(network.bridge)
        except OSError:
            master = ensure(network)
        found.append(Wire(endpoint, master, network.mtu, not network.icc, hairpin))
    return found


def plug(host: Netlink, wires: Sequence[Wire]) -> None:
    """Make all wires, addresses and routes, in two messages. Call it inside the container's namespace with a socket of
    the host's. Raises OSError, and then nothing is left of it."""
    with open("/proc/thread-self/ns/net") as namespace, Netlink() as here:
        # Networks are IPv4: without this the new interfaces would give themselves IPv6 addresses.
        netns.write_sysctl("ipv6/conf/default/disable_ipv6", "1")
        there, inner = [], []
        for wire in wires:
            end = wire.endpoint
            there.append(
                netlink.add_veth(
                    end.veth,
                    master=wire.master,
                    peer=end.interface,
                    peer_netns=namespace.fileno(),
                    peer_mac=end.mac,
                    mtu=wire.mtu,
                )
            )
            if wire.isolated or wire.hairpin:
                there.append(netlink.set_port(end.veth, isolated=wire.isolated, hairpin=wire.hairpin))
        try:
            host.run(*there)
            for wire in wires:
                end, index = wire.endpoint, netlink.index_of(wire.endpoint.interface)
                inner += [netlink.set_up(index), netlink.add_address(index, end.ip, end.prefix)]
                if end.primary:
                    inner.append(netlink.set_default_route(end.gateway, index))
            here.run(*inner)
        except BaseException:
            for wire in wires:
                with suppress(OSError):  # the first error is the one to tell
                    _delete(host, wire.endpoint.veth)
            raise


def route_through(endpoint: Endpoint) -> None:
    """Inside the container's namespace: its default route leads through this endpoint. Raises OSError."""
    with Netlink() as here:
        here.run(netlink.set_default_route(endpoint.gateway, netlink.index_of(endpoint.interface)))


def silence(veths: Sequence[str]) -> None:
    """Close the bridge ports of containers that have ended, and forget their MACs.

    The kernel removes a dead namespace some 20 ms late. Until then it would still answer for its address, which the next
    container may already have. Ports that are gone are left alone. Raises OSError.
    """
    with Netlink() as host:
        for veth in veths:
            try:
                host.run(netlink.disable_port(veth))
            except OSError as error:
                if error.errno not in (errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP):
                    raise
