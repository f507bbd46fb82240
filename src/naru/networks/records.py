"""What a network, an endpoint and a published port are: frozen values, and their JSON in the database.

An endpoint exists while its container runs on the network: from attach to detach. What the user asked for (networks,
aliases, fixed addresses) is kept by the container; it arrives here as `EndpointRequest` and `PortRequest`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

BRIDGE, MACVLAN, IPVLAN, HOST, NULL = "bridge", "macvlan", "ipvlan", "host", "null"  # drivers
PREDEFINED = {"bridge": BRIDGE, "host": HOST, "none": NULL}  # name → driver
PROTOCOLS = ("tcp", "udp", "sctp")
ANY, ANY6 = "0.0.0.0", "::"  # every address of the host
LOOPBACK6 = "::1"

OPTION_NAME = "com.docker.network.bridge.name"
OPTION_DEFAULT = "com.docker.network.bridge.default_bridge"
OPTION_ICC = "com.docker.network.bridge.enable_icc"
OPTION_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
OPTION_BINDING = "com.docker.network.bridge.host_binding_ipv4"
OPTION_INHIBIT = "com.docker.network.bridge.inhibit_ipv4"
OPTION_MODE = "com.docker.network.bridge.gateway_mode_ipv4"
OPTION_MODE6 = "com.docker.network.bridge.gateway_mode_ipv6"
OPTION_MTU = "com.docker.network.driver.mtu"
OPTION_PREFIX = "com.docker.network.container_iface_prefix"
OPTION_SOURCE = "com.docker.network.host_ipv4"
OPTION_SOURCE6 = "com.docker.network.host_ipv6"
OPTION_PARENT = "parent"  # of macvlan and ipvlan: the interface of the host

# How the outside reaches a network, per family
NAT, UNPROTECTED, ROUTED, ISOLATED = "nat", "nat-unprotected", "routed", "isolated"
GATEWAY_MODES = (NAT, UNPROTECTED, ROUTED, ISOLATED)

_TUPLES = ("aliases", "links", "dns_names", "link_local", "sysctls")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")


@dataclass(frozen=True, slots=True)
class Pool:
    """One subnet of a network, from which addresses are given out (from `ip_range` only, if set)."""

    subnet: str = ""  # empty in a request: choose one
    gateway: str = ""
    ip_range: str = ""
    aux: Mapping[str, str] = field(default_factory=dict)  # name → address that is never given out


@dataclass(frozen=True, slots=True)
class Network:
    id: str
    name: str
    driver: str
    created_ns: int
    pools: tuple[Pool, ...] = ()  # in the order in which they are shown; addresses come from the first of each family
    bridge: str = ""  # the bridge on the host; empty for every other driver
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ipv4: bool = True
    config_only: bool = False  # it is nothing but its settings, for others to be made from
    config_from: str = ""  # the name of the one that it was made from

    @property
    def predefined(self) -> bool:
        return self.name in PREDEFINED

    @property
    def wired(self) -> bool:
        """Its containers get an interface with addresses."""
        return self.driver in (BRIDGE, MACVLAN, IPVLAN)

    @property
    def named(self) -> bool:
        """Containers find each other by name: everywhere but on the default bridge."""
        return self.wired and not self.predefined

    @property
    def pool4(self) -> Pool | None:
        return next((pool for pool in self.pools if ":" not in pool.subnet), None) if self.ipv4 else None

    @property
    def pool6(self) -> Pool | None:
        """None on networks without IPv6."""
        return next((pool for pool in self.pools if ":" in pool.subnet), None) if self.ipv6 else None

    @property
    def icc(self) -> bool:
        """Containers of the network reach each other."""
        return self.is_set(OPTION_ICC, "true")

    @property
    def masquerade(self) -> bool:
        return not self.internal and self.is_set(OPTION_MASQUERADE, "true")

    @property
    def mtu(self) -> int:
        """0: the kernel's default."""
        return int(self.options.get(OPTION_MTU, "0"))

    @property
    def mode4(self) -> str:
        """The gateway mode for IPv4."""
        return self.options.get(OPTION_MODE) or NAT

    @property
    def mode6(self) -> str:
        return self.options.get(OPTION_MODE6) or NAT

    def is_set(self, option: str, default: str = "false") -> bool:
        return self.options.get(option, default) in _TRUE


@dataclass(frozen=True, slots=True)
class PortRequest:
    """Publish container_port. host_port 0: any free one; with host_port_end: the first free one of the range."""

    proto: str
    container_port: int
    host_ip: str = ""  # empty: the network's default, usually every address
    host_port: int = 0
    host_port_end: int = 0


@dataclass(frozen=True, slots=True)
class PortBinding:
    """host_port 0: on a routed network the container's own address is what is published, and no port of the host."""

    proto: str
    container_port: int
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Member:
    """The container that an endpoint is for."""

    id: str
    name: str
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A wish to be on a network (by name or id)."""

    network: str
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()  # `container:name`: what this container alone calls another one on the network
    ip: str = ""
    mac: str = ""
    gateway_priority: int = 0
    ip6: str = ""
    link_local: tuple[str, ...] = ()  # more addresses for the interface, not managed by anybody
    interface: str = ""  # the name that the user wants for it
    sysctls: tuple[str, ...] = ()  # `net.X.Y.IFNAME.Z=V`, for the interface alone


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container on a network. host and none have endpoints too, without interface or address."""

    network_id: str
    network_name: str
    container_id: str
    container_name: str
    endpoint_id: str
    interface: str = ""  # in the container: eth0, eth1, … or what the user calls it
    mac: str = ""
    ip: str = ""
    prefix: int = 0
    gateway: str = ""  # empty on internal networks
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()  # name, aliases, short id, host name: what the others can call it
    gateway_priority: int = 0
    primary: bool = False  # the container's default route leads through its gateway, and its ports are published here
    ports: tuple[PortBinding, ...] = ()
    number: int = 0  # the place in the order in which the container joined its networks
    ip6: str = ""
    prefix6: int = 0
    gateway6: str = ""
    primary6: bool = False  # as primary, for IPv6
    link_local: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()

    @property
    def veth(self) -> str:
        """The interface on the host."""
        return f"veth{self.endpoint_id[:7]}"


def encode(record: Network | Endpoint) -> str:
    shallow = {each.name: getattr(record, each.name) for each in fields(record)}
    return json.dumps(shallow, ensure_ascii=False, default=asdict)  # asdict at the top would copy all of it first


def decode_network(text: str) -> Network:
    found: dict[str, Any] = json.loads(text)
    pools = tuple(Pool(**pool) for pool in found.pop("pools"))
    return Network(pools=pools, **found)


def decode_endpoint(text: str) -> Endpoint:
    found: dict[str, Any] = json.loads(text)
    found["ports"] = tuple(PortBinding(**port) for port in found["ports"])
    found.update({key: tuple(found.get(key, ())) for key in _TUPLES})
    return Endpoint(**found)
