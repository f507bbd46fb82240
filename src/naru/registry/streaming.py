"""Sending a blob that this machine has to fetch: piece by piece, with ranges and conditions (RFC 9110, 13 and 14).

What lies in a file goes by sendfile instead, and what lies where clients reach it by a redirect: see `blobstore.Place`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import BinaryIO, Protocol, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from naru.errors import DataLoss, NaruError
from naru.linux.threads import finish_in_thread
from naru.registry.blobstore import Stream
from naru.registry.errors import Refusal

log = logging.getLogger("naru.registry")

_PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def parse_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """(first, length) of the one range that is asked for; None: send it all, as for several ranges and for what is none.

    Raises Refusal RANGE_INVALID (416) for a range beyond the end.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if found[1]:
        first, last = int(found[1]), min(int(found[2] or size_bytes), size_bytes - 1)
        if found[2] and int(found[2]) < first:
            return None
    else:
        first, last = max(size_bytes - int(found[2]), 0), size_bytes - 1
    if first > last:
        headers = {"Content-Range": f"bytes */{size_bytes}"}
        raise Refusal("RANGE_INVALID", f"a range of {size_bytes} bytes cannot be {header[:100]!r}", headers=headers)
    return first, last - first + 1


def is_encrypted(request: web.Request) -> bool:
    """Whether this process does TLS for it. Then there is no sendfile, and what asyncio has in its place reads 16 KiB at a time."""
    return request.transport is not None and request.transport.get_extra_info("sslcontext") is not None


def open_file(path: str, first: int, length: int | None) -> BinaryIO:
    """A file from there on; whoever reads counts. Raises DataLoss if it is gone."""
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - whoever sends it closes it
    except FileNotFoundError as error:
        raise DataLoss(f"{path}: its bytes are gone") from error
    file.seek(first)
    return cast("BinaryIO", file)


class Source(Protocol):
    """Where the bytes of an answer come from."""

    async def read(self, count: int) -> bytes:
        """At most so many, one at least; b"" at the end. Raises DataLoss, Unavailable, OSError."""

    def close(self) -> None: ...


class _FileSource:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self, count: int) -> bytes:
        return await finish_in_thread(self._file.read, count)

    def close(self) -> None:
        self._file.close()


async def send(
    request: web.Request, source: Stream, size_bytes: int, etag: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    """The answer to a GET. `etag` is without quotes: these bytes, and for ever. Raises Refusal RANGE_INVALID, DataLoss, Unavailable."""

    async def open_from(first: int, length: int | None) -> Source:
        return _FileSource(await finish_in_thread(source.open, first, length))

    return await answer(request, open_from, size_bytes, etag, headers)


async def answer(
    request: web.Request,
    open_from: Callable[[int, int | None], Awaitable[Source]],
    size_bytes: int,
    etag: str,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """As `send`, of bytes that come from anywhere: `open_from` begins at the first, and goes on for so many (None: all)."""
    headers = {**headers, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    if any(one.value in (etag, "*") for one in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    chosen = None
    if request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
        chosen = parse_range(request.headers.get("Range", ""), size_bytes)
    if chosen is not None:
        headers["Content-Range"] = f"bytes {chosen[0]}-{sum(chosen) - 1}/{size_bytes}"
    first, length = chosen or (0, size_bytes)
    source = await open_from(first, length if chosen else None)
    return Streamed(source, length, 200 if chosen is None else 206, headers)


class Streamed(web.StreamResponse):
    """An answer of so many bytes of a source, which it closes."""

    def __init__(self, source: Source, size_bytes: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = size_bytes
        self._source = source
        self._left_bytes = size_bytes

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            writer = await super().prepare(request)
            while self._left_bytes:
                piece = await self._next_piece(request)
                self._left_bytes -= len(piece)
                await self.write(piece)
        finally:
            self._source.close()
        return writer

    async def _next_piece(self, request: web.BaseRequest) -> bytes:
        """It is too late for another answer: with a ConnectionError aiohttp hangs up, and the client sees that bytes are missing."""
        try:
            piece = await self._source.read(min(self._left_bytes, _PIECE_BYTES))
            if not piece:
                raise DataLoss(f"{self._left_bytes} bytes of it are missing")
        except (NaruError, OSError) as error:
            log.error("%s %s: %s", request.method, request.path, error)
            raise ConnectionAbortedError("the source broke off") from error
        return piece
