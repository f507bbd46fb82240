"""Subnets and addresses: which one is next. Pure and deterministic; who holds what is told by the caller.

The lowest free address is given out, and an endpoint's MAC is made of its address: an address that is used again comes
with the same MAC, so no neighbour can hold a stale entry for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from naru.errors import Forbidden, InvalidArgument, Unavailable
from naru.networks.records import Pool

# Docker's own pools stop at 31 networks. Small ones follow, so that hundreds fit.
_DEFAULT_POOLS = (
    *((f"172.{number}.0.0/16", 16) for number in range(17, 32)),
    ("192.168.0.0/16", 20),
    ("10.201.0.0/16", 24),
    ("10.202.0.0/16", 24),
)


Blocks = Sequence[tuple[str, int]]  # (block of addresses, length of the prefix of the subnets cut from it)


def default_pools(blocks: Blocks = ()) -> Iterator[IPv4Network]:
    """The subnets that are tried, in order, for a network that names none; `blocks` in place of Docker's."""
    for block, prefix in blocks or _DEFAULT_POOLS:
        yield from IPv4Network(block).subnets(new_prefix=prefix)


def choose_subnet(taken: Collection[IPv4Network], blocks: Blocks = ()) -> IPv4Network:
    """The first default pool that overlaps nothing taken (other networks, routes of the host). Raises Unavailable."""
    for subnet in default_pools(blocks):
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise Unavailable("all predefined address pools have been fully subnetted")


def _prefix(text: str) -> IPv4Network | IPv6Network:
    if "/" not in text:
        raise InvalidArgument(f"netip.ParsePrefix(\"{text}\"): no '/'")
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidArgument(f'netip.ParsePrefix("{text}"): {error}') from error


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f'ParseAddr("{text}"): unable to parse IP') from error


def check(pool: Pool) -> list[str]:
    """What does not fit together in a requested pool, in Docker's words. Raises InvalidArgument for what is no address."""
    subnet = _prefix(pool.subnet) if pool.subnet else None
    given = _prefix(pool.ip_range) if pool.ip_range else None
    if subnet is not None and pool.subnet != str(subnet):
        return [f"invalid subnet {pool.subnet}: it should be {subnet}"]
    parent = f"parent subnet {subnet or 'invalid Prefix'} doesn't contain"
    wrong = []
    if given is not None and not (
        subnet is not None and given.network_address in subnet and given.prefixlen >= subnet.prefixlen
    ):
        wrong.append(f"invalid ip-range {pool.ip_range}: {parent} ip-range")
    if pool.gateway and not (subnet is not None and _address(pool.gateway) in subnet):
        wrong.append(f"invalid gateway {pool.gateway}: {parent} this address")
    for name, ip in pool.aux.items():
        if not (subnet is not None and _address(ip) in subnet):
            wrong.append(f"invalid auxiliary address {name}: {parent} this address")
    return wrong


def settle(
    pools: Iterable[Pool], taken: Collection[IPv4Network], routed: Collection[IPv4Network], blocks: Blocks = ()
) -> tuple[Pool, ...]:
    """The pools of a new network, each with its subnet and gateway chosen, the one IPv4 pool first.

    taken: subnets of other networks; routed: of the host's routes, avoided when we choose but allowed when asked for.
    Raises InvalidArgument (all that is wrong), Forbidden (overlap, or two IPv4 subnets), Unavailable (nothing left).
    """
    wanted = list(pools)
    if wrong := [line for pool in wanted for line in check(pool)]:
        raise InvalidArgument("\n".join(["invalid network config:", *wrong]))
    later = [pool for pool in wanted if ":" in pool.subnet]
    held = list(taken)
    settled: list[Pool] = []
    for pool in [pool for pool in wanted if ":" not in pool.subnet] or [Pool()]:
        subnet = IPv4Network(pool.subnet) if pool.subnet else choose_subnet([*held, *routed], blocks)
        if any(subnet.overlaps(other) for other in held):
            raise Forbidden("invalid pool request: Pool overlaps with other one on this address space")
        held.append(subnet)
        gateway = pool.gateway or next_address(Pool(str(subnet), aux=pool.aux), ())
        settled.append(replace(pool, subnet=str(subnet), gateway=gateway))
    if len(settled) > 1:
        raise Forbidden("bridge driver doesn't support multiple subnets")
    return (*settled, *later)


def _reserved(pool: Pool, subnet: IPv4Network) -> set[IPv4Address]:
    """Addresses of the subnet that no endpoint gets. A /31 or /32 has no network or broadcast address (RFC 3021)."""
    ends = {subnet.network_address, subnet.broadcast_address} if subnet.prefixlen < 31 else set()
    return ends | {IPv4Address(ip) for ip in (pool.gateway, *pool.aux.values()) if ip}


def next_address(pool: Pool, used: Collection[str]) -> str:
    """The lowest address that is neither reserved nor used. Raises Unavailable when there is none."""
    subnet = IPv4Network(pool.subnet)
    reserved = {str(address) for address in _reserved(pool, subnet)}
    given = IPv4Network(pool.ip_range, strict=False) if pool.ip_range else subnet
    for number in range(int(given.network_address), int(given.broadcast_address) + 1):
        # As text, made by hand: this is walked at every start of a container, and address objects are ten times slower.
        ip = f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        if ip not in reserved and ip not in used:
            return ip
    raise Unavailable(f"no available IPv4 addresses on this network's address pools: {pool.subnet}")


def claim(pool: Pool, ip: str, used: Collection[str]) -> str:
    """The address that was asked for, if it can be had. Raises InvalidArgument (outside), Forbidden (taken)."""
    subnet = IPv4Network(pool.subnet)
    address = _address(ip)
    if not isinstance(address, IPv4Address) or address not in subnet:
        raise InvalidArgument(f"invalid endpoint settings:\nno configured subnet contains IP address {ip}")
    if address in _reserved(pool, subnet) or str(address) in used:
        raise Forbidden("Address already in use")
    return str(address)


def usage(pool: Pool, used: Collection[str]) -> tuple[int, int]:
    """(addresses in use, the reserved ones among them; addresses that can still be given out)."""
    subnet = IPv4Network(pool.subnet)
    held = _reserved(pool, subnet) | {IPv4Address(ip) for ip in used}
    given = IPv4Network(pool.ip_range, strict=False) if pool.ip_range else subnet
    return len(held), given.num_addresses - sum(1 for address in held if address in given)


def mac_of(ip: str) -> str:
    """The MAC of an endpoint with this address (02: locally administered, unicast)."""
    return f"02:42:{IPv4Address(ip).packed.hex(':')}"
