"""Containers on networks: attach, detach, connect, disconnect, restore.

An address is held, in the catalog, from the moment it is chosen until everything is undone: between reading what is free
and holding it nothing is awaited. Callers serialise what concerns one container.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network

from naru.errors import Forbidden, Internal, InvalidArgument, NaruError
from naru.events import Bus, Event
from naru.linux.netlink import Netlink
from naru.networks import bridge, dns, dnsmessage, etcfiles, ipam, ruleset
from naru.networks.blocking import finish, in_namespace, in_thread, settle, start_in_namespace
from naru.networks.catalog import Catalog
from naru.networks.firewall import Firewall
from naru.networks.ports import ANY, Ports
from naru.networks.records import (
    BRIDGE,
    HOST,
    NULL,
    OPTION_BINDING,
    Endpoint,
    EndpointRequest,
    Member,
    Network,
    PortRequest,
)

_HOST_CONNECT = "cannot connect container to host network - container must be created in host network mode"
_NONE_CONNECT = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
_SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"


class Endpoints:
    def __init__(self, catalog: Catalog, firewall: Firewall, bus: Bus, resolv_conf: str) -> None:
        self._catalog = catalog
        self._firewall = firewall
        self._bus = bus
        self._resolv_conf = resolv_conf
        self._ports = Ports()
        self._resolvers: dict[str, dns.Resolver] = {}  # by container id

    def close(self) -> None:
        """Stop serving: ports and names. What the kernel does goes on."""
        for resolver in self._resolvers.values():
            resolver.close()
        self._resolvers.clear()
        self._ports.close()

    def check(self, request: EndpointRequest) -> Network:
        """The network that is asked for. Raises NotFound; InvalidArgument for settings which it cannot honour."""
        network = self._catalog.resolve(request.network)
        if not network.named:
            wrong = []
            if request.ip:
                wrong.append("user-specified IP address is supported on user-defined networks only")
            if request.aliases:
                wrong.append("network-scoped aliases are only supported for user-defined networks")
            if wrong:
                raise InvalidArgument("\n".join(["invalid endpoint settings:", *wrong]))
        return network

    async def attach(
        self,
        member: Member,
        netns_fd: int,
        requests: Sequence[EndpointRequest],
        ports: Sequence[PortRequest] = (),
        upstreams: Sequence[str] = (),
    ) -> list[Endpoint]:
        """Put a container that is about to start on its networks, the first of them as eth0, and publish its ports.

        upstreams: name servers to ask in place of the host's. On any error nothing of it is left. Raises NotFound,
        InvalidArgument, Forbidden (address taken), Conflict (port taken), Unavailable (no address left), Internal.
        """
        pairs = self._plan(member, requests, taken=0)
        if len(pairs) > 1 and any(network.driver != BRIDGE for _, network in pairs):
            raise InvalidArgument(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
            )
        endpoints = [end for end, _ in pairs]
        primary = _elect(endpoints)
        pairs = [(replace(end, primary=end is primary), network) for end, network in pairs]
        async with AsyncExitStack() as undo:
            endpoints = self._reserve(undo, pairs, ports)
            await self._realise(undo, netns_fd, endpoints)
            await self._serve_names(undo, member.id, netns_fd, upstreams)
            undo.pop_all()
        self._tell("connect", endpoints)
        return endpoints

    async def connect(
        self,
        member: Member,
        netns_fd: int,
        request: EndpointRequest,
        ports: Sequence[PortRequest] = (),
        upstreams: Sequence[str] = (),
    ) -> Endpoint:
        """Put a running container on one more network. If its gateway comes first now, the default route and the
        published ports move to it; ports: to be published if none are yet. Raises as attach does."""
        network = self.check(request)
        held = self._catalog.endpoints_of(member.id)
        self._check_connect(member, network, held)
        [(end, _)] = self._plan(member, [request], taken=len(held), interfaces={other.interface for other in held})
        before = next((other for other in held if other.primary), None)
        end = replace(end, primary=_elect([*held, end]) is end)
        what = _what(member.id)
        async with AsyncExitStack() as undo:
            if before is None or not end.primary:
                [end] = self._reserve(undo, [(end, network)], ports)
                await self._realise(undo, netns_fd, [end])
            else:
                end = replace(end, ports=before.ports)
                plugging = self._start_plugging(undo, netns_fd, [end])  # takes the default route, too
                undo.push_async_callback(in_namespace, what, netns_fd, partial(bridge.route_through, before))
                self._hold(undo, [end])
                self._move(before, end)
                undo.callback(self._move, end, before)
                await finish(what, plugging)
            await self._serve_names(undo, member.id, netns_fd, upstreams)
            undo.pop_all()
        self._tell("connect", [end])
        return end

    async def disconnect(self, container_id: str, text: str, netns_fd: int) -> None:
        """Take a running container off a network. Its ports and default route go to the next one that has a gateway.
        Raises NotFound; Internal, in Docker's words, if it is not on the network."""
        network = self._catalog.resolve(text)
        held = self._catalog.endpoints_of(container_id)
        leaving = next((end for end in held if end.network_id == network.id), None)
        if leaving is None or network.driver == HOST:
            raise Internal(f"container {container_id} is not connected to network {network.name}")
        rest = [end for end in held if end is not leaving]
        following = _elect(rest) if leaving.primary else None
        if following is not None:
            following = replace(following, primary=True, ports=leaving.ports)
            self._move(leaving, following)
            leaving = replace(leaving, primary=False, ports=())
        if not any(self._catalog.by_id(end.network_id).named for end in rest):
            self._close_resolver(container_id)
        try:
            if leaving.interface:
                await in_thread(_what(container_id), partial(bridge.remove, leaving.veth))
            if following is not None:
                await in_namespace(_what(container_id), netns_fd, partial(bridge.route_through, following))
        finally:
            self._release([leaving])
        self._tell("disconnect", [leaving])

    async def detach(self, container_id: str) -> None:
        """Give back everything of a container that has ended: ports, addresses, names. The kernel removes its
        interfaces by itself. Nothing happens if it is on no network."""
        self._close_resolver(container_id)
        endpoints = self._catalog.endpoints_of(container_id)
        if not endpoints:
            return
        veths = [end.veth for end in endpoints if end.interface]
        if veths:
            await in_thread(_what(container_id), partial(bridge.silence, veths))
        self._release(endpoints)
        self._tell("disconnect", endpoints)

    async def restore(self, member: Member, netns_fd: int, upstreams: Sequence[str] = ()) -> list[Endpoint]:
        """Take up again a container that ran on without us: hold its ports, answer its questions. Raises Internal."""
        endpoints = self._catalog.endpoints_of(member.id)
        for endpoint in endpoints:
            for port in endpoint.ports:
                self._ports.reserve_again(port)
        async with AsyncExitStack() as undo:
            await self._serve_names(undo, member.id, netns_fd, upstreams)
            undo.pop_all()
        return endpoints

    def rename(self, member: Member) -> None:
        """The container's endpoints, and its neighbours' questions, know it by its new name from now on."""
        self._catalog.put_endpoints(
            replace(end, container_name=member.name, dns_names=_dns_names(member, end.aliases) if end.dns_names else ())
            for end in self._catalog.endpoints_of(member.id)
        )

    # -- plan: values only

    def _plan(
        self, member: Member, requests: Sequence[EndpointRequest], taken: int, interfaces: set[str] | None = None
    ) -> list[tuple[Endpoint, Network]]:
        """New endpoints with their addresses; none held yet. eth names are the lowest free ones."""
        free = (
            f"eth{number}" for number in range(taken + len(requests) + 1) if f"eth{number}" not in (interfaces or ())
        )
        pairs: list[tuple[Endpoint, Network]] = []
        for request in requests:
            network = self.check(request)
            if any(other.id == network.id for _, other in pairs):
                raise InvalidArgument(f"network {network.name} is asked for twice")
            end = Endpoint(
                network.id,
                network.name,
                member.id,
                member.name,
                secrets.token_hex(32),
                aliases=request.aliases,
                links=request.links,
            )
            if network.driver == BRIDGE:
                used = self._catalog.used(network.id)
                pool = network.pool
                ip = ipam.claim(pool, request.ip, used) if request.ip else ipam.next_address(pool, used)
                end = replace(
                    end,
                    interface=next(free),
                    ip=ip,
                    mac=request.mac or ipam.mac_of(ip),
                    prefix=IPv4Network(pool.subnet).prefixlen,
                    gateway="" if network.internal else pool.gateway,
                    gateway_priority=request.gateway_priority,
                    dns_names=_dns_names(member, request.aliases) if network.named else (),
                )
            pairs.append((end, network))
        return pairs

    def _check_connect(self, member: Member, network: Network, held: Sequence[Endpoint]) -> None:
        drivers = {self._catalog.by_id(end.network_id).driver for end in held}
        if HOST in drivers:
            raise InvalidArgument(_SHARED)
        if network.driver == HOST:
            raise InvalidArgument(_HOST_CONNECT)
        if network.driver == NULL or NULL in drivers:
            raise InvalidArgument(_NONE_CONNECT)
        if any(end.network_id == network.id for end in held):
            raise Forbidden(f"endpoint with name {member.name} already exists in network {network.name}")

    # -- apply: each step with its undo

    def _reserve(
        self, undo: AsyncExitStack, pairs: Sequence[tuple[Endpoint, Network]], ports: Sequence[PortRequest]
    ) -> list[Endpoint]:
        """The endpoints, the primary one with its host ports, which are reserved."""
        endpoints = []
        for end, network in pairs:
            bindings = []
            for request in ports if end.primary else ():
                try:
                    binding = self._ports.reserve(request, network.options.get(OPTION_BINDING, ANY))
                except NaruError as error:
                    where = f"endpoint {end.container_name} ({end.endpoint_id})"
                    raise type(error)(f"driver failed programming external connectivity on {where}: {error}") from error
                undo.callback(self._ports.release, binding)
                bindings.append(binding)
            endpoints.append(replace(end, ports=tuple(bindings)))
        return endpoints

    async def _realise(self, undo: AsyncExitStack, netns_fd: int, endpoints: Sequence[Endpoint]) -> None:
        """Record the endpoints, make their interfaces and firewall elements. Raises Internal."""
        wired = [end for end in endpoints if end.interface]
        plugging = self._start_plugging(undo, netns_fd, wired) if wired else None
        self._hold(undo, endpoints)  # meanwhile: the kernel takes a millisecond for the interfaces
        elements = [element for end in endpoints for element in ruleset.of_endpoint(end)]
        self._firewall.change(add=elements)
        undo.callback(self._firewall.change, remove=elements)
        if plugging is not None:
            await finish(_what(wired[0].container_id), plugging)

    def _hold(self, undo: AsyncExitStack, endpoints: Sequence[Endpoint]) -> None:
        self._catalog.put_endpoints(endpoints)
        undo.callback(self._catalog.drop_endpoints, endpoints)

    def _start_plugging(
        self, undo: AsyncExitStack, netns_fd: int, endpoints: Sequence[Endpoint]
    ) -> asyncio.Future[None]:
        what = _what(endpoints[0].container_id)
        try:
            wires = bridge.wires([(end, self._catalog.by_id(end.network_id)) for end in endpoints])
            host = Netlink()
        except OSError as error:
            raise Internal(f"{what}: {error}") from error
        plugging = start_in_namespace(netns_fd, partial(bridge.plug, host, wires))
        plugging.add_done_callback(lambda _: host.close())
        for end in endpoints:
            undo.push_async_callback(in_thread, what, partial(bridge.remove, end.veth))
        undo.push_async_callback(settle, plugging)
        return plugging

    def _move(self, old: Endpoint, new: Endpoint) -> None:
        """Published ports lead to another endpoint of the same container, in one transaction."""
        self._catalog.put_endpoints([replace(old, primary=False, ports=()), new])
        self._firewall.change(add=ruleset.of_endpoint(new), remove=ruleset.of_endpoint(old))

    def _release(self, endpoints: Sequence[Endpoint]) -> None:
        self._catalog.drop_endpoints(endpoints)
        self._firewall.change(remove=[element for end in endpoints for element in ruleset.of_endpoint(end)])
        for end in endpoints:
            for port in end.ports:
                self._ports.release(port)

    def _tell(self, action: str, endpoints: Sequence[Endpoint]) -> None:
        for end in endpoints:
            network = self._catalog.by_id(end.network_id)
            attributes = {"container": end.container_id, "name": network.name, "type": network.driver}
            self._bus.publish(Event("network", action, network.id, time.time_ns(), attributes))

    # -- names

    async def _serve_names(
        self, undo: AsyncExitStack, container_id: str, netns_fd: int, upstreams: Sequence[str]
    ) -> None:
        if container_id in self._resolvers or not self._named(container_id):
            return
        opened = ExitStack()  # filled by the thread, so that a cancelled call knows what to close
        undo.callback(opened.close)
        work = partial(dns.listen, self._firewall.table, opened)
        sockets = await in_namespace(_what(container_id), netns_fd, work)
        resolver = dns.Resolver(
            sockets, partial(self._lookup, container_id), partial(self._upstreams, container_id, tuple(upstreams))
        )
        await resolver.start()
        self._resolvers[container_id] = resolver
        undo.callback(self._close_resolver, container_id)

    def _close_resolver(self, container_id: str) -> None:
        resolver = self._resolvers.pop(container_id, None)
        if resolver is not None:
            resolver.close()

    def _named(self, container_id: str) -> list[Endpoint]:
        return [end for end in self._catalog.endpoints_of(container_id) if self._catalog.by_id(end.network_id).named]

    def _lookup(self, container_id: str, query: dnsmessage.Query) -> list[bytes] | None:
        """What the container may know: the names on its own networks, and who has an address there."""
        networks = [end.network_id for end in self._named(container_id)]
        ip = dnsmessage.reversed_ip(query.name)
        if ip is not None:
            owners = [end for network in networks for end in self._catalog.endpoints_on(network) if end.ip == ip]
            names = [dnsmessage.pointer(f"{end.container_name}.{end.network_name}") for end in owners]
            return names if query.kind == dnsmessage.PTR and names else None
        wanted = {query.name, *_linked(self._named(container_id), query.name)}
        found = [end.ip for network in networks for name in wanted for end in self._catalog.called(network, name)]
        if not found:
            return None
        random.shuffle(found)  # several containers with one alias share the load
        return dnsmessage.addresses(found) if query.kind == dnsmessage.A else []

    def _upstreams(self, container_id: str, set_by_user: Sequence[str]) -> Sequence[str]:
        """Servers for other names; none for a container on internal networks alone: a question is a way out, too."""
        if not any(end.gateway for end in self._catalog.endpoints_of(container_id)):
            return ()
        if set_by_user:
            return set_by_user
        try:
            with open(self._resolv_conf) as file:
                return etcfiles.parse(file.read()).nameservers
        except FileNotFoundError:
            return ()


def _linked(endpoints: Sequence[Endpoint], name: str) -> set[str]:
    """The names of those that a container's links call `name`."""
    pairs = [link.lower().partition(":") for end in endpoints for link in end.links]
    return {target for target, _, alias in pairs if (alias or target) == name}


def _dns_names(member: Member, aliases: Sequence[str]) -> tuple[str, ...]:
    names = (member.name, *aliases, member.id[:12], member.hostname)
    return tuple(dict.fromkeys(name for name in names if name))


def _elect(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The endpoint with the container's default route: highest priority, then first network name."""
    candidates = [end for end in endpoints if end.gateway]
    return min(candidates, key=lambda end: (-end.gateway_priority, end.network_name), default=None)


def _what(container_id: str) -> str:
    return f"network of container {container_id[:12]}"
