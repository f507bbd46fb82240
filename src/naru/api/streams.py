"""Stdio on the wire: Docker's frames, and copying between a hijacked connection and a process's streams.

A frame is eight bytes, [stream, 0, 0, 0, length big-endian], then the data; a terminal's bytes go unframed.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Protocol

from naru.containers.streams import Stdio

MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"
STDOUT, STDERR, SYSTEM_ERROR = 1, 2, 3
DEFAULT_DETACH = b"\x10\x11"  # ctrl-p, ctrl-q
_HEADER = struct.Struct(">BxxxI")
_HEADS_KEPT = 4096
STALLED_S = 600.0  # somebody who has paused their pager comes back within that


def frame(stream: int, data: bytes) -> bytes:
    return _HEADER.pack(stream, len(data)) + data


class _Heads(dict[int, bytes]):
    """Frame headers of one stream by length of what follows."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __missing__(self, size: int) -> bytes:
        if len(self) > _HEADS_KEPT:
            self.clear()
        head = self[size] = _HEADER.pack(self._stream, size)
        return head


_HEADS = {STDOUT: _Heads(STDOUT), STDERR: _Heads(STDERR)}


def join(pieces: Sequence[tuple[int, list[bytes]]], tty: bool) -> bytes:
    """Pieces of a log as they are sent: a frame for each line, since docker-py's users iterate over frames and mean lines."""
    if tty:
        return b"".join(chain.from_iterable(lines for _, lines in pieces))
    return b"".join(_framed(stream, lines) for stream, lines in pieces)


def _framed(stream: int, lines: list[bytes]) -> bytes:
    woven = [b""] * (2 * len(lines))
    woven[::2] = list(map(_HEADS[stream].__getitem__, map(len, lines)))
    woven[1::2] = lines
    return b"".join(woven)


def parse_detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` → the bytes. Raises ValueError."""
    out = bytearray()
    for key in text.split(","):
        if (
            key.startswith("ctrl-")
            and len(key) == 6
            and (key[5].isascii() and (key[5].islower() or key[5] in "@[\\]^_"))
        ):
            out.append(ord(key[5].upper()) - 64)
        elif len(key) == 1:
            out += key.encode()
        else:
            raise ValueError(text)
    return bytes(out)


class DetachKeys:
    """Watches a terminal's input for the keys that mean "leave it running"."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what goes to the process, whether the keys were pressed). Half a sequence is held back until it is decided."""
        out = bytearray()
        for byte in data:
            if self._keys and byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(out), True
                continue
            out += self._keys[: self._matched]
            self._matched = 0
            if self._keys and byte == self._keys[0]:
                self._matched = 1
            else:
                out.append(byte)
        return bytes(out), False


class Client(Protocol):
    """A connection that carries plain bytes both ways: hijacked bare (`exchange.Duplex`), or a WebSocket."""

    closed: asyncio.Event  # the client is gone altogether

    async def read(self) -> bytes:
        """b"" once the client has closed its half."""
        ...

    async def write(self, data: bytes) -> None: ...


async def pump(
    duplex: Client,
    stdio: Stdio,
    *,
    tty: bool,
    stdin: bool,
    outputs: frozenset[int],
    detach: bytes,
    close_stdin: bool = True,
    stalled_s: float = STALLED_S,
) -> bool:
    """Copy both ways until the process closes its outputs or the client is gone; True if it detached.

    The client's half-close ends the process's stdin and nothing else. One that takes nothing holds the process up, as a pipe
    does, but not for ever: after `stalled_s` it counts as gone.
    """
    detached = False

    async def downstream() -> None:
        while (piece := await stdio.read()) is not None:
            stream, data = piece
            if stream in outputs:
                await _hand_over(duplex, data if tty else frame(stream, data), stalled_s)

    async def upstream() -> None:
        nonlocal detached
        keys = DetachKeys(detach if tty else b"")
        while data := await duplex.read():
            if not stdin:
                continue
            data, pressed = keys.feed(data)
            if data:
                try:
                    await stdio.write(data)
                except (BrokenPipeError, ConnectionError):
                    continue  # the process does not read any more; its output may still come
            if pressed:
                detached = True
                return
        if stdin and close_stdin and not tty:
            stdio.close_stdin()
        await duplex.closed.wait()

    async with asyncio.TaskGroup() as group:
        down = group.create_task(_quiet(downstream()))
        up = group.create_task(_quiet(upstream()))
        await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
        for task in (down, up):
            task.cancel()
    return detached


async def _hand_over(client: Client, data: bytes, stalled_s: float) -> None:
    try:
        async with asyncio.timeout(stalled_s):
            await client.write(data)
    except TimeoutError as error:
        raise ConnectionResetError("the client does not read") from error


async def _quiet(work: object) -> None:
    with suppress(ConnectionError):
        await work  # type: ignore[misc]
