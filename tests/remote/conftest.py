from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from naru.content.blobs import ContentStore


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(str(tmp_path / "content"))


@pytest.fixture
def left_overs(content: ContentStore) -> Callable[[], list[str]]:
    """What a failed pull left behind: must be nothing."""
    return lambda: os.listdir(content.ingest_dir) + [str(d) for d in content.walk()]
