from __future__ import annotations

from pathlib import Path

import pytest

from naru.hub.server import Settings
from naru.registry.server import Settings as RegistrySettings


@pytest.fixture
def hub_settings(tmp_path: Path) -> Settings:
    """Of a hub on a free port, with nothing in it; it may reach this machine."""
    return Settings(RegistrySettings("127.0.0.1:0", str(tmp_path / "hub")), allow_private=True)
