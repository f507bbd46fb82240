"""What a network, an endpoint and a published port are: frozen values, and their JSON in the database.

An endpoint exists while its container runs on the network: from attach to detach. What the user asked for (networks,
aliases, fixed addresses) is kept by the container; it arrives here as `EndpointRequest` and `PortRequest`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

BRIDGE, HOST, NULL = "bridge", "host", "null"  # drivers
PREDEFINED = {"bridge": BRIDGE, "host": HOST, "none": NULL}  # name → driver
PROTOCOLS = ("tcp", "udp", "sctp")

OPTION_NAME = "com.docker.network.bridge.name"
OPTION_DEFAULT = "com.docker.network.bridge.default_bridge"
OPTION_ICC = "com.docker.network.bridge.enable_icc"
OPTION_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
OPTION_BINDING = "com.docker.network.bridge.host_binding_ipv4"
OPTION_GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv4"
OPTION_MTU = "com.docker.network.driver.mtu"

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
    pools: tuple[Pool, ...] = ()  # the IPv4 one that serves addresses comes first
    bridge: str = ""  # the interface on the host; empty for host and none
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def predefined(self) -> bool:
        return self.name in PREDEFINED

    @property
    def named(self) -> bool:
        """Containers find each other by name: on every bridge but the default one."""
        return self.driver == BRIDGE and not self.predefined

    @property
    def pool(self) -> Pool:
        return self.pools[0]

    @property
    def icc(self) -> bool:
        """Containers of the network reach each other."""
        return self.options.get(OPTION_ICC, "true") in _TRUE

    @property
    def masquerade(self) -> bool:
        return not self.internal and self.options.get(OPTION_MASQUERADE, "true") in _TRUE

    @property
    def mtu(self) -> int:
        """0: the kernel's default."""
        return int(self.options.get(OPTION_MTU, "0"))


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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container on a network. host and none have endpoints too, without interface or address."""

    network_id: str
    network_name: str
    container_id: str
    container_name: str
    endpoint_id: str
    interface: str = ""  # in the container: eth0, eth1, …
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
    found.update({key: tuple(found.get(key, ())) for key in ("aliases", "links", "dns_names")})
    return Endpoint(**found)
