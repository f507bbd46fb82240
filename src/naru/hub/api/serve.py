"""From a request to an answer: who asks, what of, whether that can be read; the handler; and JSON, whatever goes wrong.

An error is `{"message": …, "code": …}`, the code a word for the status (`CODES`). A page's session is not accepted here, only what a
script has: Basic with a password or a token, or Bearer with a token. So nothing a browser sends by itself does anything, and 401 asks
for Bearer, as asking for Basic would have browsers ask for a password, keep it, and send it by themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from naru.errors import NaruError, NotFound, Unauthenticated
from naru.hub.api.fields import read_fields, read_query
from naru.hub.api.routes import PREFIX, Call, Page, Table
from naru.hub.api.tokens import ApiTokens
from naru.hub.parts import Hub
from naru.hub.people import credentials
from naru.hub.people.permissions import ANYBODY, Principal
from naru.hub.statuses import status_of
from naru.oci.image import Json, load_json
from naru.registry.context import json_answer, read_limited
from naru.registry.errors import Refusal

log = logging.getLogger("naru.hub")

BODY_LIMIT_BYTES = 2 << 20  # a README in JSON
CODES = {
    400: "invalid_argument", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    409: "conflict", 413: "too_large", 415: "unsupported_media_type", 429: "too_many_requests", 500: "internal",
    503: "unavailable",
}  # fmt: skip
Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def principal_of(hub: Hub, tokens: ApiTokens, request: web.Request) -> Principal:
    """Raises Unauthenticated; Refusal TOOMANYREQUESTS for who guesses."""
    authorization = request.headers.get("Authorization", "")
    scheme, _, secret = authorization.partition(" ")
    address = request.remote or ""
    if not authorization:
        return ANYBODY
    if scheme.lower() == "basic":
        return await hub.identities.by_basic(authorization, address)
    if scheme.lower() not in ("bearer", "jwt"):  # the second is Docker Hub's old word
        raise Unauthenticated("Authorization: must be Basic or Bearer")
    if credentials.is_secret(secret):
        return await hub.identities.by_secret(secret, address)
    return await tokens.principal(secret)


async def read_body(request: web.Request) -> Json:
    """A JSON object, {} for no body at all. Raises Refusal, InvalidArgument."""
    data = await read_limited(request, BODY_LIMIT_BYTES, "SIZE_INVALID")
    if not data:
        return {}
    if request.content_type != "application/json":
        raise Refusal("UNSUPPORTED", "Content-Type: must be application/json", status=415)
    return load_json(data, "body")


def make_handler(hub: Hub, tokens: ApiTokens, table: Table, prefix: str = PREFIX, *, strict: bool = True) -> Serve:
    """What answers every path below the prefix. `strict`: what is not known in a body or a query is an error."""

    async def serve(request: web.Request) -> web.StreamResponse:
        raw_path = request.rel_url.raw_path.removeprefix(prefix)
        return await _answered(hub, tokens, table, request, raw_path, strict)

    return serve


async def _answered(
    hub: Hub, tokens: ApiTokens, table: Table, request: web.Request, raw_path: str, strict: bool
) -> web.StreamResponse:
    try:
        response = await _answer(hub, tokens, table, request, raw_path, strict)
    except NaruError as error:
        response = refused(error)
        if response.status >= 500:
            log.error("%s %s: %s", request.method, request.path, error)
    except OSError as error:  # the disk: full, read-only, failing
        log.error("%s %s: %s", request.method, request.path, error)
        response = error_answer(503, f"storage: {error.strerror}")
    except Exception:  # the task's root: the client gets JSON, the log the trace
        log.exception("%s %s", request.method, request.path)
        response = error_answer(500, "something went wrong; the hub's log says what")
    response.headers["Cache-Control"] = "no-store"
    return response


async def _answer(
    hub: Hub, tokens: ApiTokens, table: Table, request: web.Request, raw_path: str, strict: bool
) -> web.Response:
    route, path, allowed = table.match(request.method, raw_path if strict else raw_path.rstrip("/"))
    if route is None:
        if allowed:
            message = f"{request.method}: this path knows {', '.join(allowed)} only"
            raise Refusal("UNSUPPORTED", message, headers={"Allow": ", ".join(allowed)})
        raise NotFound(f"{request.path[:200]}: there is no such path")
    principal = await principal_of(hub, tokens, request)
    if route.login and not principal.account:
        raise Unauthenticated("authentication required")
    query = read_query(route.query, request.query, strict=strict)
    body = read_fields(route.body, await read_body(request), strict=strict)
    call = Call(hub, request, hub.who(principal, request), path, query, body)
    result = await route.handler(call)
    if isinstance(result, web.Response):
        return result
    if isinstance(result, Page):
        result = page_json(call, result)
    if result is None:
        return web.Response(status=204)
    response = json_answer(result)
    response.set_status(route.status)
    return response


def page_json(call: Call, page: Page) -> Json:
    """Docker Hub's form of a list; one that is read from a cursor has no count, and no way back."""
    if page.total is None:
        following = _again(call, page.following) if page.following else None
        return {"count": None, "next": following, "previous": None, "results": page.results}
    number = int(call.query["page"])
    return {
        "count": page.total,
        "next": _again(call, {"page": str(number + 1)}) if number * call.limit < page.total else None,
        "previous": _again(call, {"page": str(number - 1)}) if number > 1 else None,
        "results": page.results,
    }


def _again(call: Call, changes: Mapping[str, str]) -> str:
    query = {**call.request.query, **changes}
    return f"{call.hub.address(call.request)}{call.request.rel_url.raw_path}?{urlencode(query)}"


def refused(error: NaruError) -> web.Response:
    if isinstance(error, Refusal):
        return error_answer(error.status, error.message, error.headers)
    status = status_of(error)
    return error_answer(status, str(error) if status != 500 else "something went wrong; the hub's log says what")


def error_answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    more: dict[str, Any] = {"WWW-Authenticate": 'Bearer realm="naru"'} if status == 401 else {}
    body = {"message": message, "code": CODES.get(status, CODES[400] if status < 500 else CODES[500])}
    response = json_answer(body, headers={**(headers or {}), **more})
    response.set_status(status)
    return response
