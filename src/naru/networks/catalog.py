"""Which networks and endpoints there are: in memory, and in the tables `network` and `endpoint`.

Knows nothing of the kernel. Networks are written durably; endpoints are not, for the kernel can tell them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from naru.errors import InvalidArgument, NotFound
from naru.networks.records import Endpoint, Network, decode_endpoint, decode_network, encode
from naru.store.db import Database
from naru.wire.filters import Filters, check_keys, has_labels, name_matches, one_of

_LIST_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_PRUNE_FILTERS = ("label", "label!", "until")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Catalog:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._networks: dict[str, Network] = {}
        self._endpoints: dict[str, dict[str, Endpoint]] = {}  # container id → network id → endpoint
        self._names: dict[str, dict[str, list[Endpoint]]] = {}  # network id → name → who has it; made when first asked

    def load(self) -> None:
        self._networks = {row[0]: decode_network(row[1]) for row in self._db.rows("SELECT id, record FROM network")}
        self._endpoints, self._names = {}, {}
        for network_id, record in self._db.rows("SELECT network, record FROM endpoint"):
            endpoint = decode_endpoint(record)
            if network_id in self._networks:
                self._endpoints.setdefault(endpoint.container_id, {})[network_id] = endpoint

    # -- networks

    def networks(self) -> list[Network]:
        """Oldest first."""
        return sorted(self._networks.values(), key=lambda network: network.created_ns)

    def put(self, network: Network) -> None:
        """It is on disk when this returns."""
        self._db.write("REPLACE INTO network VALUES (?, ?, ?)", network.id, network.name, encode(network), durable=True)
        self._networks[network.id] = network

    def drop(self, network_id: str) -> None:
        self._db.write("DELETE FROM network WHERE id = ?", network_id, durable=True)
        del self._networks[network_id]

    def by_id(self, network_id: str) -> Network:
        return self._networks[network_id]

    def by_name(self, name: str) -> Network | None:
        return next((network for network in self._networks.values() if network.name == name), None)

    def resolve(self, text: str) -> Network:
        """By full id, else by exact name, else by unique id prefix. Raises NotFound, InvalidArgument (ambiguous, empty)."""
        if not text:
            raise InvalidArgument('invalid name or ID supplied: ""')
        found = self._networks.get(text) or self.by_name(text)
        if found is not None:
            return found
        matches = [network for network in self._networks.values() if network.id.startswith(text)]
        if len(matches) > 1:
            raise InvalidArgument(f"network {text} is ambiguous ({len(matches)} matches found on ID prefix)")
        if not matches:
            raise NotFound(f"network {text} not found")
        return matches[0]

    def subnets(self) -> list[IPv4Network | IPv6Network]:
        return [
            ip_network(pool.subnet) for network in self._networks.values() if network.wired for pool in network.pools
        ]

    def used(self, network_id: str) -> set[str]:
        """Addresses of the network's endpoints, of both families."""
        return {ip for endpoint in self.endpoints_on(network_id) for ip in (endpoint.ip, endpoint.ip6) if ip}

    # -- endpoints

    def endpoints(self) -> list[Endpoint]:
        return [endpoint for held in self._endpoints.values() for endpoint in held.values()]

    def endpoints_on(self, network_id: str) -> list[Endpoint]:
        return [held[network_id] for held in self._endpoints.values() if network_id in held]

    def endpoints_of(self, container_id: str) -> list[Endpoint]:
        """In the order in which the container joined, which is that of its interfaces."""
        return sorted(
            self._endpoints.get(container_id, {}).values(),
            key=lambda end: (end.number, len(end.interface), end.interface),
        )

    def called(self, network_id: str, name: str) -> list[Endpoint]:
        """Who answers to this name (in lower case) on the network; `name.network` works too."""
        names = self._names.get(network_id)
        if names is None:
            names = self._names[network_id] = {}
            for endpoint in self.endpoints_on(network_id):
                for known in endpoint.dns_names:
                    for form in (known.lower(), f"{known}.{endpoint.network_name}".lower()):
                        names.setdefault(form, []).append(endpoint)
        return names.get(name, [])

    def put_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        rows = [(end.network_id, end.container_id, encode(end)) for end in endpoints]
        self._db.write_each("REPLACE INTO endpoint VALUES (?, ?, ?)", rows)
        for endpoint in endpoints:
            self._names.pop(endpoint.network_id, None)
            self._endpoints.setdefault(endpoint.container_id, {})[endpoint.network_id] = endpoint

    def drop_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        rows = [(end.network_id, end.container_id) for end in endpoints]
        self._db.write_each("DELETE FROM endpoint WHERE network = ? AND container = ?", rows)
        for endpoint in endpoints:
            self._names.pop(endpoint.network_id, None)
            held = self._endpoints.get(endpoint.container_id, {})
            held.pop(endpoint.network_id, None)
            if not held:
                self._endpoints.pop(endpoint.container_id, None)

    # -- filters

    def filtered(self, filters: Filters) -> list[Network]:
        """Networks that match every filter, each by one of its values (labels: by all). Raises InvalidArgument."""
        check_keys(filters, _LIST_FILTERS)
        dangling = [_truth(value) for value in filters.get("dangling", ())]
        if len(dangling) > 1:
            raise InvalidArgument('got more than one value for filter key "dangling"')
        for value in filters.get("type", ()):
            if value not in ("builtin", "custom"):
                raise InvalidArgument("invalid value for filter 'type': must be 'builtin' or 'custom'")
        return [network for network in self.networks() if self._matches(network, filters, dangling)]

    def _matches(self, network: Network, filters: Filters, dangling: Sequence[bool]) -> bool:
        kind = "builtin" if network.predefined else "custom"
        return (
            one_of(filters.get("name"), lambda value: name_matches(value, network.name))
            and one_of(filters.get("id"), lambda value: name_matches(value, network.id))
            and one_of(filters.get("driver"), network.driver.__eq__)
            and one_of(filters.get("scope"), "local".__eq__)
            and one_of(filters.get("type"), kind.__eq__)
            and (not dangling or (not network.predefined and not self.endpoints_on(network.id)) in dangling)
            and has_labels(network.labels, filters.get("label", ()))
        )

    def prunable(self, filters: Filters, created_before_ns: int | None) -> list[Network]:
        """Networks that nobody uses. `until` arrives parsed, as created_before_ns. Raises InvalidArgument."""
        check_keys(filters, _PRUNE_FILTERS)
        return [
            network
            for network in self.networks()
            if not network.predefined
            and not self.endpoints_on(network.id)
            and (created_before_ns is None or network.created_ns < created_before_ns)
            and has_labels(network.labels, filters.get("label", ()))
            and not any(has_labels(network.labels, [label]) for label in filters.get("label!", ()))
        ]


def _truth(value: str) -> bool:
    if value not in _TRUTH:
        raise InvalidArgument('invalid value for filter \'dangling\': must be "true" (or "1"), or "false" (or "0")')
    return _TRUTH[value]
