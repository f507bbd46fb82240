"""A container's interfaces: made in place inside its namespace, with their addresses and routes. Blocks: a wire takes
about 1 ms, more while the kernel is busy removing other interfaces, so it belongs in a thread.

An IPv6 address is given where the network has IPv6; every other interface has none, not even a link-local one. Routes are
ours to give: router advertisements of a neighbour on a bridge are not believed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from naru.errors import Internal
from naru.linux import netlink, netns
from naru.linux.netlink import Netlink, Request
from naru.networks import bridge, macvlan
from naru.networks.plan import sysctl
from naru.networks.records import BRIDGE, Endpoint, Network


@dataclass(frozen=True, slots=True)
class Wire:
    """One interface to make. `parent` is the index of the bridge, or of the interface on whose network it shall be."""

    endpoint: Endpoint
    network: Network
    parent: int
    hairpin: bool

    @property
    def bridged(self) -> bool:
        return self.network.driver == BRIDGE


def wires(pairs: Sequence[tuple[Endpoint, Network]]) -> list[Wire]:
    """What to plug in for these endpoints, in the host's namespace. Raises OSError."""
    hairpin = bridge.needs_hairpin()
    return [
        Wire(end, network, bridge.index_of(network) if network.driver == BRIDGE else macvlan.ensure(network), hairpin)
        for end, network in pairs
    ]


def plug(host: Netlink, wires: Sequence[Wire]) -> None:
    """Make all wires, addresses and routes, in two messages. Call it inside the container's namespace with a socket of
    the host's. Raises OSError, Internal (a setting of the user's), and then nothing is left of it."""
    with open("/proc/thread-self/ns/net") as namespace, Netlink() as here:
        # Before they are there: without this new interfaces would give themselves IPv6 addresses.
        netns.write_sysctl("ipv6/conf/default/disable_ipv6", "1")
        try:
            host.run(*(request for wire in wires for request in _links(wire, namespace.fileno())))
            inner = []
            for wire in wires:
                _set_up(wire)
                inner += _addresses(wire.endpoint, netlink.index_of(wire.endpoint.interface))
            here.run(*inner, *_routes(wires))
        except BaseException:
            for wire in wires:
                with suppress(OSError):  # the first error is the one to tell
                    bridge.delete(*((host, wire.endpoint.veth) if wire.bridged else (here, wire.endpoint.interface)))
            raise


def _links(wire: Wire, netns_fd: int) -> list[Request]:
    end, network = wire.endpoint, wire.network
    if not wire.bridged:
        return [macvlan.child(end, network, parent=wire.parent, netns_fd=netns_fd)]
    found = [
        netlink.add_veth(
            end.veth, master=wire.parent, peer=end.interface, peer_netns=netns_fd, peer_mac=end.mac, mtu=network.mtu
        )
    ]
    if wire.hairpin or not network.icc:
        found.append(netlink.set_port(end.veth, isolated=not network.icc, hairpin=wire.hairpin))
    return found


def _set_up(wire: Wire) -> None:
    """The settings of an interface that is not up yet; those of the user come last. Raises OSError, Internal."""
    end = wire.endpoint
    if end.ip6:
        netns.write_sysctl(f"ipv6/conf/{end.interface}/disable_ipv6", "0")
        if wire.bridged:
            netns.write_sysctl(f"ipv6/conf/{end.interface}/accept_ra", "0")
    where = f"failed to add interface {end.veth} to sandbox"
    for text in end.sysctls:
        path, value = sysctl(text, end.interface)
        try:
            known = netns.write_sysctl(path, value)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise Internal(
                f"{where}: unable to write to '/proc/sys/net/{path}': write /proc/sys/net/{path}: {reason}"
            ) from error
        if not known:
            raise Internal(f"{where}: /proc/sys/net/{path} is not a sysctl file")


def _addresses(end: Endpoint, index: int) -> list[Request]:
    pairs = [(end.ip, end.prefix), (end.ip6, end.prefix6)]
    pairs += [(ip, 64 if ":" in ip else 16) for ip in end.link_local if ":" not in ip or end.ip6]
    return [netlink.set_up(index), *(netlink.add_address(index, ip, prefix) for ip, prefix in pairs if ip)]


def _routes(wires: Sequence[Wire]) -> list[Request]:
    found: dict[int, Request] = {}
    for wire in wires:
        end, index = wire.endpoint, netlink.index_of(wire.endpoint.interface)
        for version, ip, gateway, held in (
            (4, end.ip, end.gateway, end.primary),
            (6, end.ip6, end.gateway6, end.primary6),
        ):
            if held:
                found[version] = netlink.set_default_route(gateway, index)
            elif ip and macvlan.routes_by_interface(wire.network):
                found.setdefault(version, netlink.set_default_interface(version, index))
    return list(found.values())


def route_through(end: Endpoint | None, end6: Endpoint | None) -> None:
    """Inside the container's namespace: its default routes lead through these endpoints; None: that one stays as it is.
    Raises OSError."""
    requests = []
    if end is not None:
        requests.append(netlink.set_default_route(end.gateway, netlink.index_of(end.interface)))
    if end6 is not None:
        requests.append(netlink.set_default_route(end6.gateway6, netlink.index_of(end6.interface)))
    if requests:
        with Netlink() as here:
            here.run(*requests)


def unplug(interface: str) -> None:
    """Inside the container's namespace: the interface is gone when this returns, also if it was before. Raises OSError."""
    with Netlink() as here:
        bridge.delete(here, interface)
