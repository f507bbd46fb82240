"""What the folder is told about a container, and what a log may take. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """How much of a log is kept; None for no bound."""

    max_bytes: int | None
    max_files: int | None
    compress: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The container whose log it is, as log servers are told of it."""

    id: str
    name: str  # without the slash
    image_id: str = ""
    image_name: str = ""
    entrypoint: str = ""
    arguments: tuple[str, ...] = ()
    created_ns: int = 0
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    host: str = ""  # name of the machine
