"""`/volumes` of the Engine API."""

from __future__ import annotations

from naru.client.http import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from naru.client.engine import Client

    Json = dict[str, Any]
    Filters = Mapping[str, list[str]]


class Volumes:
    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, filters: Filters | None = None) -> list[Json]:
        answer: Json = self._client.fetch("GET", "/volumes", {"filters": filters})
        return answer.get("Volumes") or []

    def inspect(self, volume: str) -> Json:
        found: Json = self._client.fetch("GET", f"/volumes/{quote(volume)}")
        return found

    def create(self, config: Json) -> Json:
        created: Json = self._client.fetch("POST", "/volumes/create", None, config)
        return created

    def remove(self, volume: str, *, force: bool = False) -> None:
        self._client.fetch("DELETE", f"/volumes/{quote(volume)}", {"force": force})

    def prune(self, filters: Filters | None = None) -> Json:
        """{"VolumesDeleted", "SpaceReclaimed"}."""
        answer: Json = self._client.fetch("POST", "/volumes/prune", {"filters": filters})
        return answer
