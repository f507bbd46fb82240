"""Log lines to test with, and reading them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from naru.logs.cri import Piece, Window
from naru.logs.files import LogFiles
from naru.logs.reading import read

PLAIN = Window()


def line(second: int, text: bytes, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"2026-11-25T16:45:{second:02d}.000000001+00:00 {stream} {tag} ".encode() + text + b"\n"


def pieces_of(path: Path, window: Window = PLAIN) -> list[Piece]:
    async def collect() -> list[Piece]:
        return [piece async for batch in read(LogFiles(str(path)), window) for piece in batch]

    return asyncio.run(collect())


def text_of(path: Path, window: Window = PLAIN) -> bytes:
    return b"".join(text for _, texts in pieces_of(path, window) for text in texts)
