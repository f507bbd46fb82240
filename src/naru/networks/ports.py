"""Host ports: reserved by really holding them.

The firewall leads a published port to its container, so no packet ever reaches our socket; it is held so that nobody
else on the host can have the port, and so that we learn who has it already. It is bound with SO_REUSEADDR (connections
of an earlier holder may linger for a minute) and listens (a socket that does not listen would not keep out another one
with SO_REUSEADDR). Sockets belong to the namespace of the thread that reserves.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from naru.errors import Conflict, InvalidArgument
from naru.networks.records import ANY, ANY6, PROTOCOLS, PortBinding, PortRequest

_FIRST, _LAST = 32768, 60999  # where free ports are looked for when the kernel cannot choose one
_TRIES = 20  # for a port that is free in both families
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_log = logging.getLogger(__name__)


def hosts(request: PortRequest, default: str, *, ipv4: bool, ipv6: bool) -> list[str]:
    """The host's addresses on which a request is to be published: both "any" ones if it names none and the network has
    no other default. ipv4, ipv6: what can be led to the container. Raises InvalidArgument."""
    text = request.host_ip or default
    try:
        ip = str(ip_address(text))
    except ValueError as error:
        raise InvalidArgument(f"invalid IP address: {text}") from error
    found = [ANY, ANY6] if not request.host_ip and ip == ANY else [ip]
    return [host for host in found if (ipv6 if ":" in host else ipv4)]


class Ports:
    def __init__(self) -> None:
        self._held: dict[tuple[str, int], dict[str, socket.socket | None]] = {}  # (proto, port) → host address → socket

    def reserve(self, request: PortRequest, hosts: Sequence[str] = (ANY,)) -> list[PortBinding]:
        """Hold a host port, the same on each of the host's addresses; none for no address. Where the host has no IPv6, its
        "any" address is left out. Raises Conflict ("port is already allocated"), InvalidArgument."""
        if request.proto not in PROTOCOLS:
            raise InvalidArgument("unknown protocol")
        first = request.host_port
        last = max(first, request.host_port_end)
        candidates = range(first, last + 1) if first else [0] * _TRIES
        for port in candidates[:-1]:
            try:
                return self._hold_all(request, hosts, port)
            except Conflict:
                continue
        return self._hold_all(request, hosts, candidates[-1])

    def _hold_all(self, request: PortRequest, hosts: Sequence[str], port: int) -> list[PortBinding]:
        bindings: list[PortBinding] = []
        try:
            for host in hosts:
                if host == ANY6 and len(hosts) > 1 and not _has_ipv6():
                    continue
                bindings.append(self._hold(request.proto, request.container_port, host, port))
                port = bindings[-1].host_port
        except BaseException:
            for binding in bindings:
                self.release(binding)
            raise
        return bindings

    def holder(self, binding: PortBinding) -> socket.socket | None:
        """The socket that holds it, for who serves the port in the daemon; it stays ours."""
        return self._held.get((binding.proto, binding.host_port), {}).get(binding.host_ip)

    def reserve_again(self, binding: PortBinding) -> None:
        """Take back the port of a container that has been running without us. If somebody else holds it by now, the
        container keeps it all the same, for the firewall comes first: that is only logged."""
        try:
            self._hold(binding.proto, binding.container_port, binding.host_ip, binding.host_port)
        except Conflict as error:
            _log.warning("port of a running container: %s", error)
            self._held.setdefault((binding.proto, binding.host_port), {}).setdefault(binding.host_ip, None)

    def release(self, binding: PortBinding) -> None:
        """The port is free when this returns; one that is not held is left alone."""
        held = self._held.get((binding.proto, binding.host_port), {})
        holder = held.pop(binding.host_ip, None)
        if holder is not None:
            holder.close()
        if not held:
            self._held.pop((binding.proto, binding.host_port), None)

    def close(self) -> None:
        """Let go of every port."""
        for held in self._held.values():
            for holder in held.values():
                if holder is not None:
                    holder.close()
        self._held.clear()

    def _hold(self, proto: str, container_port: int, ip: str, port: int) -> PortBinding:
        any_address = ANY6 if ":" in ip else ANY
        others = {host for host in self._held.get((proto, port), {}) if (":" in host) == (":" in ip)}
        if port and others and (ip == any_address or ip in others or any_address in others):
            raise Conflict(f"Bind for {ip}:{port} failed: port is already allocated")
        holder = _bind(proto, ip, port)
        if holder is not None:
            port = holder.getsockname()[1]
        elif port == 0:
            port = next(free for free in range(_FIRST, _LAST) if (proto, free) not in self._held)
        self._held.setdefault((proto, port), {})[ip] = holder
        return PortBinding(proto, container_port, ip, port)


def _has_ipv6() -> bool:
    return os.path.exists("/proc/net/if_inet6")


def _bind(proto: str, ip: str, port: int) -> socket.socket | None:
    """A socket that holds the port; None where the kernel knows no such sockets, so that nobody else can have one."""
    kind, number = _KINDS[proto]
    try:
        holder = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, kind, number)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return None
        raise
    try:
        if ":" in ip:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((ip, port))
        if kind == socket.SOCK_STREAM:
            holder.listen(0)
    except OSError as error:
        holder.close()
        reason, host = os.strerror(error.errno or 0).lower(), f"[{ip}]" if ":" in ip else ip
        raise Conflict(f"failed to bind host port {host}:{port}/{proto}: {reason}") from error
    except BaseException:
        holder.close()
        raise
    return holder
