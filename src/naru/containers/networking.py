"""Between a container's record and the networks: its sandbox, its endpoints, and the three files of name resolution.

A sandbox is a network namespace without a name: its descriptor is handed to the runtime as /proc/<our pid>/fd/<n>, the
container's processes keep it alive, and the kernel takes it away, interfaces and all, when they end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from naru.containers.records import Container
from naru.errors import Conflict, Internal, InvalidArgument, NaruError, NotFound
from naru.linux import netns
from naru.linux.files import write_atomic
from naru.networks import etcfiles
from naru.networks.records import Endpoint, EndpointRequest, Member, PortRequest
from naru.networks.service import Networks
from naru.wire.container import EndpointSettings, PortBinding

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_RESOLVED = "/run/systemd/resolve/resolv.conf"
Lookup = Callable[[str], Container | None]  # by full id


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a launch gets: `path` for the runtime (None: the host's namespace), files to bind, a descriptor to close."""

    path: str | None
    files: tuple[tuple[str, str], ...]
    fd: int = -1

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class Networking:
    def __init__(
        self, networks: Networks, directory: Callable[[str], str], lookup: Lookup, resolv_conf: str = "/etc/resolv.conf"
    ) -> None:
        self._networks = networks
        self._directory = directory
        self._lookup = lookup
        self._resolv_conf = resolv_conf

    # -- for answers ------------------------------------------------------------------------------------------------

    def endpoints(self, container_id: str) -> dict[str, Endpoint]:
        """A container's endpoints by network name, in the order it has them."""
        return {endpoint.network_name: endpoint for endpoint in self._networks.endpoints_of(container_id)}

    def network_ids(self) -> dict[str, str]:
        return {network.name: network.id for network in self._networks.list({})}

    # -- start, end ---------------------------------------------------------------------------------------------------

    async def join(self, record: Container, undo: AsyncExitStack) -> Sandbox:
        """Put a container that is about to start on its networks. All of it is undone by `undo`. Raises NaruErrors."""
        mode = record.host.network_mode
        if mode == "host":
            await self._attach(record, -1, undo)
            return Sandbox(None, self._write_files(record, [], host=True))
        if mode.startswith("container:"):
            return self._share(record, mode.removeprefix("container:"))
        fd = netns.create()
        try:
            endpoints = await self._attach(record, fd, undo) if record.networks else []
            files = self._write_files(record, endpoints, host=False)
        except BaseException:
            os.close(fd)
            raise
        return Sandbox(f"/proc/{os.getpid()}/fd/{fd}", files, fd)

    async def _attach(self, record: Container, fd: int, undo: AsyncExitStack) -> list[Endpoint]:
        requests = [endpoint_request(name, settings) for name, settings in record.networks.items()]
        try:
            endpoints = await self._networks.attach(
                member(record), fd, requests, port_requests(record), tuple(record.host.dns or ())
            )
        except NotFound as error:
            raise NotFound(f"failed to set up container networking: {error}") from error
        except NaruError as error:
            raise type(error)(f"failed to set up container networking: {error}") from error
        undo.push_async_callback(self._networks.detach, record.id)
        return endpoints

    def _share(self, record: Container, other_id: str) -> Sandbox:
        other = self._lookup(other_id)
        if other is None:
            raise Internal(f"joining network namespace of container: No such container: {other_id}")
        if not other.state.status.is_live:
            raise Conflict(
                f"cannot join network namespace of a non running container: container {other.name} is {other.state.status.value}"
            )
        folder = self._directory(other.id)
        files = tuple(
            (f"{folder}/{name}", f"/etc/{name}")
            for name in ("resolv.conf", "hostname", "hosts")
            if os.path.exists(f"{folder}/{name}")
        )
        if other.host.network_mode == "host":
            return Sandbox(None, files)
        return Sandbox(f"/proc/{other.state.pid}/ns/net", files)

    async def leave(self, record: Container) -> None:
        """Give back addresses, ports and names of a container that has ended. Idempotent."""
        await self._networks.detach(record.id)

    async def restore(self, record: Container) -> None:
        """Take up a container that ran on without us."""
        if record.host.network_mode.startswith("container:") or not self._networks.endpoints_of(record.id):
            return
        fd = netns.open_of(record.state.pid)
        try:
            await self._networks.restore(member(record), fd, tuple(record.host.dns or ()))
        finally:
            os.close(fd)

    def check(self, network: str, settings: EndpointSettings) -> None:
        """Raises NotFound, or InvalidArgument for settings that this network cannot honour."""
        if settings.mac_address and not _MAC.fullmatch(settings.mac_address):
            raise InvalidArgument(f"invalid JSON: address {settings.mac_address}: invalid MAC address")
        self._networks.check(endpoint_request(network, settings))

    async def connect(self, record: Container, network: str, settings: EndpointSettings) -> None:
        """Put a running container on one more network."""
        fd = netns.open_of(record.state.pid)
        try:
            await self._networks.connect(
                member(record),
                fd,
                endpoint_request(network, settings),
                port_requests(record),
                tuple(record.host.dns or ()),
            )
        finally:
            os.close(fd)
        self._rewrite_hosts(record)

    async def disconnect(self, record: Container, network: str) -> None:
        fd = netns.open_of(record.state.pid)
        try:
            await self._networks.disconnect(record.id, network, fd)
        finally:
            os.close(fd)
        self._rewrite_hosts(record)

    # -- files --------------------------------------------------------------------------------------------------------

    def _write_files(self, record: Container, endpoints: list[Endpoint], *, host: bool) -> tuple[tuple[str, str], ...]:
        folder, config = self._directory(record.id), record.config
        own = record.host
        if host and not (own.dns or own.dns_search or own.dns_options):
            resolv = _read(self._resolv_conf)
        else:
            resolv = etcfiles.resolv_conf(
                _read(self._resolv_conf), _read(_RESOLVED), embedded=any(end.dns_names for end in endpoints),
                dns=own.dns or (), search=own.dns_search or (), options=own.dns_options or (),
            )  # fmt: skip
        hosts = _read("/etc/hosts") if host else self._hosts(record, endpoints)
        if host and (extra := self._extra_hosts(record)):
            hosts += "".join(f"{ip}\t{name}\n" for name, ip in extra)
        texts = {"resolv.conf": resolv, "hostname": f"{config.hostname}\n", "hosts": hosts}
        for name, text in texts.items():
            write_atomic(f"{folder}/{name}", text.encode())
        return tuple((f"{folder}/{name}", f"/etc/{name}") for name in texts)

    def _hosts(self, record: Container, endpoints: list[Endpoint]) -> str:
        addresses = [end.ip for end in endpoints if end.ip]
        return etcfiles.hosts(addresses, record.config.hostname, record.config.domainname, self._extra_hosts(record))

    def _rewrite_hosts(self, record: Container) -> None:
        """In place: the container has the very file bound."""
        text = self._hosts(record, list(self.endpoints(record.id).values()))
        with open(f"{self._directory(record.id)}/hosts", "w") as file:
            file.write(text)

    def _extra_hosts(self, record: Container) -> list[tuple[str, str]]:
        out = []
        for entry in record.host.extra_hosts or []:
            name, _, address = entry.partition(":")
            out.append(
                (
                    name,
                    self._networks.resolve("bridge").pool.gateway if address == "host-gateway" else address.strip("[]"),
                )
            )
        for link in record.host.links or []:
            target, _, alias = link.partition(":")
            other = self._lookup(target)
            if other is not None:
                names = [alias.rpartition("/")[2] or other.name, other.config.hostname, other.name]
                out += [
                    (name, end.ip)
                    for end in self.endpoints(other.id).values()
                    if end.ip
                    for name in dict.fromkeys(names)
                ]
        return out


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def member(record: Container) -> Member:
    return Member(record.id, record.name, record.config.hostname)


def endpoint_request(network: str, settings: EndpointSettings) -> EndpointRequest:
    ipam = settings.ipam_config
    if ipam is not None and ipam.ipv6_address:
        raise InvalidArgument(
            f"invalid endpoint settings:\nno configured subnet contains IP address {ipam.ipv6_address}"
        )
    return EndpointRequest(
        network,
        tuple(settings.aliases or ()),
        tuple(settings.links or ()),
        ipam.ipv4_address if ipam else "",
        settings.mac_address,
        settings.gw_priority,
    )


def port_requests(record: Container) -> list[PortRequest]:
    """What is to be published: the bindings, and with PublishAllPorts every exposed port without one."""
    host, out = record.host, []
    for key, bindings in (host.port_bindings or {}).items():
        number, _, protocol = key.partition("/")
        for binding in bindings or [PortBinding()]:
            low, _, high = (binding.host_port).partition("-")
            out.append(PortRequest(protocol or "tcp", int(number), binding.host_ip, int(low or 0), int(high or 0)))
    if host.publish_all_ports:
        bound = {(request.container_port, request.proto) for request in out}
        for key in record.config.exposed_ports or {}:
            number, _, protocol = key.partition("/")
            if (int(number), protocol or "tcp") not in bound:
                out.append(PortRequest(protocol or "tcp", int(number)))
    return out
