"""`/containers/…/checkpoints` of the Engine API."""

from __future__ import annotations

from naru.client.http import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.client.engine import Client

    Json = dict[str, Any]


class Checkpoints:
    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, container: str, name: str, *, directory: str = "", exit: bool = True) -> None:
        """Dump a running container; with `exit` it has ended when this returns."""
        options = {"CheckpointID": name, "CheckpointDir": directory, "Exit": exit}
        self._client.fetch("POST", f"/containers/{quote(container)}/checkpoints", None, options)

    def list(self, container: str, *, directory: str = "") -> list[Json]:
        """{"Name"} of each."""
        found: list[Json] | None = self._client.fetch(
            "GET", f"/containers/{quote(container)}/checkpoints", {"dir": directory}
        )
        return found or []

    def remove(self, container: str, name: str, *, directory: str = "") -> None:
        path = f"/containers/{quote(container)}/checkpoints/{quote(name)}"
        self._client.fetch("DELETE", path, {"dir": directory})
