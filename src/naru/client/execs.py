"""`/exec` of the Engine API: one more process in a running container."""

from __future__ import annotations

from naru.client.http import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.client.engine import Client
    from naru.client.http import Stream

    Json = dict[str, Any]


class Execs:
    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, container: str, config: Json) -> str:
        """The exec's id; nothing runs yet."""
        return str(self._client.fetch("POST", f"/containers/{quote(container)}/exec", None, config)["Id"])

    def start(self, exec_id: str, *, tty: bool = False, console_size: tuple[int, int] | None = None) -> Stream:
        """Run it, attached to the streams that its config named. `console_size` is (rows, columns)."""
        config: Json = {"Detach": False, "Tty": tty}
        if console_size:
            config["ConsoleSize"] = list(console_size)
        return self._client.upgrade(f"/exec/{quote(exec_id)}/start", None, config)

    def start_detached(self, exec_id: str, *, tty: bool = False) -> None:
        self._client.fetch("POST", f"/exec/{quote(exec_id)}/start", None, {"Detach": True, "Tty": tty})

    def inspect(self, exec_id: str) -> Json:
        found: Json = self._client.fetch("GET", f"/exec/{quote(exec_id)}/json")
        return found

    def resize(self, exec_id: str, rows: int, columns: int) -> None:
        self._client.fetch("POST", f"/exec/{quote(exec_id)}/resize", {"h": rows, "w": columns})
