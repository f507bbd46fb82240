from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `played`, whatever the import mode

from played import Answer, Played

from naru.client.endpoint import Endpoint
from naru.client.engine import Client


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Played, Client]]]:
    """play([answers of the first connection], [of the second], …) → (server, client)."""
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    opened: list[tuple[Played, Client]] = []

    def start(*connections: Sequence[Answer]) -> tuple[Played, Client]:
        server = Played(tmp_path / f"s{len(opened)}.sock", connections)
        client = Client(Endpoint(server.host))
        opened.append((server, client))
        return server, client

    yield start
    for server, client in opened:
        client.close()
        server.close()
