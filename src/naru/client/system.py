"""The daemon itself: ping, version, info, events, disk usage, log-in, build cache."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from naru.client.engine import Client

    Json = dict[str, Any]
    Filters = Mapping[str, list[str]]


class System:
    def __init__(self, client: Client) -> None:
        self._client = client

    def version(self) -> Json:
        found: Json = self._client.fetch("GET", "/version")
        return found

    def info(self) -> Json:
        found: Json = self._client.fetch("GET", "/info")
        return found

    def disk_usage(self) -> Json:
        found: Json = self._client.fetch("GET", "/system/df")
        return found

    def events(self, *, since: str = "", until: str = "", filters: Filters | None = None) -> Iterator[Json]:
        """Endless without `until`; times are unix seconds, with a fraction if wanted."""
        query = {"since": since, "until": until, "filters": filters}
        return self._client.values(self._client.call("GET", "/events", query))

    def log_in(self, credentials: Json) -> Json:
        """{"Status", "IdentityToken"}. Raises Unauthenticated."""
        answer: Json = self._client.fetch("POST", "/auth", None, credentials)
        return answer

    def prune_build_cache(self, *, all: bool = False, filters: Filters | None = None) -> Json:
        """{"CachesDeleted", "SpaceReclaimed"}."""
        answer: Json = self._client.fetch("POST", "/build/prune", {"all": all, "filters": filters})
        return answer
