from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from naru.registry.storage import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with Storage(str(tmp_path / "registry")) as opened:
        yield opened
