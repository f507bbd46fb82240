"""Subnets and addresses: which one is next. Pure and deterministic; who holds what is told by the caller.

The lowest free address is given out, and an endpoint's MAC is made of its address: an address that is used again comes
with the same MAC, so no neighbour can hold a stale entry for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from naru.errors import Forbidden, Internal, InvalidArgument, Unavailable
from naru.networks.records import Pool

Subnet = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

# Docker's own pools stop at 31 networks. Small ones follow, so that hundreds fit.
_DEFAULT_POOLS = (
    *((f"172.{number}.0.0/16", 16) for number in range(17, 32)),
    ("192.168.0.0/16", 20),
    ("10.201.0.0/16", 24),
    ("10.202.0.0/16", 24),
)
_OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"
_USAGE_LIMIT = 2**64 - 1  # the API's number has no more bits


Blocks = Sequence[tuple[str, int]]  # (block of IPv4 addresses, length of the prefix of the subnets cut from it)


def default_pools(seed: str = "", version: int = 4, blocks: Blocks = ()) -> Iterator[Subnet]:
    """The subnets that are tried, in order, for a network that names none; `blocks` in place of Docker's.

    In IPv6 those of one unique local /48 (RFC 4193), made of the seed: two hosts do not choose the same.
    """
    if version == 6:
        block = hashlib.blake2b(seed.encode(), digest_size=5).digest()
        yield from IPv6Network((b"\xfd" + block + bytes(10), 48)).subnets(new_prefix=64)
        return
    for prefix, length in blocks or _DEFAULT_POOLS:
        yield from IPv4Network(prefix).subnets(new_prefix=length)


def choose_subnet(taken: Collection[Subnet], seed: str = "", version: int = 4, blocks: Blocks = ()) -> Subnet:
    """The first default pool that overlaps nothing taken (other networks, routes of the host). Raises Unavailable."""
    for subnet in default_pools(seed, version, blocks):
        if not _overlaps(subnet, taken):
            return subnet
    raise Unavailable("all predefined address pools have been fully subnetted")


def _overlaps(subnet: Subnet, others: Iterable[Subnet]) -> bool:
    return any(subnet.version == other.version and subnet.overlaps(other) for other in others)


def _prefix(text: str) -> Subnet:
    if "/" not in text:
        raise InvalidArgument(f"invalid JSON: netip.ParsePrefix(\"{text}\"): no '/'")
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidArgument(f'invalid JSON: netip.ParsePrefix("{text}"): {error}') from error


def parse(text: str) -> _Address:
    """Raises InvalidArgument for what is no address."""
    try:
        return ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f'invalid JSON: ParseAddr("{text}"): unable to parse IP') from error


def check(pool: Pool) -> list[str]:
    """What does not fit together in a requested pool, in Docker's words. Raises InvalidArgument for what is no address."""
    subnet = _prefix(pool.subnet) if pool.subnet else None
    given = _prefix(pool.ip_range) if pool.ip_range else None
    if subnet is not None and int(_prefix_address(pool.subnet)) != int(subnet.network_address):
        return [f"invalid subnet {pool.subnet}: it should be {subnet}"]
    parent = f"parent subnet {subnet or 'invalid Prefix'} doesn't contain"
    wrong = []
    if given is not None and not (
        subnet is not None
        and given.version == subnet.version
        and given.network_address in subnet
        and given.prefixlen >= subnet.prefixlen
    ):
        wrong.append(f"invalid ip-range {pool.ip_range}: {parent} ip-range")
    if pool.gateway and not (subnet is not None and parse(pool.gateway) in subnet):
        wrong.append(f"invalid gateway {pool.gateway}: {parent} this address")
    for name, ip in pool.aux.items():
        if not (subnet is not None and parse(ip) in subnet):
            wrong.append(f"invalid auxiliary address {name}: {parent} this address")
    return wrong


def _prefix_address(text: str) -> _Address:
    return ip_address(text.partition("/")[0])


def canonical(pool: Pool) -> Pool:
    """With every address in its shortest form (RFC 5952), as they are compared with others."""
    return replace(
        pool,
        subnet=str(_prefix(pool.subnet)),
        gateway=str(parse(pool.gateway)) if pool.gateway else "",
        aux={name: str(parse(ip)) for name, ip in pool.aux.items()},
    )


def settle(
    pools: Iterable[Pool],
    taken: Collection[Subnet],
    routed: Collection[Subnet],
    *,
    versions: Sequence[int] = (4,),
    seed: str = "",
    gateways: Collection[int] = (4, 6),
    several: bool = False,
    blocks: Blocks = (),
) -> tuple[Pool, ...]:
    """The pools of a new network, each with its subnet and gateway chosen: those asked for, then one for each IP version
    that has none. Pools of versions that the network does not have are left out.

    taken: subnets of other networks; routed: of the host's routes, avoided when we choose but allowed when asked for;
    seed: of unique local prefixes; gateways: the versions in which one is chosen if not given; several: the network may
    have more than one subnet of a version; blocks: where IPv4 subnets are cut from. Raises InvalidArgument (all that is wrong), Forbidden (overlap, several),
    Unavailable (nothing left), Internal (no address for a gateway).
    """
    wanted = list(pools)
    if wrong := [line for pool in wanted for line in check(pool)]:
        raise InvalidArgument("\n".join(["invalid network config:", *wrong]))
    found = [(_version(pool), canonical(pool)) for pool in wanted if pool.subnet and _version(pool) in versions]
    found += [(version, Pool()) for version in versions if version not in dict(found)]
    held = list(taken)
    settled: list[Pool] = []
    for version, pool in found:
        subnet = _prefix(pool.subnet) if pool.subnet else choose_subnet([*held, *routed], seed, version, blocks)
        if subnet.is_multicast:
            raise InvalidArgument(f"multicast subnet '{next(subnet.hosts())}/{subnet.prefixlen}' is not allowed")
        if _overlaps(subnet, held):
            raise Forbidden(_OVERLAP)
        held.append(subnet)
        settled.append(_with_gateway(replace(pool, subnet=str(subnet)), chosen=version in gateways))
    if not several and len(settled) > len(versions):
        raise Forbidden("bridge driver doesn't support multiple subnets")
    return tuple(settled)


def _version(pool: Pool) -> int:
    return 6 if ":" in pool.subnet else 4


def _with_gateway(pool: Pool, *, chosen: bool) -> Pool:
    if pool.gateway or not chosen:
        return pool
    try:
        return replace(pool, gateway=next_address(replace(pool, ip_range=""), ()))
    except Unavailable as error:
        raise Internal("failed to allocate gateway (): no available addresses on this pool") from error


def _reserved(pool: Pool, subnet: Subnet) -> set[str]:
    """Addresses of the subnet that no endpoint gets. A /31 or /32 has no network or broadcast address (RFC 3021); in
    IPv6 the first address is every router's (RFC 4291, 2.6.1), and there is no broadcast."""
    found = {ip for ip in (pool.gateway, *pool.aux.values()) if ip}
    if subnet.version == 6:
        return found | {str(subnet.network_address)}
    if subnet.prefixlen < 31:
        found |= {str(subnet.network_address), str(subnet.broadcast_address)}
    return found


def next_address(pool: Pool, used: Collection[str]) -> str:
    """The lowest address that is neither reserved nor used. Raises Unavailable when there is none."""
    subnet = _prefix(pool.subnet)
    reserved = _reserved(pool, subnet)
    given = _prefix(pool.ip_range) if pool.ip_range else subnet
    text = _text4 if subnet.version == 4 else _text6
    for number in range(int(given.network_address), int(given.broadcast_address) + 1):
        ip = text(number)
        if ip not in reserved and ip not in used:
            return ip
    raise Unavailable(f"no available IPv{subnet.version} addresses on this network's address pools: {pool.subnet}")


def _text4(number: int) -> str:
    # As text, made by hand: this is walked at every start of a container, and address objects are ten times slower.
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _text6(number: int) -> str:
    return str(IPv6Address(number))


def claim(pool: Pool, ip: str, used: Collection[str]) -> str:
    """The address that was asked for, if it can be had. Raises InvalidArgument (outside), Forbidden (taken)."""
    subnet, address = _prefix(pool.subnet), parse(ip)
    if address not in subnet:
        raise InvalidArgument(f"invalid endpoint settings:\nno configured subnet contains IP address {ip}")
    if str(address) in _reserved(pool, subnet) or str(address) in used:
        raise Forbidden("Address already in use")
    return str(address)


def usage(pool: Pool, used: Collection[str]) -> tuple[int, int]:
    """(addresses in use, the reserved ones among them; addresses that can still be given out)."""
    subnet = _prefix(pool.subnet)
    held = _reserved(pool, subnet) | {ip for ip in used if ip_address(ip) in subnet}
    given = _prefix(pool.ip_range) if pool.ip_range else subnet
    free = given.num_addresses - sum(1 for ip in held if ip_address(ip) in given)
    return len(held), min(free, _USAGE_LIMIT)


def mac_of(ip: str) -> str:
    """The MAC of an endpoint with this address (02: locally administered, unicast)."""
    address = ip_address(ip)
    # Of an IPv6 address the interface part, folded: neighbours in one subnet differ there.
    number = int(address) if address.version == 4 else (int(address) ^ int(address) >> 32) & 0xFFFFFFFF
    return f"02:42:{number.to_bytes(4, 'big').hex(':')}"
