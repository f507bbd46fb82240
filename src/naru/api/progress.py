"""Progress as Docker streams it: JSON objects ended by CRLF, an error among them as the last.

Headers go out with the first line, so what fails before it gets a status of its own; after it, the error is a line in a
200 (Engine API, ImageCreate). Work is cancelled when the client goes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from naru.api.app import JSON, Request
from naru.errors import NaruError
from naru.events import Progress, Report
from naru.wire.decode import encode

_KEPT = 512  # lines; a client that reads slower than that loses intermediate byte counts, never other lines
Work = Callable[[Report], Awaitable[object]]


def line(progress: Progress) -> dict[str, Any]:
    if progress.aux is not None:
        return {"aux": dict(progress.aux)}
    if progress.stream:
        return {"stream": progress.stream}
    out: dict[str, Any] = {"status": progress.status}
    if progress.id:
        out["id"] = progress.id
    if progress.total or progress.current:
        detail = {"current": progress.current, "total": progress.total}
        out["progressDetail"] = {key: value for key, value in detail.items() if value}
    elif progress.id and progress.status in _WITH_DETAIL:
        out["progressDetail"] = {}
    return out


_WITH_DETAIL = {
    "Pulling fs layer", "Download complete", "Verifying Checksum", "Pull complete", "Already exists", "Waiting", "Extracting",
    "Preparing", "Pushing", "Pushed", "Layer already exists", "Downloading",
}  # fmt: skip


def error_line(error: BaseException) -> dict[str, Any]:
    detail: dict[str, Any] = {"message": str(error)}
    code = getattr(error, "exit_code", None)
    if code is not None:
        detail["code"] = code
    return {"error": str(error), "errorDetail": detail}


class _Lines:
    """Lines waiting for the client; a byte count replaces the one before it of the same layer."""

    def __init__(self) -> None:
        self._lines: list[Progress] = []
        self._ready = asyncio.Event()
        self._ended = False

    def add(self, progress: Progress) -> None:
        last = self._lines[-1] if self._lines else None
        counts = progress.total and last is not None and (last.id, last.status) == (progress.id, progress.status)
        if counts and len(self._lines) > _KEPT:
            self._lines[-1] = progress
        else:
            self._lines.append(progress)
        self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()

    async def take(self) -> list[Progress]:
        """What has come since the last time; [] at the end."""
        if not self._lines and not self._ended:
            self._ready.clear()
            await self._ready.wait()
        lines, self._lines = self._lines, []
        return lines


async def stream_progress(request: Request, work: Work, *, at_once: bool = False) -> None:
    """Answer with what work reports. Raises what work raises, if nothing has been reported by then (and not `at_once`)."""
    lines, exchange = _Lines(), request.exchange

    async def write() -> None:
        while batch := await lines.take():
            if not exchange.begun:
                await exchange.begin(200, [JSON])
            await exchange.write(b"".join(encode(line(item)) + b"\r\n" for item in batch))

    failure: NaruError | None = None
    async with asyncio.TaskGroup() as group:
        writer = group.create_task(write())
        exchange.connection.cancel_on_close = True
        try:
            if at_once:
                await exchange.begin(200, [JSON])
            await work(lines.add)
        except NaruError as error:
            failure = error
        finally:
            lines.end()
        await writer
    if failure is not None:
        if not exchange.begun:
            raise failure
        await exchange.write(encode(error_line(failure)) + b"\r\n")
    elif not exchange.begun:
        await exchange.begin(200, [JSON])
