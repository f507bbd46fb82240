"""Which events a client gets."""

from __future__ import annotations

import pytest

from naru.api.events import Selection
from naru.events import Event

_START = Event("container", "start", "c0ffee", 0, {"name": "web", "image": "busybox:latest"})
_CONNECT = Event("network", "connect", "beef", 0, {"name": "bridge", "container": "c0ffee", "type": "bridge"})


@pytest.mark.parametrize(
    ("filters", "start", "connect"),
    [
        ({}, True, True),
        ({"container": ["c0ffee"]}, True, False),
        ({"container": ["c0f"]}, True, False),
        ({"container": ["web"]}, True, False),
        ({"container": ["/web"]}, True, False),
        ({"network": ["bridge"]}, False, True),
        ({"network": ["be"], "type": ["network"]}, False, True),
        ({"image": ["busybox"]}, True, False),
        ({"event": ["connect", "start"]}, True, True),
        ({"daemon": ["c0ffee"]}, True, False),
        ({"scope": ["swarm"]}, False, False),
    ],
)
def test_filters_are_dockers(filters: dict[str, list[str]], start: bool, connect: bool) -> None:
    chosen = Selection(filters, (1, 56))
    assert (chosen.takes(_START), chosen.takes(_CONNECT)) == (start, connect)


def test_new_images_are_told_since_1_46() -> None:
    made = Event("image", "create", "sha256:1", 0, {"name": "sha256:1"})
    assert Selection({}, (1, 46)).takes(made) and not Selection({}, (1, 45)).takes(made)
