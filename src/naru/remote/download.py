"""One HTTP GET into a file descriptor, redirects followed. Apart from `transport`, which speaks to registries only.

The bytes are those on the wire: nothing is decompressed. Where it may lead is not restricted but from https to http:
whoever writes `ADD` could name a private address himself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from naru.errors import Forbidden, InvalidArgument, NotFound, Unavailable
from naru.remote.addresses import checked
from naru.remote.answers import clean, redact
from naru.remote.faults import foreign_errors
from naru.remote.fetch import FetchLimits
from naru.remote.writer import PieceWriter

_PIECE_BYTES = 1 << 20
_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def download(text: str, fd: int, user_agent: str, limits: FetchLimits) -> int:
    """Write what the URL holds to fd; its time of modification in nanoseconds, 0 if unknown. Raises as Fetcher does."""
    url = _parse(text)
    what = f'Get "{redact(str(url))}"'
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s)
    try:
        async with (
            asyncio.timeout(limits.total_s),
            aiohttp.ClientSession(
                headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_PIECE_BYTES // 2,
                timeout=timeout,
            ) as session,
            _open(session, url, what, limits) as response,
        ):
            await _save(response, fd, what, limits)
            return modified_ns(response.headers.get("Last-Modified", ""))
    except TimeoutError as error:
        raise Unavailable(f"{what}: not finished within {limits.total_s:g} s") from error
    except OSError as error:  # the network's are mapped: this is the disk
        raise Unavailable(f"{what}: failed to write: {(error.strerror or str(error)).lower()}") from error


@asynccontextmanager
async def _open(
    session: aiohttp.ClientSession, url: URL, what: str, limits: FetchLimits
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer with status 200 that url leads to."""
    for _ in range(_MAX_REDIRECTS + 1):
        with foreign_errors(what, url, ""):
            async with asyncio.timeout(limits.answer_s):
                response = await session.get(url, allow_redirects=False)
        async with response:
            location = response.headers.get("Location", "")
            if response.status == 200:
                yield response
                return
            if response.status not in _REDIRECTS or not location:
                kind = NotFound if response.status in (404, 410) else Unavailable
                raise kind(f"{what}: invalid response status {response.status}")
        url = _next(url, location, what)
    raise Unavailable(f"{what}: stopped after {_MAX_REDIRECTS} redirects")


async def _save(response: aiohttp.ClientResponse, fd: int, what: str, limits: FetchLimits) -> None:
    if (response.content_length or 0) > limits.size_bytes:
        raise Unavailable(f"{what}: larger than {limits.size_bytes} bytes")
    total = 0
    async with PieceWriter(_File(fd)) as writer:
        while True:
            piece: list[bytes] = []
            size = 0
            with foreign_errors(what, response.url, ""):
                async with asyncio.timeout(limits.piece_s):
                    while size < _PIECE_BYTES and (chunk := await response.content.readany()):
                        piece.append(chunk)
                        size += len(chunk)
            if not piece:
                return
            total += size
            if total > limits.size_bytes:
                raise Unavailable(f"{what}: larger than {limits.size_bytes} bytes")
            await writer.write(piece)


class _File:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _parse(text: str) -> URL:
    try:
        url, what = _url(text), f'Get "{clean(redact(text))}"'
    except ValueError as error:
        shown = text.partition("?")[0].rpartition("@")[2]  # no secrets
        raise InvalidArgument(f'Get "{clean(shown)}": invalid URL') from error
    if url.scheme not in ("http", "https"):
        raise InvalidArgument(f'{what}: unsupported protocol scheme "{url.scheme}"')
    if not url.host:
        raise InvalidArgument(f"{what}: http: no Host in request URL")
    if url.raw_user is not None or url.raw_password is not None:
        raise InvalidArgument(f"{what}: a user and password in a URL are not supported")
    return url


def _next(url: URL, location: str, what: str) -> URL:
    try:
        following = url.join(_url(location))
    except ValueError as error:
        raise Unavailable(f"{what}: redirected to an invalid location") from error
    if following.scheme not in ("http", "https") or not following.host or following.raw_user is not None:
        raise Unavailable(f"{what}: redirected to an invalid location")
    if url.scheme == "https" and following.scheme == "http":
        raise Forbidden(f"{what}: refusing to go on at {following.host} by http")
    return following


def _url(text: str) -> URL:
    """As written where that is possible, since signatures do not survive a re-encoding; what is no URL is encoded.
    Raises ValueError."""
    return checked(URL(text, encoded=text.isascii() and text.isprintable() and " " not in text))


def modified_ns(last_modified: str) -> int:
    """The Last-Modified header in nanoseconds since 1970; 0 if it is none, or no time that files have."""
    try:
        when = parsedate_to_datetime(last_modified)
        seconds = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0
    nanoseconds = seconds * 10**9
    return nanoseconds if 0 <= nanoseconds < 1 << 63 else 0
