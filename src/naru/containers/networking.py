"""Between a container's record and the networks: its sandbox, its endpoints, and the three files of name resolution.

A sandbox is a network namespace without a name: its descriptor is handed to the runtime as /proc/<our pid>/fd/<n>, the
container's processes keep it alive, and the kernel takes it away, interfaces and all, when they end.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from naru.containers.records import Container
from naru.containers.remap import Remap, applies, donors
from naru.errors import Conflict, Internal, InvalidArgument, NaruError, NotFound
from naru.linux import netns
from naru.linux.files import read_if_there, rewrite
from naru.linux.idmapped import Shift
from naru.networks import etcfiles, ipam
from naru.networks.records import Endpoint, EndpointRequest, Member, PortRequest
from naru.networks.service import Networks
from naru.wire.container import EndpointSettings, IPAMConfig, PortBinding

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_OPTION_IFNAME = "com.docker.network.endpoint.ifname"
_OPTION_SYSCTLS = "com.docker.network.endpoint.sysctls"
_RESOLVED = "/run/systemd/resolve/resolv.conf"
_FILES = ("resolv.conf", "hostname", "hosts")
Lookup = Callable[[str], Container | None]  # by full id


class Sandbox:
    """Where a container that is about to start will be: `files` to bind, still empty, and a network namespace. One of its
    own is made by `make`, for which interfaces may be waiting; close it when the container's processes are in it.

    `shifted` gives what is to be in a user namespace: that, and a network namespace within it (-1 if none is wanted)."""

    def __init__(
        self,
        files: tuple[tuple[str, str], ...],
        path: str | None = None,
        *,
        own: bool = False,
        shifted: Callable[[], tuple[Shift, int]] | None = None,
    ) -> None:
        self.files = files
        self.shift: Shift | None = None  # known when `make` has returned
        self._path = path
        self._own = own
        self._shifted = shifted
        self._closed = self._user_closed = self._is_made = False
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Future[int] = self._loop.create_future()
        if not own:
            self._made.set_result(-1)

    @property
    def is_shifted(self) -> bool:
        """The container is to have a user namespace."""
        return self._shifted is not None

    def make(self) -> str | None:
        """The namespace's path for the runtime (None: the host's); the files are there, to be mounted. Blocks; call it in a
        thread. Raises OSError."""
        if self._is_made:
            return self._path
        for path, _ in self.files:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
        if self._shifted is not None:
            self.shift, fd = self._shifted()
        elif self._own:
            fd = netns.create()
        else:
            return self._path
        self._is_made = True
        if self._own:
            self._path = f"/proc/{os.getpid()}/fd/{fd}"
        self._loop.call_soon_threadsafe(self._settle, fd)
        return self._path

    def _settle(self, fd: int) -> None:
        if self._own and not self._made.done():
            self._made.set_result(fd)
        elif fd >= 0:
            os.close(fd)
        self._close_user()

    def _close_user(self) -> None:
        """`shift` stays known: a launch that goes on must fail, and not be one without a user namespace."""
        if self._closed and self.shift is not None and not self._user_closed:
            os.close(self.shift.fd)
            self._user_closed = True

    async def wait_made(self) -> int:
        """Its descriptor, or -1 if it is not the container's own. Raises Internal once it is closed."""
        return await asyncio.shield(self._made)

    def close(self) -> None:
        """Idempotent."""
        self._closed = True
        self._close_user()
        if not self._made.done():
            self._made.set_exception(Internal("no network namespace was made"))
            self._made.exception()  # looked at, whether or not somebody waits
        elif self._made.exception() is None and self._made.result() >= 0:
            os.close(self._made.result())
            self._made = self._loop.create_future()
            self.close()


class Networking:
    def __init__(
        self, networks: Networks, directory: Callable[[str], str], lookup: Lookup, resolv_conf: str = "/etc/resolv.conf"
    ) -> None:
        self._networks = networks
        self._directory = directory
        self._lookup = lookup
        self._resolv_conf = resolv_conf
        self.remap: Remap | None = None  # of containers that do not opt out

    # -- for answers ------------------------------------------------------------------------------------------------

    def endpoints(self, container_id: str) -> dict[str, Endpoint]:
        """A container's endpoints by network name, in the order it has them."""
        return {endpoint.network_name: endpoint for endpoint in self._networks.endpoints_of(container_id)}

    def network_ids(self) -> dict[str, str]:
        return {network.name: network.id for network in self._networks.list({})}

    def links(self, record: Container) -> list[str]:
        """Its links to containers of the default bridge as `inspect` shows them: /target:/container/alias."""
        found = [(self._lookup(target), target, alias) for target, alias in _links(record)]
        return [f"/{other.name if other else id[:12]}:/{record.name}/{alias}" for other, id, alias in found]

    def linked_names(self, records: Iterable[Container]) -> dict[str, list[str]]:
        """By the id of a container of the default bridge: what those that are linked to it call it, /container/alias."""
        found: dict[str, list[str]] = {}
        for record in records:
            for target, alias in _links(record):
                found.setdefault(target, []).append(f"/{record.name}/{alias}")
        return found

    # -- start, end ---------------------------------------------------------------------------------------------------

    def sandbox(self, record: Container) -> Sandbox:
        """For a container that is about to start. Raises NotFound and Conflict for one that is another container's,
        Internal for a link to one that does not run."""
        mode = record.host.network_mode
        if mode.startswith("container:"):
            return self._share(record, mode.removeprefix("container:"))
        self._check_links(record)
        folder = self._directory(record.id)
        files = tuple((f"{folder}/{name}", f"/etc/{name}") for name in _FILES)
        return Sandbox(files, own=mode != "host", shifted=self._shifted(record))

    def _shifted(self, record: Container) -> Callable[[], tuple[Shift, int]] | None:
        if self.remap is None or not applies(record.host):
            return None
        found = [self._lookup(id) for id in donors(record.host)]
        return self.remap.shifted(
            record, [donor for donor in found if donor is not None and donor.state.status.is_live]
        )

    async def join(self, record: Container, sandbox: Sandbox, undo: AsyncExitStack) -> None:
        """Put the container on its networks, and write its files. All of it is undone by `undo`. Raises NaruErrors."""
        mode = record.host.network_mode
        if mode.startswith("container:"):
            return
        host = mode == "host"
        fd = await sandbox.wait_made()
        endpoints = await self._attach(record, fd, undo) if record.networks or host else []
        self._write_files(record, [] if host else endpoints, host=host)

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
        self._tell_linked(record)
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
        files = tuple((f"{folder}/{name}", f"/etc/{name}") for name in _FILES if os.path.exists(f"{folder}/{name}"))
        path = None if other.host.network_mode == "host" else f"/proc/{other.state.pid}/ns/net"
        return Sandbox(files, path, shifted=self._shifted(record))

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
        for ip in _addresses(settings):
            ipam.parse(ip)
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
        self.rewrite_hosts(record)

    async def disconnect(self, record: Container, network: str) -> None:
        fd = netns.open_of(record.state.pid)
        try:
            await self._networks.disconnect(record.id, network, fd)
        finally:
            os.close(fd)
        self.rewrite_hosts(record)

    # -- files --------------------------------------------------------------------------------------------------------

    def _write_files(self, record: Container, endpoints: list[Endpoint], *, host: bool) -> None:
        """In place: the container has the very files bound."""
        folder, config = self._directory(record.id), record.config
        own = record.host
        if host and not (own.dns or own.dns_search or own.dns_options):
            resolv = read_if_there(self._resolv_conf)
        else:
            resolv = etcfiles.resolv_conf(
                read_if_there(self._resolv_conf), read_if_there(_RESOLVED), embedded=any(end.dns_names for end in endpoints),
                dns=own.dns or (), search=own.dns_search or (), options=own.dns_options or (),
            )  # fmt: skip
        hosts = read_if_there("/etc/hosts") if host else self._hosts(record, endpoints)
        if host and (extra := self._extra_hosts(record)):
            hosts += "".join(f"{ip}\t{name}\n" for name, ip in extra)
        for name, text in zip(_FILES, (resolv, f"{config.hostname}\n", hosts), strict=True):
            rewrite(f"{folder}/{name}", text.encode("utf-8", "surrogateescape"))

    def _hosts(self, record: Container, endpoints: list[Endpoint]) -> str:
        addresses = [ip for end in endpoints for ip in (end.ip, end.ip6) if ip]
        return etcfiles.hosts(addresses, record.config.hostname, record.config.domainname, self._extra_hosts(record))

    def rewrite_hosts(self, record: Container) -> None:
        """In place: the container has the very file bound."""
        text = self._hosts(record, list(self.endpoints(record.id).values()))
        rewrite(f"{self._directory(record.id)}/hosts", text.encode("utf-8", "surrogateescape"))

    def _extra_hosts(self, record: Container) -> list[tuple[str, str]]:
        out = []
        for entry in record.host.extra_hosts or []:
            name, _, address = entry.partition(":")
            out.append((name, self._host_gateway() if address == "host-gateway" else address.strip("[]")))
        for target, alias in _links(record):
            other = self._lookup(target)
            if other is not None:
                names = " ".join(dict.fromkeys((alias or other.name, other.config.hostname, other.name)))
                out += [(names, ip) for end in self.endpoints(other.id).values() for ip in (end.ip, end.ip6) if ip]
        return out

    def _tell_linked(self, record: Container) -> None:
        """Containers that are linked to this one learn its new address."""
        if "bridge" not in record.networks:
            return
        for end in self._networks.endpoints_on(self._networks.resolve("bridge").id):
            other = self._lookup(end.container_id)
            if other is not None and any(target == record.id for target, _ in _links(other)):
                self.rewrite_hosts(other)

    def _host_gateway(self) -> str:
        pool = self._networks.resolve("bridge").pool4
        return pool.gateway if pool else ""

    def _check_links(self, record: Container) -> None:
        """A container starts only when those run to which it is linked. Raises Internal."""
        for target, alias in _links(record):
            other = self._lookup(target)
            if other is None or not other.state.status.is_live:
                name = other.name if other else target[:12]
                raise Internal(f"Cannot link to a non running container: /{name} AS /{record.name}/{alias}")


def member(record: Container) -> Member:
    return Member(record.id, record.name, record.config.hostname)


def _links(record: Container) -> list[tuple[str, str]]:
    """(id, alias) of the containers to which it is linked, on the default bridge; elsewhere links are the endpoint's."""
    if record.host.network_mode not in ("", "default", "bridge"):
        return []
    pairs = [link.partition(":") for link in record.host.links or []]
    return [(target, alias.rpartition("/")[2]) for target, _, alias in pairs]


def _addresses(settings: EndpointSettings) -> list[str]:
    config = settings.ipam_config or IPAMConfig()
    return [ip for ip in (config.ipv4_address, config.ipv6_address, *(config.link_local_ips or ())) if ip]


def endpoint_request(network: str, settings: EndpointSettings) -> EndpointRequest:
    config, options = settings.ipam_config or IPAMConfig(), settings.driver_opts or {}
    return EndpointRequest(
        network,
        tuple(settings.aliases or ()),
        tuple(settings.links or ()),
        config.ipv4_address,
        settings.mac_address,
        settings.gw_priority,
        config.ipv6_address,
        tuple(config.link_local_ips or ()),
        options.get(_OPTION_IFNAME, ""),
        tuple(text for text in options.get(_OPTION_SYSCTLS, "").split(",") if text),
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
