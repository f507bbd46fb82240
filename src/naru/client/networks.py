"""`/networks` of the Engine API."""

from __future__ import annotations

from naru.client.http import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from naru.client.engine import Client

    Json = dict[str, Any]
    Filters = Mapping[str, list[str]]


class Networks:
    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, filters: Filters | None = None) -> list[Json]:
        found: list[Json] = self._client.fetch("GET", "/networks", {"filters": filters})
        return found

    def inspect(self, network: str, *, verbose: bool = False) -> Json:
        found: Json = self._client.fetch("GET", f"/networks/{quote(network)}", {"verbose": verbose})
        return found

    def create(self, config: Json) -> Json:
        """{"Id", "Warning"}."""
        answer: Json = self._client.fetch("POST", "/networks/create", None, config)
        return answer

    def remove(self, network: str) -> None:
        self._client.fetch("DELETE", f"/networks/{quote(network)}")

    def connect(self, network: str, container: str, endpoint: Json) -> None:
        value = {"Container": container, "EndpointConfig": endpoint}
        self._client.fetch("POST", f"/networks/{quote(network)}/connect", None, value)

    def disconnect(self, network: str, container: str, *, force: bool = False) -> None:
        value = {"Container": container, "Force": force}
        self._client.fetch("POST", f"/networks/{quote(network)}/disconnect", None, value)

    def prune(self, filters: Filters | None = None) -> Json:
        """{"NetworksDeleted"}."""
        answer: Json = self._client.fetch("POST", "/networks/prune", {"filters": filters})
        return answer
