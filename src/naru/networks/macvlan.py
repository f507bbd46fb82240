"""macvlan and ipvlan: containers directly on the network of an interface of the host, without bridge, NAT or firewall.

The parent is the host's; it is named by the option `parent`. A network without one is internal: its parent is a dummy
interface of our own. What is done here blocks.
"""

from __future__ import annotations

import os

from naru.errors import Internal
from naru.linux import netlink
from naru.linux.netlink import Netlink, Request
from naru.networks import bridge
from naru.networks.options import (
    IPVLAN_FLAGS,
    IPVLAN_MODES,
    MACVLAN_MODES,
    OPTION_IPVLAN_FLAG,
    OPTION_IPVLAN_MODE,
    OPTION_MACVLAN_MODE,
)
from naru.networks.records import IPVLAN, OPTION_PARENT, Endpoint, Network


def parent(network: Network) -> str:
    """The interface that carries the network."""
    return network.options.get(OPTION_PARENT) or own_parent(network)


def own_parent(network: Network) -> str:
    """The name of the dummy of a network without a parent."""
    prefix = "di" if network.driver == IPVLAN else "dm"
    return f"{prefix}-{network.id[:12]}"


def routes_by_interface(network: Network) -> bool:
    """There is no gateway: the host itself routes what leaves the interface (ipvlan above layer 2)."""
    return (
        network.driver == IPVLAN and not network.internal and (network.options.get(OPTION_IPVLAN_MODE) or "l2") != "l2"
    )


def check_parent(driver: str, name: str) -> None:
    """Raises Internal for what cannot carry a network."""
    if name == "lo":
        raise Internal(f"loopback interface is not a valid {driver} parent link")
    try:
        netlink.index_of(name)
    except OSError as error:
        raise Internal(f"invalid subinterface vlan name {name}, example formatting is eth0.10") from error


def ensure(network: Network) -> int:
    """The index of the network's parent, made if it is to be a dummy. Raises OSError, Internal."""
    name = parent(network)
    try:
        return netlink.index_of(name)
    except OSError:
        if name != own_parent(network):
            raise
    try:
        with Netlink() as host:
            host.run(netlink.add_dummy(name))
    except OSError as error:  # kernels without this kind of interface
        raise Internal(os.strerror(error.errno or 0).lower()) from error
    return netlink.index_of(name)


def remove(network: Network) -> None:
    """Its own dummy is gone when this returns; a parent of the host's is left alone. Raises OSError."""
    bridge.remove(own_parent(network))


def child(end: Endpoint, network: Network, *, parent: int, netns_fd: int) -> Request:
    """The message that makes an endpoint's interface."""
    chosen = network.options.get
    if network.driver == IPVLAN:
        mode = IPVLAN_MODES[chosen(OPTION_IPVLAN_MODE) or "l2"]
        flags = IPVLAN_FLAGS[chosen(OPTION_IPVLAN_FLAG) or "bridge"]
    else:
        mode, flags = MACVLAN_MODES[chosen(OPTION_MACVLAN_MODE) or "bridge"], 0
    return netlink.add_child(
        end.interface,
        kind=network.driver,
        parent=parent,
        mode=mode,
        flags=flags,
        netns=netns_fd,
        mac=end.mac,
        mtu=network.mtu,
    )
