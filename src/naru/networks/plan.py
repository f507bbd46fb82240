"""From wishes to endpoints: what a network can honour, which addresses, names and gateways a container gets. Pure.

Nothing is held yet: the caller does so before anything is awaited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from naru.errors import Forbidden, Internal, InvalidArgument, Unavailable
from naru.networks import ipam
from naru.networks.options import OPTION_IPVLAN_MODE
from naru.networks.records import (
    ANY6,
    HOST,
    IPVLAN,
    ISOLATED,
    LOOPBACK6,
    NULL,
    OPTION_PREFIX,
    ROUTED,
    Endpoint,
    EndpointRequest,
    Member,
    Network,
    Pool,
    PortBinding,
)

_SYSCTL = re.compile(r"net\.(ipv4|ipv6|mpls)\.(\w+)\.ifname\.(\w+)=(.*)", re.IGNORECASE | re.ASCII)
_NAME_LIMIT = 15  # IFNAMSIZ less the final zero

_HOST_CONNECT = "cannot connect container to host network - container must be created in host network mode"
_NONE_CONNECT = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
_SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"


# -- what can be honoured ---------------------------------------------------------------------------------------------


def check(network: Network, request: EndpointRequest) -> None:
    """Raises InvalidArgument, with all that is wrong, for settings that this network cannot honour; Forbidden for a network
    that is only settings."""
    if network.config_only:
        raise Forbidden("cannot create endpoint on configuration-only network")
    wrong = []
    if not network.named:
        if request.ip or request.ip6:
            wrong.append("user-specified IP address is supported on user-defined networks only")
        if request.aliases:
            wrong.append("network-scoped aliases are only supported for user-defined networks")
    else:
        wrong += _unfit(request.ip, 4, network.pools) + _unfit(request.ip6, 6, network.pools)
    for text in request.sysctls:
        if not _SYSCTL.fullmatch(text):
            wrong.append(
                f"unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', "
                "'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
    if wrong:
        mark = "* " if len(wrong) > 1 else ""
        raise InvalidArgument("\n".join(["invalid endpoint settings:", *(mark + line for line in wrong)]))


def _unfit(ip: str, version: int, pools: Iterable[Pool]) -> list[str]:
    if not ip:
        return []
    address, wrong = ipam.parse(ip), []
    if address.version != version or address.is_unspecified:
        wrong.append(f"invalid IPv{version} address: {ip}")
    subnets = (_subnet(pool) for pool in pools)
    if address.is_unspecified or not any(address in subnet for subnet in subnets if subnet.version == version):
        wrong.append(f"no configured subnet contains IP address {ip}")
    return wrong


def _subnet(pool: Pool) -> IPv4Network | IPv6Network:
    return IPv6Network(pool.subnet) if ":" in pool.subnet else IPv4Network(pool.subnet)


def check_connect(member: Member, network: Network, held: Sequence[Endpoint], drivers: Collection[str]) -> None:
    """drivers: those of the networks on which the container is. Raises InvalidArgument, Forbidden."""
    if HOST in drivers:
        raise InvalidArgument(_SHARED)
    if network.driver == HOST:
        raise InvalidArgument(_HOST_CONNECT)
    if network.driver == NULL or NULL in drivers:
        raise InvalidArgument(_NONE_CONNECT)
    if any(end.network_id == network.id for end in held):
        raise Forbidden(f"endpoint with name {member.name} already exists in network {network.name}")


def sysctl(text: str, interface: str) -> tuple[str, str]:
    """(path below net/, value) of an endpoint's setting, for its interface. It has been checked."""
    found = _SYSCTL.fullmatch(text)
    assert found is not None
    return f"{found[1].lower()}/{found[2]}/{interface}/{found[3]}", found[4]


# -- endpoints ----------------------------------------------------------------------------------------------------------


def endpoints(
    member: Member,
    wishes: Sequence[tuple[EndpointRequest, Network]],
    held: Sequence[Endpoint],
    used: Callable[[str], Collection[str]],
    identify: Callable[[], str],
) -> list[tuple[Endpoint, Network]]:
    """New endpoints with their addresses and interface names, for a container that has `held`.

    used: a network's addresses that are taken; identify: makes an endpoint id. Raises InvalidArgument, Forbidden (address
    taken), Unavailable (none left), Internal (an interface cannot be called so).
    """
    taken = {end.interface for end in held} | {request.interface for request, _ in wishes if request.interface}
    number = max((end.number for end in held), default=-1)
    pairs: list[tuple[Endpoint, Network]] = []
    for request, network in wishes:
        if any(other.id == network.id for _, other in pairs):
            raise InvalidArgument(f"network {network.name} is asked for twice")
        number += 1
        end = Endpoint(
            network.id, network.name, member.id, member.name, identify(),
            aliases=request.aliases, links=request.links, number=number,
        )  # fmt: skip
        if network.wired:
            taken_here = {other.interface for other, _ in pairs} | {other.interface for other in held}
            name = _interface(end, request, network, taken, taken_here)
            taken.add(name)
            end = _addressed(replace(end, interface=name), member, request, network, used(network.id))
        pairs.append((end, network))
    return pairs


def _interface(
    end: Endpoint, request: EndpointRequest, network: Network, taken: Collection[str], taken_here: Collection[str]
) -> str:
    """The name that is asked for, else the lowest free one."""
    name = request.interface
    if not name:
        prefix = network.options.get(OPTION_PREFIX) or "eth"
        name = next(f"{prefix}{n}" for n in range(len(taken) + 1) if f"{prefix}{n}" not in taken)
    wrong = ""
    if len(name.encode()) > _NAME_LIMIT:
        wrong = "numerical result out of range"
    elif name in (".", "..", "all", "default") or re.search(r"[/:%\s\x00]", name):
        wrong = "invalid argument"
    elif name == "lo" or name in taken_here:
        wrong = "file exists"
    if wrong:
        raise Internal(
            f'failed to add interface {end.veth} to sandbox: error renaming interface "{end.veth}" to "{name}": {wrong}'
        )
    return name


def _addressed(
    end: Endpoint, member: Member, request: EndpointRequest, network: Network, used: Collection[str]
) -> Endpoint:
    for text in request.link_local:
        if not ipam.parse(text).is_link_local:
            raise InvalidArgument(f"invalid link local IP address: {text}")
    end = replace(
        end,
        gateway_priority=request.gateway_priority,
        dns_names=dns_names(member, request.aliases) if network.named else (),
        link_local=request.link_local,
        sysctls=request.sysctls,
    )
    if (pool := network.pool4) is not None:
        end = replace(
            end,
            ip=_address(network, pool, request.ip, used),
            prefix=IPv4Network(pool.subnet).prefixlen,
            gateway=_gateway(network, pool, network.mode4),
        )
    if (pool := network.pool6) is not None:
        end = replace(
            end,
            ip6=_address(network, pool, request.ip6, used),
            prefix6=IPv6Network(pool.subnet).prefixlen,
            gateway6=_gateway(network, pool, network.mode6),
        )
    inherited = network.driver == IPVLAN  # it has its parent's
    return replace(end, mac="" if inherited else _mac(end, request.mac) or ipam.mac_of(end.ip or end.ip6))


def _mac(end: Endpoint, wanted: str) -> str:
    """The one that is asked for. Raises Internal for what no interface can have: a group's, or none at all."""
    octets = bytes.fromhex(wanted.replace(":", "").replace("-", ""))
    if octets and (octets[0] & 1 or not any(octets)):
        wrong = f'error setting interface "{end.veth}" MAC to "{wanted}": cannot assign requested address'
        raise Internal(f"failed to add interface {end.veth} to sandbox: {wrong}")
    return octets.hex(":")


def _address(network: Network, pool: Pool, wanted: str, used: Collection[str]) -> str:
    if wanted:
        return ipam.claim(pool, wanted, used)
    try:
        return ipam.next_address(pool, used)
    except Unavailable as error:
        version = _subnet(pool).version
        where = f"{network.name} ({network.id})"
        raise Unavailable(f"no available IPv{version} addresses on this network's address pools: {where}") from error


def _gateway(network: Network, pool: Pool, mode: str) -> str:
    if network.internal or mode == ISOLATED:
        return ""
    if network.driver == IPVLAN and (network.options.get(OPTION_IPVLAN_MODE) or "l2") != "l2":
        return ""  # routed by the host itself: see macvlan
    return pool.gateway


def dns_names(member: Member, aliases: Sequence[str]) -> tuple[str, ...]:
    """What the others on a network can call it."""
    names = (member.name, *aliases, member.id[:12], member.hostname)
    return tuple(dict.fromkeys(name for name in names if name))


# -- gateways ---------------------------------------------------------------------------------------------------------


def elect(found: Sequence[Endpoint]) -> list[Endpoint]:
    """The same endpoints, with those marked that have the container's default route: in IPv4 and in IPv6, each that of
    the highest priority, then of a network with both, then of the first network name."""
    order = sorted(found, key=lambda end: (-end.gateway_priority, not (end.gateway and end.gateway6), end.network_name))
    first = next((end.endpoint_id for end in order if end.gateway), None)
    first6 = next((end.endpoint_id for end in order if end.gateway6), None)
    return [replace(end, primary=end.endpoint_id == first, primary6=end.endpoint_id == first6) for end in found]


def primary(found: Sequence[Endpoint]) -> Endpoint | None:
    return next((end for end in found if end.primary), None)


def primary6(found: Sequence[Endpoint]) -> Endpoint | None:
    return next((end for end in found if end.primary6), None)


# -- ports --------------------------------------------------------------------------------------------------------------


def publisher(found: Sequence[Endpoint], host_ip: str) -> Endpoint | None:
    """The endpoint to which a port on this address of the host leads. Without IPv6 that of IPv4 is reached by a relay."""
    return (primary6(found) or primary(found)) if ":" in host_ip else primary(found)


def distribute(
    bindings: Iterable[PortBinding], found: Sequence[Endpoint], network: Callable[[str], Network]
) -> tuple[list[Endpoint], list[PortBinding]]:
    """The endpoints with the ports that are published there, and the bindings that lead nowhere any more."""
    ports: dict[str, list[PortBinding]] = {end.endpoint_id: [] for end in found}
    lost = []
    for binding in bindings:
        end = publisher(found, binding.host_ip)
        if end is None or not (binding.host_port or routed(network(end.network_id), binding.host_ip)):
            lost.append(binding)
        else:
            ports[end.endpoint_id].append(binding)
    return [replace(end, ports=tuple(ports[end.endpoint_id])) for end in found], lost


def routed(network: Network, host_ip: str) -> bool:
    """Ports are published at the container's own address, in the family of this one."""
    return (network.mode6 if ":" in host_ip else network.mode4) == ROUTED


def relayed(end: Endpoint) -> list[PortBinding]:
    """Those of its ports to which the kernel does not lead all packets: from IPv6 to IPv4, and from the host's ::1."""
    return [
        port
        for port in end.ports
        if ":" in port.host_ip and port.host_port and (not end.ip6 or port.host_ip in (ANY6, LOOPBACK6))
    ]
