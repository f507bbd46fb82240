"""A small rtnetlink: bridges, veth pairs, addresses, routes. Many changes travel in one sendmsg.

A change is a `Request` value; `Netlink.run` sends any number of them together, the kernel does them in order, and the
first that failed is raised as an OSError that names its object. What is read comes back as frozen values. A socket
belongs for ever to the network namespace of the thread that opened it, whichever thread uses it later.
Message formats: rtnetlink(7), <linux/rtnetlink.h>, <linux/if_link.h>, <linux/if_addr.h>.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# <linux/netlink.h>
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_F_REQUEST, _F_ACK, _F_DUMP, _F_EXCL, _F_CREATE, _F_REPLACE = 0x1, 0x4, 0x300, 0x200, 0x400, 0x100
_F_ACK_TLVS = 0x200
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
_ERROR_MESSAGE = 1  # NLMSGERR_ATTR_MSG
_NESTED = 0x8000

# <linux/rtnetlink.h>
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _GETADDR = 20, 22
_NEWROUTE, _GETROUTE = 24, 26
_TABLE_MAIN, _TABLE_LOCAL, _PROTO_BOOT, _SCOPE_UNIVERSE, _SCOPE_LINK, _UNICAST = 254, 255, 3, 0, 253, 1
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5

# <linux/if_link.h>, <linux/if_addr.h>, <net/if.h>
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
_IFLA_NET_NS_FD, _IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 28, 31, 32
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER, _BR_FORWARD_DELAY, _BR_STP_STATE, _BRPORT_STATE, _BRPORT_MODE, _BRPORT_FLUSH, _BRPORT_ISOLATED = (
    1,
    1,
    5,
    1,
    4,
    24,
    33,
)
_MACVLAN_MODE, _IPVLAN_MODE, _IPVLAN_FLAGS = 1, 1, 2
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_IFA_F_NODAD = 0x02  # the address is used at once: nobody else has it, for we give them out
_IFF_UP = 1

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}  # by IP version

LOOPBACK = 1  # the index of `lo` in every namespace


@dataclass(frozen=True, slots=True)
class Request:
    kind: int
    flags: int
    body: bytes
    what: str  # the change in words, for the error


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    name: str
    kind: str  # bridge, veth, … ; empty for hardware and lo
    up: bool
    mtu: int
    mac: str
    master: int


@dataclass(frozen=True, slots=True)
class Address:
    index: int
    ip: str
    prefix: int


@dataclass(frozen=True, slots=True)
class Route:
    destination: IPv4Network | IPv6Network
    gateway: str
    index: int


# -- encoding -------------------------------------------------------------------------------------------------------


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _nest(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(parts))


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _u32(kind: int, number: int) -> bytes:
    return _attribute(kind, struct.pack("=I", number))


def _mac(mac: str) -> bytes:
    return _attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))


def _link_header(index: int = 0, up: bool = False) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, _IFF_UP if up else 0, _IFF_UP if up else 0)


def add_bridge(name: str, *, mac: str, mtu: int = 0) -> Request:
    """A bridge that is up. Its MAC is set so that it does not change with its ports; forwarding starts without delay."""
    data = _nest(_INFO_DATA, _u32(_BR_FORWARD_DELAY, 0), _u32(_BR_STP_STATE, 0))
    body = _link_header(up=True) + _text(_IFLA_IFNAME, name) + _mac(mac) + (_u32(_IFLA_MTU, mtu) if mtu else b"")
    body += _nest(_IFLA_LINKINFO, _text(_INFO_KIND, "bridge"), data)
    return Request(_NEWLINK, _F_CREATE | _F_EXCL, body, f"create bridge {name}")


def add_dummy(name: str) -> Request:
    """An interface that is up and leads nowhere."""
    body = _link_header(up=True) + _text(_IFLA_IFNAME, name) + _nest(_IFLA_LINKINFO, _text(_INFO_KIND, "dummy"))
    return Request(_NEWLINK, _F_CREATE | _F_EXCL, body, f"create dummy {name}")


def add_veth(name: str, *, master: int, peer: str, peer_netns: int, peer_mac: str, mtu: int = 0) -> Request:
    """A veth pair: `name` up, as port of the bridge with index master; the peer, still down, directly in its namespace.

    One message does all of it: moving a made interface into a namespace would cost 16 ms instead of 0.4.
    (The kernel refuses to make the peer already up: when it would open it, the pair is not joined yet.)
    One queue is what it gives a veth in any case; unless told, it makes one for each processor first, and waits for the
    end of all readers when it takes them back, with everybody else locked out.
    """
    size = (_u32(_IFLA_MTU, mtu) if mtu else b"") + _u32(_IFLA_NUM_TX_QUEUES, 1) + _u32(_IFLA_NUM_RX_QUEUES, 1)
    there = _link_header() + _text(_IFLA_IFNAME, peer) + _mac(peer_mac) + size + _u32(_IFLA_NET_NS_FD, peer_netns)
    data = _nest(_INFO_DATA, _nest(_VETH_INFO_PEER, there))
    body = _link_header(up=True) + _text(_IFLA_IFNAME, name) + size + _u32(_IFLA_MASTER, master)
    body += _nest(_IFLA_LINKINFO, _text(_INFO_KIND, "veth"), data)
    return Request(_NEWLINK, _F_CREATE | _F_EXCL, body, f"create veth {name} with peer {peer}")


def add_child(
    name: str, *, kind: str, parent: int, mode: int, flags: int = 0, netns: int, mac: str = "", mtu: int = 0
) -> Request:
    """A macvlan or ipvlan interface of the one with index parent, still down, directly in the namespace with descriptor
    netns. mode, flags: as <linux/if_link.h> numbers them for this kind."""
    settings = (
        [_u32(_MACVLAN_MODE, mode)]
        if kind == "macvlan"
        else [_attribute(_IPVLAN_MODE, struct.pack("=H", mode)), _attribute(_IPVLAN_FLAGS, struct.pack("=H", flags))]
    )
    body = _link_header() + _text(_IFLA_IFNAME, name) + _u32(_IFLA_LINK, parent) + (_mac(mac) if mac else b"")
    body += (_u32(_IFLA_MTU, mtu) if mtu else b"") + _u32(_IFLA_NET_NS_FD, netns)
    body += _nest(_IFLA_LINKINFO, _text(_INFO_KIND, kind), _nest(_INFO_DATA, *settings))
    return Request(_NEWLINK, _F_CREATE | _F_EXCL, body, f"create {kind} {name}")


def _change_port(name: str, what: str, *settings: bytes) -> Request:
    info = _nest(_IFLA_LINKINFO, _text(_INFO_SLAVE_KIND, "bridge"), _nest(_INFO_SLAVE_DATA, *settings))
    return Request(_NEWLINK, 0, _link_header() + _text(_IFLA_IFNAME, name) + info, f"{what} bridge port {name}")


def set_port(name: str, *, isolated: bool = False, hairpin: bool = False) -> Request:
    """isolated: ports of one bridge that are so cannot reach each other, only the bridge itself and ports that are not.
    hairpin: frames may leave by the port through which they came."""
    flags = _attribute(_BRPORT_ISOLATED, bytes([isolated])), _attribute(_BRPORT_MODE, bytes([hairpin]))
    return _change_port(name, "set up", *flags)


def disable_port(name: str) -> Request:
    """The port passes nothing more in either direction, and the bridge forgets the MACs that it learned there."""
    return _change_port(name, "disable", _attribute(_BRPORT_STATE, b"\0"), _attribute(_BRPORT_FLUSH, b""))


def set_up(index: int) -> Request:
    return Request(_NEWLINK, 0, _link_header(index, up=True), f"set interface {index} up")


def delete_link(name: str) -> Request:
    """Slow for a veth (the kernel waits 16 ms): keep it off the path that somebody waits on."""
    return Request(_DELLINK, 0, _link_header() + _text(_IFLA_IFNAME, name), f"delete interface {name}")


def _family(address: IPv4Address | IPv6Address) -> int:
    return _FAMILIES[address.version]


def add_address(index: int, ip: str, prefix: int) -> Request:
    """An IPv6 address is usable at once, without a search for duplicates."""
    address = ip_address(ip)
    flags = _IFA_F_NODAD if address.version == 6 else 0
    header = struct.pack("=BBBBi", _family(address), prefix, flags, _SCOPE_UNIVERSE, index)
    body = header + _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed)
    if address.version == 4 and prefix < 31:
        body += _attribute(_IFA_BROADCAST, IPv4Network((ip, prefix), strict=False).broadcast_address.packed)
    return Request(_NEWADDR, _F_CREATE | _F_REPLACE, body, f"add address {ip}/{prefix} to interface {index}")


def set_default_route(gateway: str, index: int) -> Request:
    """The one default route of the main table, in the gateway's family, now leads to this gateway."""
    address = ip_address(gateway)
    return _default_route(_family(address), index, _attribute(_RTA_GATEWAY, address.packed), f"via {gateway}")


def set_default_interface(version: int, index: int) -> Request:
    """The one default route of the IP version now leads out of the interface, without a gateway."""
    return _default_route(_FAMILIES[version], index, b"", f"by interface {index}")


def _default_route(family: int, index: int, gateway: bytes, words: str) -> Request:
    scope = _SCOPE_UNIVERSE if gateway or family == socket.AF_INET6 else _SCOPE_LINK
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _TABLE_MAIN, _PROTO_BOOT, scope, _UNICAST, 0)
    body += gateway + _u32(_RTA_OIF, index)
    return Request(_NEWROUTE, _F_CREATE | _F_REPLACE, body, f"route default {words}")


# -- decoding -------------------------------------------------------------------------------------------------------


def _attributes(data: memoryview) -> dict[int, memoryview]:
    found: dict[int, memoryview] = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def _string(data: memoryview | None) -> str:
    return bytes(data or b"").rstrip(b"\0").decode(errors="replace")


def _number(data: memoryview | None) -> int:
    return int(struct.unpack_from("=I", data)[0]) if data is not None else 0


def _dotted(data: memoryview | None) -> str:
    return str(ip_address(bytes(data))) if data is not None else ""


def _decode_link(body: memoryview) -> Link:
    index, flags = struct.unpack_from("=4xiI", body)
    found = _attributes(body[16:])
    info = _attributes(found.get(_IFLA_LINKINFO, body[:0]))
    return Link(
        index, _string(found.get(_IFLA_IFNAME)), _string(info.get(_INFO_KIND)), bool(flags & _IFF_UP),
        _number(found.get(_IFLA_MTU)), bytes(found.get(_IFLA_ADDRESS, b"")).hex(":"), _number(found.get(_IFLA_MASTER)),
    )  # fmt: skip


class Netlink:
    """A socket of the calling thread's namespace. One thread at a time; close it, or use it in a `with`."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def run(self, *requests: Request) -> None:
        """Do all of them, in order, by one sendmsg. Raises OSError for the first that failed; later ones were still tried."""
        packets = []
        waiting: dict[int, Request] = {}
        for request in requests:
            self._sequence += 1
            waiting[self._sequence] = request
            packets.append(_packet(request.kind, request.flags | _F_ACK, self._sequence, request.body))
        self._socket.sendmsg(packets)
        failed: OSError | None = None
        while waiting:
            for kind, flags, sequence, body in self._receive():
                request_done = waiting.pop(sequence, None) if kind == _NLMSG_ERROR else None
                if request_done is not None and failed is None:
                    failed = _error(body, flags, request_done.what)
        if failed is not None:
            raise failed

    def links(self) -> list[Link]:
        return [_decode_link(body) for body in self._dump(_GETLINK, _link_header())]

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links() if link.name == name), None)

    def addresses(self, version: int = 4) -> list[Address]:
        """Addresses of every interface, of one IP version."""
        found = []
        for body in self._dump(_GETADDR, struct.pack("=BBBBi", _FAMILIES[version], 0, 0, 0, 0)):
            prefix, index = struct.unpack_from("=xBxxi", body)
            held = _attributes(body[8:])
            found.append(Address(index, _dotted(held.get(_IFA_LOCAL, held.get(_IFA_ADDRESS))), prefix))
        return found

    def routes(self, version: int = 4) -> list[Route]:
        """Unicast routes of every table but `local`, of one IP version."""
        found = []
        for body in self._dump(_GETROUTE, struct.pack("=BBBBBBBBI", _FAMILIES[version], 0, 0, 0, 0, 0, 0, 0, 0)):
            prefix, table, kind = struct.unpack_from("=xBxxBxxB", body)
            if table == _TABLE_LOCAL or kind != _UNICAST:
                continue
            rest = _attributes(body[12:])
            destination = ip_network((_dotted(rest.get(_RTA_DST)) or ("0.0.0.0" if version == 4 else "::"), prefix))
            found.append(Route(destination, _dotted(rest.get(_RTA_GATEWAY)), _number(rest.get(_RTA_OIF))))
        return found

    def _dump(self, kind: int, body: bytes) -> list[memoryview]:
        self._sequence += 1
        self._socket.send(_packet(kind, _F_DUMP, self._sequence, body))
        found: list[memoryview] = []
        while True:
            for answer, flags, sequence, data in self._receive():
                if sequence != self._sequence:
                    continue
                if answer == _NLMSG_ERROR and (failed := _error(data, flags, f"dump {kind}")) is not None:
                    raise failed
                if answer in (_NLMSG_DONE, _NLMSG_ERROR):
                    return found
                found.append(data)

    def _receive(self) -> Iterator[tuple[int, int, int, memoryview]]:
        data = memoryview(self._socket.recv(1 << 18))
        while len(data) >= 16:
            length, kind, flags, sequence = struct.unpack_from("=IHHI", data)
            yield kind, flags, sequence, data[16:length]
            data = data[(length + 3) & ~3 :]


def _packet(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags | _F_REQUEST, sequence, 0) + body


def _error(body: memoryview, flags: int, what: str) -> OSError | None:
    (number,) = struct.unpack_from("=i", body)
    if number == 0:
        return None
    reason = os.strerror(-number)
    if flags & _F_ACK_TLVS and (told := _string(_attributes(body[20:]).get(_ERROR_MESSAGE))):
        reason = f"{reason} ({told})"
    return OSError(-number, f"netlink: {what}: {reason}")


def index_of(name: str) -> int:
    """The index of an interface in the calling thread's namespace. Raises OSError naming it."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise OSError(error.errno, f"netlink: no interface {name}") from error


def overlapping(routes: Sequence[Route]) -> list[IPv4Network | IPv6Network]:
    """What the host already routes somewhere: not the default route, and not IPv6's link-local addresses."""
    return [
        route.destination for route in routes if route.destination.prefixlen and not route.destination.is_link_local
    ]
