"""The registry's one HTTP application: path → access → handler → answer, and JSON on every path, whatever goes wrong.

Middleware that compresses has no place here: layers are compressed, and Content-Length, Range and sendfile would go.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from naru import __version__
from naru.errors import NaruError
from naru.registry import blobs, manifests, search
from naru.registry.access import Action, Caller, Want
from naru.registry.context import Context, Registry, demand, here, json_answer
from naru.registry.errors import Refusal, refusal_of
from naru.registry.routes import Route, match

log = logging.getLogger("naru.registry")

Handler = Callable[[Context], Awaitable[web.StreamResponse]]


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


async def base(context: Context) -> web.StreamResponse:
    return json_answer({})


async def about(context: Context) -> web.StreamResponse:
    return json_answer({"name": "naru registry", "version": __version__, "api": "/v2/"})


async def extensions(context: Context) -> web.StreamResponse:
    """What there is beyond the specification's endpoints (distribution-spec, extensions/_oci.md)."""
    if context.route.repository:
        await context.storage.check_repository(context.route.repository)
    discover = {
        "name": "_oci",
        "description": "Discovery of extensions",
        "url": "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md",
        "endpoints": ["_oci/ext/discover"],
    }
    return json_answer({"extensions": [discover]})


# endpoint → method → what the caller must be allowed to do (None: nothing), and who does it. HEAD is GET.
TABLE: dict[str, dict[str, tuple[Action | None, Handler]]] = {
    "base": {"GET": (Action.LOGIN, base)},
    "catalog": {"GET": (Action.CATALOG, manifests.catalog)},
    "uploads": {"POST": (Action.PUSH, blobs.begin)},
    "upload": {
        "GET": (Action.PUSH, blobs.status),
        "PATCH": (Action.PUSH, blobs.append),
        "PUT": (Action.PUSH, blobs.finish),
        "DELETE": (Action.PUSH, blobs.cancel),
    },
    "blob": {"GET": (Action.PULL, blobs.get), "DELETE": (Action.DELETE, blobs.delete)},
    "manifest": {
        "GET": (Action.PULL, manifests.get),
        "PUT": (Action.PUSH, manifests.put),
        "DELETE": (Action.DELETE, manifests.delete),
    },
    "tags": {"GET": (Action.PULL, manifests.tags)},
    "referrers": {"GET": (Action.PULL, manifests.referrers)},
    "ping": {"GET": (None, search.ping)},
    "search": {"GET": (Action.CATALOG, search.search)},
    "extensions": {"GET": (Action.LOGIN, extensions)},
    "extensions of": {"GET": (Action.PULL, extensions)},
    "about": {"GET": (None, about)},
}
_NOWHERE = "none"  # the endpoint, in metrics, of what is none
ENDPOINTS = (*TABLE, _NOWHERE)


def make_app(registry: Registry) -> web.Application:
    """The application over these parts, which the caller opens and closes."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", make_handler(registry))
    return app


def make_handler(registry: Registry) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """What answers every path of the registry, for a server that has others too."""

    async def serve(request: web.Request) -> web.StreamResponse:
        begun = time.monotonic()
        endpoint = _NOWHERE
        try:
            route = match(request.path)
            if route is None:
                raise Refusal("UNSUPPORTED", "no such endpoint", status=404)
            endpoint = route.endpoint
            if route.repository:
                route = replace(route, repository=registry.spelled(route.repository))
            response = await _answer(registry, route, request)
        except NaruError as error:
            response = _refused(refusal_of(error))
        except OSError as error:  # the disk: full, read-only, failing
            log.error("%s %s: %s", request.method, request.path, error)
            response = _refused(Refusal("UNAVAILABLE", f"storage: {error.strerror}"))
        except Exception:  # the task's root: the client gets JSON, the log the trace
            log.exception("%s %s", request.method, request.path)
            response = _refused(Refusal("UNKNOWN"))
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        method = request.method if request.method in _METHODS else "OTHER"
        registry.metrics.note(endpoint, method, response.status, time.monotonic() - begun)
        return response

    return serve


async def _answer(registry: Registry, route: Route, request: web.Request) -> web.StreamResponse:
    action, handler = _find_handler(route, request.method)
    if registry.read_only and request.method not in ("GET", "HEAD"):
        raise Refusal("UNSUPPORTED", "the registry is read-only")
    want = Want(action, route.repository) if action is not None else None
    try:
        caller = await registry.access.identify(request.headers.get("Authorization", ""))
    except Refusal as error:
        wants = (want,) if want else ()
        if error.code == "UNAUTHORIZED" and (challenge := registry.access.challenge(Caller(), wants, here(request))):
            error.headers.setdefault("WWW-Authenticate", challenge)
        raise
    if want is not None:
        demand(registry, caller, want, request)
    context = Context(request, route, replace(caller, address=request.remote or ""), registry)
    admitted = await registry.guard.admit(context)
    if isinstance(admitted, web.StreamResponse):
        response = admitted
    else:
        response = await handler(context)
        response.headers.update(admitted)
    registry.guard.answered(context, response)
    return response


def _find_handler(route: Route, method: str) -> tuple[Action | None, Handler]:
    methods = TABLE[route.endpoint]
    found = methods.get("GET" if method == "HEAD" else method)
    if found is None:
        allowed = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
        raise Refusal("UNSUPPORTED", headers={"Allow": allowed})
    return found


def _refused(refusal: Refusal) -> web.Response:
    return web.Response(
        status=refusal.status, body=refusal.body(), content_type="application/json", headers=refusal.headers
    )
