"""Published ports: host ports held, and those relayed that the firewall cannot lead to the container.

Owns the sockets. Which endpoint a port leads to is said by `plan`; the firewall's elements are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack

from naru.errors import NaruError
from naru.networks import plan
from naru.networks.ports import Ports, hosts
from naru.networks.records import ANY, ANY6, BRIDGE, OPTION_BINDING, Endpoint, Network, PortBinding, PortRequest
from naru.networks.relay import Relay


class Publishing:
    def __init__(self, network: Callable[[str], Network]) -> None:
        self._network = network  # by id
        self._ports = Ports()
        self._relays: dict[PortBinding, Relay] = {}

    def close(self) -> None:
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()
        self._ports.close()

    def reserve(
        self, undo: AsyncExitStack, requests: Iterable[PortRequest], endpoints: Sequence[Endpoint]
    ) -> list[PortBinding]:
        """Hold the host ports that a container with these endpoints shall have. Raises Conflict, InvalidArgument."""
        bindings: list[PortBinding] = []
        for request in requests:
            try:
                bindings += self._reserve(undo, request, endpoints)
            except NaruError as error:
                end = plan.primary(endpoints) or plan.primary6(endpoints)
                where = f"endpoint {end.container_name} ({end.endpoint_id})" if end else "endpoint"
                raise type(error)(f"driver failed programming external connectivity on {where}: {error}") from error
        return bindings

    def _reserve(self, undo: AsyncExitStack, request: PortRequest, endpoints: Sequence[Endpoint]) -> list[PortBinding]:
        found: list[PortBinding] = []
        held = {}
        default = ANY
        for host in (ANY6, ANY):
            end = plan.publisher(endpoints, host)
            network = self._network(end.network_id) if end is not None else None
            held[host] = network is not None and network.driver == BRIDGE
            if end is None or network is None or network.driver != BRIDGE:
                continue
            default = network.options.get(OPTION_BINDING, ANY)
            own_family = bool(end.ip6 if host == ANY6 else end.ip)
            if own_family and plan.routed(network, host):
                held[host] = False
                if not request.host_ip or (":" in request.host_ip) == (host == ANY6):
                    found.insert(0, PortBinding(request.proto, request.container_port, host, 0))
        wanted = hosts(request, default, ipv4=held[ANY], ipv6=held[ANY6])
        bindings = self._ports.reserve(request, wanted)
        for binding in bindings:
            undo.callback(self._ports.release, binding)
        return [*bindings, *found]

    def reserve_again(self, endpoint: Endpoint) -> None:
        """Take back the ports of a container that has been running without us."""
        for port in endpoint.ports:
            if port.host_port:
                self._ports.reserve_again(port)
        self.serve([endpoint])

    def serve(self, endpoints: Iterable[Endpoint]) -> None:
        """Relay what is to be relayed to these endpoints."""
        for end in endpoints:
            for binding in plan.relayed(end):
                holder = self._ports.holder(binding)
                if holder is not None and binding not in self._relays:
                    self._relays[binding] = Relay(holder, binding, end.ip or end.ip6)

    def unserve(self, endpoints: Iterable[Endpoint]) -> None:
        for end in endpoints:
            for binding in end.ports:
                relay = self._relays.pop(binding, None)
                if relay is not None:
                    relay.close()

    def release(self, bindings: Iterable[PortBinding]) -> None:
        for binding in bindings:
            self._ports.release(binding)
