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
from ipaddress import IPv4Address

from naru.errors import Conflict, InvalidArgument, Unsupported
from naru.networks.records import PROTOCOLS, PortBinding, PortRequest

ANY = "0.0.0.0"
_FIRST, _LAST = 32768, 60999  # where free ports are looked for when the kernel cannot choose one
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_log = logging.getLogger(__name__)


class Ports:
    def __init__(self) -> None:
        self._held: dict[tuple[str, int], dict[str, socket.socket | None]] = {}  # (proto, port) → host address → socket

    def reserve(self, request: PortRequest, default_ip: str = ANY) -> PortBinding:
        """Hold a host port as requested. Raises Conflict ("port is already allocated"), InvalidArgument, Unsupported."""
        if request.proto not in PROTOCOLS:
            raise InvalidArgument("unknown protocol")
        ip = _checked(request.host_ip or default_ip)
        first = request.host_port
        for port in range(first, max(first, request.host_port_end) + 1):
            try:
                return self._hold(request.proto, request.container_port, ip, port)
            except Conflict:
                if port >= request.host_port_end:
                    raise
        raise AssertionError("a range has at least one port")

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
        others = self._held.get((proto, port), {})
        if port and others and (ip == ANY or ip in others or ANY in others):
            raise Conflict(f"Bind for {ip}:{port} failed: port is already allocated")
        holder = _bind(proto, ip, port)
        if holder is not None:
            port = holder.getsockname()[1]
        elif port == 0:
            port = next(free for free in range(_FIRST, _LAST) if (proto, free) not in self._held)
        self._held.setdefault((proto, port), {})[ip] = holder
        return PortBinding(proto, container_port, ip, port)


def _checked(ip: str) -> str:
    if ":" in ip:
        raise Unsupported(f"cannot publish on host address {ip}: IPv6 is not supported")
    try:
        return str(IPv4Address(ip))
    except ValueError as error:
        raise InvalidArgument(f"invalid IP address: {ip}") from error


def _bind(proto: str, ip: str, port: int) -> socket.socket | None:
    """A socket that holds the port; None where the kernel knows no such sockets, so that nobody else can have one."""
    kind, number = _KINDS[proto]
    try:
        holder = socket.socket(socket.AF_INET, kind, number)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return None
        raise
    try:
        if kind == socket.SOCK_STREAM:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((ip, port))
        if kind == socket.SOCK_STREAM:
            holder.listen(0)
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"Bind for {ip}:{port} failed: port is already allocated") from error
        reason = os.strerror(error.errno or 0).lower()
        raise Conflict(f"failed to bind host port {ip}:{port}/{proto}: {reason}") from error
    except BaseException:
        holder.close()
        raise
    return holder
