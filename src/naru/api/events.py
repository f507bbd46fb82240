"""Events → the Engine API's JSON, and which of them a client asked for (Engine API, SystemEvents)."""

from __future__ import annotations

from typing import Any

from naru.api.parameters import Filters, Version
from naru.events import Event
from naru.wire.filters import has_labels

_BY_PREFIX = ("exec_create", "exec_start", "health_status")
_OBJECTS = ("container", "network", "volume", "daemon", "plugin", "service", "node", "secret", "config")


def event_json(event: Event, version: Version) -> dict[str, Any]:
    out: dict[str, Any] = {
        "Type": event.kind, "Action": event.action, "Actor": {"ID": event.id, "Attributes": dict(event.attributes)},
        "scope": "local", "time": event.time_ns // 10**9, "timeNano": event.time_ns,
    }  # fmt: skip
    if version < (1, 52) and event.kind in ("container", "image"):
        out.update(status=event.action, id=event.id)
        if event.kind == "container":
            out["from"] = event.attributes.get("image", "")
    return out


class Selection:
    """Docker's event filters; values of one key are alternatives, keys are conditions."""

    def __init__(self, filters: Filters, version: Version) -> None:
        self._filters = filters
        self._knows_new_images = version >= (1, 46)

    def takes(self, event: Event) -> bool:
        filters = self._filters
        if event.kind == "image" and event.action == "create" and not self._knows_new_images:
            return False
        if "type" in filters and event.kind not in filters["type"]:
            return False
        if "scope" in filters and "local" not in filters["scope"]:
            return False
        if "event" in filters and not self._action_matches(event.action, filters["event"]):
            return False
        if "label" in filters and not has_labels(event.attributes, filters["label"]):
            return False
        if "image" in filters and not self._image_matches(event, filters["image"]):
            return False
        return all(self._object_matches(event, filters[kind]) for kind in _OBJECTS if kind in filters)

    @staticmethod
    def _action_matches(action: str, wanted: list[str]) -> bool:
        head = action.partition(":")[0]
        return action in wanted or (head in _BY_PREFIX and head in wanted)

    @staticmethod
    def _object_matches(event: Event, wanted: list[str]) -> bool:
        """The event's own object is meant, whatever its kind: what befalls a container's networks is no event of it."""
        name = event.attributes.get("name", "")
        return any(event.id.startswith(text) or (name and name.startswith(text.removeprefix("/"))) for text in wanted)

    @staticmethod
    def _image_matches(event: Event, wanted: list[str]) -> bool:
        if event.kind not in ("image", "container"):
            return False
        names = {event.attributes.get("name" if event.kind == "image" else "image", "")}
        if event.kind == "image":
            names.add(event.id)
        names |= {name.rpartition(":")[0] for name in names if ":" in name.rpartition("/")[2]}
        return any(text in names for text in wanted)
