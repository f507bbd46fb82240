"""Who answers the questions of containers: one resolver for each on networks with names, and what it may tell.

Owns the resolvers. What a container may know are the names on its own networks, and who has an address there.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial

from naru.networks import dns, dnsmessage, etcfiles
from naru.networks.blocking import in_namespace
from naru.networks.catalog import Catalog
from naru.networks.records import Endpoint


class Names:
    def __init__(self, catalog: Catalog, table: str, resolv_conf: str) -> None:
        self._catalog = catalog
        self._table = table
        self._resolv_conf = resolv_conf
        self._resolvers: dict[str, dns.Resolver] = {}  # by container id

    def close(self) -> None:
        for resolver in self._resolvers.values():
            resolver.close()
        self._resolvers.clear()

    async def serve(self, undo: AsyncExitStack, container_id: str, netns_fd: int, upstreams: Sequence[str]) -> None:
        """Answer a container's questions, unless that is done already or it is on no network with names. Raises Internal."""
        if container_id in self._resolvers or not self._named(container_id):
            return
        opened = ExitStack()  # filled by the thread, so that a cancelled call knows what to close
        undo.callback(opened.close)
        work = partial(dns.listen, self._table, opened)
        sockets = await in_namespace(f"network of container {container_id[:12]}", netns_fd, work)
        resolver = dns.Resolver(
            sockets, partial(self._lookup, container_id), partial(self._upstreams, container_id, tuple(upstreams))
        )
        await resolver.start()
        self._resolvers[container_id] = resolver
        undo.callback(self.stop, container_id)

    def stop(self, container_id: str) -> None:
        resolver = self._resolvers.pop(container_id, None)
        if resolver is not None:
            resolver.close()

    def _named(self, container_id: str) -> list[Endpoint]:
        return [end for end in self._catalog.endpoints_of(container_id) if self._catalog.by_id(end.network_id).named]

    def _lookup(self, container_id: str, query: dnsmessage.Query) -> list[bytes] | None:
        networks = [end.network_id for end in self._named(container_id)]
        ip = dnsmessage.reversed_ip(query.name)
        if ip is not None:
            owners = [end for each in networks for end in self._catalog.endpoints_on(each) if ip in (end.ip, end.ip6)]
            names = [dnsmessage.pointer(f"{end.container_name}.{end.network_name}") for end in owners]
            return names if query.kind == dnsmessage.PTR and names else None
        wanted = {query.name, *_linked(self._named(container_id), query.name)}
        found = [end for each in networks for name in wanted for end in self._catalog.called(each, name)]
        if not found:
            return None
        random.shuffle(found)  # several containers with one alias share the load
        kinds = {dnsmessage.A: [end.ip for end in found], dnsmessage.AAAA: [end.ip6 for end in found]}
        return dnsmessage.addresses([ip for ip in kinds.get(query.kind, ()) if ip])

    def _upstreams(self, container_id: str, set_by_user: Sequence[str]) -> Sequence[str]:
        """Servers for other names; none for a container on internal networks alone: a question is a way out, too."""
        networks = [self._catalog.by_id(end.network_id) for end in self._catalog.endpoints_of(container_id)]
        if all(network.internal for network in networks):
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
