"""What a log driver is: options, their checks, and a destination that takes messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from naru.logs.attributes import DEFAULT_TAG, tag
from naru.logs.messages import Message
from naru.logs.values import Source

Options = Mapping[str, str]


class Destination(Protocol):
    async def send(self, messages: Sequence[Message]) -> None:
        """They have been handed over when this returns. Raises OSError; then all of them are to be sent again."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Driver:
    options: frozenset[str]  # of its own, besides `attributes.COMMON`
    check: Callable[[Options], None]  # raises ValueError in Docker's words
    open: Callable[[Options, Source], Destination]


def tag_of(options: Options, source: Source) -> str:
    return tag(options.get("tag") or DEFAULT_TAG, source)


def host_and_port(text: str, default_port: int) -> tuple[str, int]:
    """`host`, `host:port`, `[::1]:port`. Raises ValueError for a port that is no number."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if port and not port.isdigit():
        raise ValueError(f'invalid port: strconv.ParseUint: parsing "{port}": invalid syntax')
    if port and int(port) > 65535:
        raise ValueError(f'invalid port: strconv.ParseUint: parsing "{port}": value out of range')
    return host, int(port) if port else default_port
