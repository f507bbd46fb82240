"""Bridges on the host, and the ports on them. Blocks.

A veth is made in place, inside the container's namespace (`interfaces`), and never moved; it goes when the namespace
goes. Only a disconnect from a running container deletes one.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from naru.linux import netlink, netns
from naru.linux.netlink import Netlink
from naru.networks import ipam
from naru.networks.records import ISOLATED, OPTION_INHIBIT, Network, Pool


def ensure(network: Network) -> int:
    """Make the bridge exist, be up and have its addresses, and return its index. Raises OSError."""
    name = network.bridge
    with Netlink() as host:
        link = host.link(name)
        if link is None:
            pool = network.pool4 or network.pool6
            assert pool is not None
            mac = ipam.mac_of(pool.gateway or pool.subnet.partition("/")[0])
            host.run(netlink.add_bridge(name, mac=mac, mtu=network.mtu))
        elif link.kind != "bridge":
            raise OSError(errno.EEXIST, f"interface {name} exists and is not a bridge")
        index = netlink.index_of(name)
        # Before the bridge has an address or a port: no router advertisement is ever believed, and where the network has
        # no IPv6, or must not reach the host by it, the bridge gives itself no IPv6 address.
        netns.write_sysctl(f"ipv6/conf/{name}/accept_ra", "0")
        linked = network.pool6 is not None and network.mode6 != ISOLATED
        netns.write_sysctl(f"ipv6/conf/{name}/disable_ipv6", "0" if linked else "1")
        # So that the host reaches published ports by 127.0.0.1; the ruleset drops such packets when they come from outside.
        netns.write_sysctl(f"ipv4/conf/{name}/route_localnet", "1")
        pools = [pool for pool in (_served4(network), _served6(network)) if pool is not None]
        prefixes = [int(pool.subnet.partition("/")[2]) for pool in pools]
        addresses = [
            netlink.add_address(index, pool.gateway, prefix) for pool, prefix in zip(pools, prefixes, strict=True)
        ]
        host.run(netlink.set_up(index), *addresses)
    return index


def _served4(network: Network) -> Pool | None:
    """The pool whose gateway is the bridge itself."""
    return None if network.mode4 == ISOLATED or network.is_set(OPTION_INHIBIT) else network.pool4


def _served6(network: Network) -> Pool | None:
    return None if network.mode6 == ISOLATED else network.pool6


def remove(name: str) -> None:
    """The interface is gone when this returns, also if it was gone before. Raises OSError."""
    with Netlink() as host:
        delete(host, name)


def delete(host: Netlink, name: str) -> None:
    """As remove, with a socket that is open already."""
    try:
        host.run(netlink.delete_link(name))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def index_of(network: Network) -> int:
    """The index of the network's bridge; one that somebody removed is made again. Raises OSError."""
    try:
        return netlink.index_of(network.bridge)
    except OSError:
        return ensure(network)


def needs_hairpin() -> bool:
    """Where br_netfilter is on (Docker, Kubernetes), a published port reached from its own container is led back inside
    the bridge, before routing: the port must let that out where it came in."""
    return "1" in (
        netns.read_sysctl("bridge/bridge-nf-call-iptables"),
        netns.read_sysctl("bridge/bridge-nf-call-ip6tables"),
    )


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
