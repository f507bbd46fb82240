"""What happens to a container, as an event."""

from __future__ import annotations

from collections.abc import Mapping

from naru.containers.records import Container
from naru.events import Event


def happening(record: Container, action: str, time_ns: int, attributes: Mapping[str, str]) -> Event:
    """Docker's attributes: the labels, image and name, and those of the action."""
    own = {"image": record.config.image, "name": record.name}
    return Event("container", action, record.id, time_ns, {**(record.config.labels or {}), **own, **attributes})
