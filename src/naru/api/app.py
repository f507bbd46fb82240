"""Requests to routes: version prefix, path, headers that every answer has, and errors. No route's own logic.

A route is (method, pattern, handler). Patterns hold `{name}` for one path segment and `{name:*}` for the rest up to what
follows (image names have slashes). Paths are matched undecoded and decoded after, so an escaped slash stays in its
segment. Unknown paths and methods are 404 "page not found"; Docker never says 405.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import posixpath
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

from naru.api.exchange import Exchange
from naru.api.parameters import Query, Version, parse_version
from naru.api.status import error_body, status_of
from naru.errors import Internal, InvalidArgument, NaruError, NotFound
from naru.wire.decode import decode_object, encode

if TYPE_CHECKING:
    from naru.snapshots.tarstream import Sink

log = logging.getLogger(__name__)

MAX_VERSION: Version = (1, 56)
MIN_VERSION: Version = (1, 24)
SERVER_VERSION = "29.0.0-naru"  # what we are compatible with comes first: clients compare it
SERVER = f"Docker/{SERVER_VERSION} (linux)"
JSON = ("Content-Type", "application/json")
EXPERIMENTAL = "Docker-Experimental"
_JSON_ERRORS: Version = (1, 24)  # errors are objects since then
_PLAIN = "/:@!$&'()*+,;="  # what Go leaves as it is in a path
_PREFIX = re.compile(r"/v([0-9][0-9.]*)(/.*)")
_JSON_LIMIT = 16 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
S = TypeVar("S")


class Request:
    """One API call: an exchange, with its path's values, its query and the version asked for."""

    def __init__(self, exchange: Exchange, values: Mapping[str, str], query: Query, version: Version) -> None:
        self.exchange = exchange
        self.values = values
        self.query = query
        self.version = version

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def header(self, name: str, default: str = "") -> str:
        return self.exchange.headers.get(name, default)

    def at_least(self, major: int, minor: int) -> bool:
        return self.version >= (major, minor)

    async def json_bytes(self) -> bytes:
        """The body of a JSON request; b"" for none. Raises InvalidArgument for another Content-Type."""
        try:
            raw = await self.exchange.body.read(_JSON_LIMIT)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid JSON: {error}") from error
        content_type = self.header("content-type")
        if not content_type and not raw:
            return b""
        media_type = content_type.partition(";")[0].strip().lower()
        if not media_type:
            raise InvalidArgument(f"malformed Content-Type header ({content_type}): mime: no media type")
        if media_type != "application/json":
            raise InvalidArgument(f"unsupported Content-Type header ({content_type}): must be 'application/json'")
        return raw

    async def json(self, kind: type[S], go_name: str, *, prefix: str = "", optional: bool = False) -> S:
        """The body as a struct; an `optional` one may be empty. Raises InvalidArgument."""
        raw = await self.json_bytes()
        if optional and not raw:
            return kind()
        return decode_object(raw, kind, go_name, prefix=prefix)  # type: ignore[type-var]

    async def answer(self, value: Any, status: int = 200) -> None:
        await self.exchange.send(status, [JSON], encode(value) + b"\n")

    async def stream(self, headers: list[tuple[str, str]], pieces: AsyncIterator[bytes]) -> None:
        await self.exchange.begin(200, headers)
        async for piece in pieces:
            await self.exchange.write(piece)

    async def produce(self, headers: list[tuple[str, str]], work: Callable[[Sink], None]) -> None:
        """A body written by work in a thread: for what is large."""
        await self.exchange.begin(200, headers)
        await self.exchange.produce(work)

    async def done(self, status: int = 204) -> None:
        await self.exchange.send(status)


Handle = Callable[[Request], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: str
    handle: Handle


def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[a-z_]+(?::\*)?\})", pattern)
    out = ""
    for part in parts:
        if part.startswith("{"):
            name, _, star = part[1:-1].partition(":")
            out += f"(?P<{name}>{'.+' if star else '[^/]+'})"
        else:
            out += re.escape(part)
    return re.compile(out)


class App:
    def __init__(
        self, routes: list[Route], fixed_headers: list[tuple[str, str]], min_version: Version = MIN_VERSION
    ) -> None:
        self._fixed = fixed_headers
        self._min_version = min_version
        self._routes: dict[
            tuple[str, str], list[tuple[re.Pattern[str], Handle]]
        ] = {}  # by method and first path segment
        for route in routes:
            key = (route.method, _first_segment(route.pattern))
            self._routes.setdefault(key, []).append((_compile(route.pattern), route.handle))

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request; errors become answers here and nowhere else."""
        exchange.answer_headers = list(self._fixed)
        try:
            await self._dispatch(exchange)
        except asyncio.CancelledError:
            raise
        except Exception as raised:
            error = _single(raised)
            if isinstance(error, ConnectionError):
                raise error from raised  # nobody is there to be answered
            if (
                isinstance(error, OSError) and error.errno in _NO_SPACE
            ):  # of whatever was being written: the host's state
                error = Internal(_said(error))
            if not isinstance(error, NaruError):
                log.error("%s %s", exchange.method, exchange.target.decode("latin-1"), exc_info=raised)
            await self._fail(exchange, error)

    async def _dispatch(self, exchange: Exchange) -> None:
        target = exchange.target.decode("latin-1")
        path, _, query = target.partition("?")  # a `#` is a character like any other: fragments are not sent
        if exchange.method == "OPTIONS":
            await exchange.send(200)
            return
        if path.startswith("http://"):
            path = "/" + path[7:].partition("/")[2]
        decoded = unquote(path)
        clean = _cleaned(decoded)
        if clean != decoded:
            await exchange.send(301, [("Location", quote(clean, safe=_PLAIN) + ("?" + query if query else ""))])
            return
        version = MAX_VERSION
        prefix = _PREFIX.fullmatch(unquote(path) if "%" in path[:4] else path)
        if prefix is not None and (parsed := parse_version(prefix[1])) is not None:
            version, path = parsed, prefix[2]
            if wrong := self._unsupported(version, prefix[1]):
                await self._refuse_version(exchange, version, wrong)
                return
        path = _lenient(path)
        for pattern, handle in self._routes.get((exchange.method, _first_segment(path)), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                await handle(Request(exchange, values, Query(query), version))
                return
        exchange.answer_headers = []
        raise NotFound("page not found")

    def _unsupported(self, version: Version, text: str) -> str:
        """What is wrong with it; "" for nothing."""
        text = ".".join(str(int(part)) for part in text.split(".")[:2])
        if version > MAX_VERSION:
            return f"client version {text} is too new. Maximum supported API version is {_dotted(MAX_VERSION)}"
        if version < self._min_version:
            return (
                f"client version {text} is too old. Minimum supported API version is {_dotted(self._min_version)}, "
                "please upgrade your client to a newer version"
            )
        return ""

    @staticmethod
    async def _refuse_version(exchange: Exchange, version: Version, message: str) -> None:
        """Clients of before 1.24 do not know errors in JSON."""
        exchange.answer_headers = [(name, value) for name, value in exchange.answer_headers if name != EXPERIMENTAL]
        if version < _JSON_ERRORS:
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
            await exchange.send(400, headers, f"{message}\n".encode())
        else:
            await exchange.send(400, [JSON], error_body(message))

    @staticmethod
    async def _fail(exchange: Exchange, error: BaseException) -> None:
        status = status_of(error)
        if exchange.hijacked:
            exchange.connection.close()
        elif exchange.begun:
            # the status is gone already: say it in the stream, as Docker does
            await exchange.write(encode({"error": str(error), "errorDetail": {"message": str(error)}}) + b"\r\n")
        elif status == 304:
            await exchange.send(304)
        else:
            await exchange.send(status, [JSON], error_body(str(error)))


def _single(error: BaseException) -> BaseException:
    """The first failure of a task group, which is what the others were cancelled for."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _said(error: OSError) -> str:
    """In Go's words, which clients look for."""
    return f"write {error.filename or 'data root'}: {os.strerror(error.errno or 0).lower()}"


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _lenient(path: str) -> str:
    """Escaped characters in their plain form, but for the slash, which stays within its segment."""
    return re.sub(r"%(?!2[fF])[0-9a-fA-F]{2}", lambda match: unquote(match[0]), path) if "%" in path else path


def _cleaned(path: str) -> str:
    """As Go's ServeMux: dot segments and double slashes are a redirect, a trailing slash is kept."""
    if not path.startswith("/"):
        return "/" + path
    if "//" not in path and "/." not in path:
        return path
    clean = posixpath.normpath(path).replace("//", "/")
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
