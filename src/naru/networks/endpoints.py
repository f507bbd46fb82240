"""Containers on networks: attach, detach, connect, disconnect, restore.

An address is held, in the catalog, from the moment it is chosen until everything is undone, and after the end of a container
until its interface is silent: between reading what is free and holding it nothing is awaited. Callers serialise what concerns one container.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from naru.errors import Internal, InvalidArgument
from naru.events import Bus, Event
from naru.linux.netlink import Netlink
from naru.networks import bridge, interfaces, plan, ruleset
from naru.networks.blocking import finish, in_namespace, in_thread, settle, start_in_namespace
from naru.networks.catalog import Catalog
from naru.networks.firewall import Firewall
from naru.networks.names import Names
from naru.networks.publishing import Publishing
from naru.networks.records import BRIDGE, HOST, NULL, Endpoint, EndpointRequest, Member, Network, PortRequest

log = logging.getLogger(__name__)


class Endpoints:
    def __init__(self, catalog: Catalog, firewall: Firewall, bus: Bus, resolv_conf: str) -> None:
        self._catalog = catalog
        self._firewall = firewall
        self._bus = bus
        self._publishing = Publishing(catalog.by_id)
        self._names = Names(catalog, firewall.table, resolv_conf)
        self._leaving: dict[asyncio.Future[None], Sequence[Endpoint]] = {}  # whose interfaces may still answer

    def close(self) -> None:
        """Stop serving: ports and names. What the kernel does goes on."""
        self._names.close()
        self._publishing.close()

    def check(self, request: EndpointRequest) -> Network:
        """The network that is asked for. Raises NotFound; InvalidArgument for settings which it cannot honour."""
        network = self._catalog.resolve(request.network)
        plan.check(network, request)
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
        await self._wait_left()
        pairs = self._plan(member, requests, ())
        if len(pairs) > 1 and any(network.driver in (HOST, NULL) for _, network in pairs):
            raise InvalidArgument(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
            )
        endpoints = plan.elect([end for end, _ in pairs])
        async with AsyncExitStack() as undo:
            bindings = self._publishing.reserve(undo, ports, endpoints)
            endpoints, _ = plan.distribute(bindings, endpoints, self._catalog.by_id)
            await self._realise(undo, netns_fd, endpoints)
            await self._names.serve(undo, member.id, netns_fd, upstreams)
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
        await self._wait_left()
        network = self.check(request)
        held = self._catalog.endpoints_of(member.id)
        drivers = {self._catalog.by_id(end.network_id).driver for end in held}
        plan.check_connect(member, network, held, drivers)
        [(new, _)] = self._plan(member, [request], held)
        elected = plan.elect([*held, new])
        async with AsyncExitStack() as undo:
            bindings = [port for end in held for port in end.ports] or self._publishing.reserve(undo, ports, elected)
            [*rest, new], lost = plan.distribute(bindings, elected, self._catalog.by_id)
            plugging = self._start_plugging(undo, netns_fd, [new])  # takes the default routes, too
            if new.primary or new.primary6:
                undo.push_async_callback(self._route, netns_fd, plan.primary(held), plan.primary6(held))
            self._change([*held, replace(new, ports=())], [*rest, new], undo)
            if plugging is not None:
                await finish(_what(member.id), plugging)
            await self._names.serve(undo, member.id, netns_fd, upstreams)
            undo.pop_all()
        self._publishing.release(lost)
        self._tell("connect", [new])
        return new

    async def disconnect(self, container_id: str, text: str, netns_fd: int) -> None:
        """Take a running container off a network. Its ports and default route go to the next one that has a gateway.
        Raises NotFound; Internal, in Docker's words, if it is not on the network."""
        network = self._catalog.resolve(text)
        held = self._catalog.endpoints_of(container_id)
        leaving = next((end for end in held if end.network_id == network.id), None)
        if leaving is None or network.driver == HOST:
            raise Internal(f"container {container_id} is not connected to network {network.name}")
        rest = [end for end in held if end is not leaving]
        bindings = [port for end in held for port in end.ports]
        following, lost = plan.distribute(bindings, plan.elect(rest), self._catalog.by_id)
        gone = replace(leaving, primary=False, primary6=False, ports=())
        self._change([leaving, *rest], [gone, *following])
        self._publishing.release(lost)
        if not any(self._catalog.by_id(end.network_id).named for end in rest):
            self._names.stop(container_id)
        try:
            await self._unplug(netns_fd, leaving, network)
            end = plan.primary(following) if leaving.primary else None
            await self._route(netns_fd, end, plan.primary6(following) if leaving.primary6 else None)
        finally:
            self._release([gone])
        self._tell("disconnect", [gone])

    async def detach(self, container_id: str) -> None:
        """Give back everything of a container that has ended: ports, addresses, names. The kernel removes its
        interfaces by itself. Nothing happens if it is on no network."""
        self._names.stop(container_id)
        endpoints = self._catalog.endpoints_of(container_id)
        if not endpoints:
            return
        self._release(endpoints)
        self._silence(endpoints)
        self._tell("disconnect", endpoints)

    async def restore(self, member: Member, netns_fd: int, upstreams: Sequence[str] = ()) -> list[Endpoint]:
        """Take up again a container that ran on without us: hold its ports, answer its questions. Raises Internal."""
        endpoints = self._catalog.endpoints_of(member.id)
        for endpoint in endpoints:
            self._publishing.reserve_again(endpoint)
        async with AsyncExitStack() as undo:
            await self._names.serve(undo, member.id, netns_fd, upstreams)
            undo.pop_all()
        return endpoints

    def rename(self, member: Member) -> None:
        """The container's endpoints, and its neighbours' questions, know it by its new name from now on."""
        self._catalog.put_endpoints(
            [
                replace(
                    end,
                    container_name=member.name,
                    dns_names=plan.dns_names(member, end.aliases) if end.dns_names else (),
                )
                for end in self._catalog.endpoints_of(member.id)
            ]
        )

    # -- steps, each with its undo

    def _plan(
        self, member: Member, requests: Sequence[EndpointRequest], held: Sequence[Endpoint]
    ) -> list[tuple[Endpoint, Network]]:
        wishes = [(request, self.check(request)) for request in requests]
        return plan.endpoints(member, wishes, held, self._used, partial(secrets.token_hex, 32))

    def _used(self, network_id: str) -> set[str]:
        """Addresses that nobody else may have yet."""
        leaving = {
            ip for ends in self._leaving.values() for e in ends if e.network_id == network_id for ip in (e.ip, e.ip6)
        }
        return self._catalog.used(network_id) | leaving

    def _silence(self, endpoints: Sequence[Endpoint]) -> None:
        """Close the ports of a container that has ended, in a thread: this may wait for the kernel as it removes others."""
        veths = [end.veth for end in endpoints if self._catalog.by_id(end.network_id).driver == BRIDGE]
        if veths:
            silencing = asyncio.get_running_loop().run_in_executor(None, bridge.silence, veths)
            self._leaving[silencing] = endpoints
            silencing.add_done_callback(self._left)

    def _left(self, silencing: asyncio.Future[None]) -> None:
        endpoints = self._leaving.pop(silencing)
        if not silencing.cancelled() and (error := silencing.exception()) is not None:
            log.warning("%s: it may answer for a moment yet: %s", _what(endpoints[0].container_id), error)

    async def _wait_left(self) -> None:
        """Nobody holds an address any more whose container has ended before: the lowest free one is what it seems to be."""
        if self._leaving:
            await asyncio.wait(list(self._leaving))

    async def _realise(self, undo: AsyncExitStack, netns_fd: int, endpoints: Sequence[Endpoint]) -> None:
        """Record the endpoints, make their interfaces and firewall elements. Raises Internal."""
        plugging = self._start_plugging(undo, netns_fd, endpoints)
        # meanwhile: the kernel takes a millisecond for the interfaces
        elements = [element for end in endpoints for element in self._elements(end)]
        self._firewall.change(add=elements)
        undo.callback(self._firewall.change, remove=elements)
        self._publishing.serve(endpoints)
        undo.callback(self._publishing.unserve, endpoints)
        if plugging is not None:
            await finish(_what(endpoints[0].container_id), plugging)

    def _start_plugging(
        self, undo: AsyncExitStack, netns_fd: int, endpoints: Sequence[Endpoint]
    ) -> asyncio.Future[None] | None:
        """Hold the endpoints, and begin to make their interfaces; None where they have none. Raises Internal."""
        pairs = [(end, self._catalog.by_id(end.network_id)) for end in endpoints if end.interface]
        plugging = None
        if pairs:
            what = _what(endpoints[0].container_id)
            try:
                wires = interfaces.wires(pairs)
                host = Netlink()
            except OSError as error:
                raise Internal(f"{what}: {error}") from error
            plugging = start_in_namespace(netns_fd, partial(interfaces.plug, host, wires))
            plugging.add_done_callback(lambda _: host.close())
            for end, network in pairs:
                undo.push_async_callback(self._unplug, netns_fd, end, network)
            undo.push_async_callback(settle, plugging)
        self._catalog.put_endpoints(endpoints)
        undo.callback(self._catalog.drop_endpoints, endpoints)
        return plugging

    async def _unplug(self, netns_fd: int, end: Endpoint, network: Network) -> None:
        if network.driver == BRIDGE:
            await in_thread(_what(end.container_id), partial(bridge.remove, end.veth))
        elif end.interface:
            await in_namespace(_what(end.container_id), netns_fd, partial(interfaces.unplug, end.interface))

    async def _route(self, netns_fd: int, end: Endpoint | None, end6: Endpoint | None) -> None:
        if end is not None or end6 is not None:
            what = _what((end or end6).container_id)  # type: ignore[union-attr]
            await in_namespace(what, netns_fd, partial(interfaces.route_through, end, end6))

    def _change(self, old: Sequence[Endpoint], new: Sequence[Endpoint], undo: AsyncExitStack | None = None) -> None:
        """Endpoints of a container get other ports and gateways, in one transaction of the firewall."""
        if undo is not None:
            undo.callback(self._change, new, old)
        self._publishing.unserve(old)
        self._catalog.put_endpoints(new)
        add = [element for end in new for element in self._elements(end)]
        remove = [element for end in old for element in self._elements(end)]
        self._firewall.change(
            add=[element for element in add if element not in remove],
            remove=[element for element in remove if element not in add],
        )
        self._publishing.serve(new)

    def _release(self, endpoints: Sequence[Endpoint]) -> None:
        self._publishing.unserve(endpoints)
        self._catalog.drop_endpoints(endpoints)
        self._firewall.change(remove=[element for end in endpoints for element in self._elements(end)])
        for end in endpoints:
            self._publishing.release(end.ports)

    def _elements(self, end: Endpoint) -> list[ruleset.Element]:
        return ruleset.of_endpoint(end, self._catalog.by_id(end.network_id).bridge)

    def _tell(self, action: str, endpoints: Sequence[Endpoint]) -> None:
        for end in endpoints:
            network = self._catalog.by_id(end.network_id)
            attributes = {"container": end.container_id, "name": network.name, "type": network.driver}
            self._bus.publish(Event("network", action, network.id, time.time_ns(), attributes))


def _what(container_id: str) -> str:
    return f"network of container {container_id[:12]}"
