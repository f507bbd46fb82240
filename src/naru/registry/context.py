"""What every handler is given: the request, what it asks for, who asks, and the registry's parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from aiohttp import web

from naru.oci.image import Json, dump_json
from naru.registry.access import Access, Caller, Want
from naru.registry.errors import Refusal
from naru.registry.metrics import Metrics
from naru.registry.routes import Route
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads

_BODY_S = 60.0


@dataclass(frozen=True, slots=True)
class Registry:
    storage: Storage
    uploads: Uploads
    access: Access
    metrics: Metrics
    read_only: bool = False
    guard: Guard = field(default_factory=lambda: NoGuard())
    spelled: Callable[[str], str] = field(default=lambda name: name)  # a repository's name, as it is kept


@dataclass(frozen=True, slots=True)
class Context:
    request: web.Request
    route: Route
    caller: Caller
    registry: Registry

    @property
    def storage(self) -> Storage:
        return self.registry.storage

    async def readable(self, names: Sequence[str]) -> list[str]:
        return await self.registry.access.readable(self.caller, names)

    async def pullable(self, after: str, count: int, containing: str = "") -> list[str]:
        """The first `count` repositories after this name that the caller may pull: a page is filled up by reading on."""
        found: list[str] = []
        while len(found) < count and (names := await self.storage.repositories(after, count, containing)):
            found += await self.readable(names)
            after = names[-1]
        return found[:count]

    def query(self, name: str) -> str | None:
        return self.request.query.get(name)


def json_answer(
    document: Json, *, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(body=dump_json(document), content_type=content_type, headers=headers)


async def read_limited(request: web.Request, limit_bytes: int, code: str) -> bytes:
    """The body. Raises Refusal, with this code: status 413 for more, before it is read if the client says so; 400 if it breaks off."""
    too_large = Refusal(code, f"the request body is larger than {limit_bytes} bytes", status=413)
    if (request.content_length or 0) > limit_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > limit_bytes:
                    raise too_large
    except (aiohttp.ClientError, ConnectionError, TimeoutError, web.RequestPayloadError) as error:
        raise Refusal(code, "the request body broke off", status=400) from error
    return bytes(body)


def here(request: web.Request) -> str:
    """This server as the client wrote it."""
    return f"{request.scheme}://{request.host}"


class Guard(Protocol):
    """What a hub looks at between knowing that somebody may and doing it, and after the answer."""

    async def admit(self, context: Context) -> Mapping[str, str] | web.StreamResponse:
        """Headers for the answer; or the answer. Raises Refusal, TOOMANYREQUESTS for instance."""

    def answered(self, context: Context, response: web.StreamResponse) -> None: ...


class NoGuard:
    async def admit(self, context: Context) -> Mapping[str, str] | web.StreamResponse:
        return {}

    def answered(self, context: Context, response: web.StreamResponse) -> None:
        return None


def demand(registry: Registry, caller: Caller, want: Want, request: web.Request) -> None:
    """Raises Refusal: UNAUTHORIZED, with a challenge, if logging in (or a token for more) could help; else DENIED."""
    if registry.access.may(caller, want):
        return
    challenge = registry.access.challenge(caller, (want,), here(request))
    if challenge:
        raise Refusal("UNAUTHORIZED", headers={"WWW-Authenticate": challenge})
    raise Refusal("DENIED")
