"""Records to test with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from naru.containers.records import Container
from naru.wire.container import MASKED_PATHS, READONLY_PATHS, Config, HostConfig


def _record(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: Any) -> Container:
    """A container as `creation` leaves it, where this says nothing else."""
    defaults: dict[str, Any] = {
        "network_mode": "bridge", "ipc_mode": "private", "cgroupns_mode": "private", "shm_size": 64 << 20,
        "masked_paths": list(MASKED_PATHS), "readonly_paths": list(READONLY_PATHS),
    }  # fmt: skip
    return Container(
        id="c" * 64, name="box", created_ns=1, image_id="", image_manifest="", chain_id=None,
        config=Config(**{"hostname": "box", "cmd": ["sh"], "env": ["A=1"], **(config or {})}),
        host=HostConfig(**{**defaults, **(host or {})}), networks=more.pop("networks", {}), mounts=more.pop("mounts", ()), **more,
    )  # fmt: skip


@pytest.fixture
def record() -> Callable[..., Container]:
    return _record
