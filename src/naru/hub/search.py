"""What `docker search` asks: the first version's index (Docker's "Registry v1 API"), over the hub's own search."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from naru.errors import NaruError, Unauthenticated
from naru.hub.catalog import repositories
from naru.hub.catalog.repositories import Query
from naru.hub.parts import Hub
from naru.hub.people.permissions import ANYBODY
from naru.registry.context import json_answer
from naru.registry.errors import refusal_of

_DEFAULT, _MOST = 25, 100


def add_routes(app: web.Application, hub: Hub) -> None:
    app.router.add_get("/v1/_ping", _ping)
    app.router.add_get("/v1/search", partial(_search, hub))


async def _ping(request: web.Request) -> web.Response:
    return json_answer({"standalone": True}, headers={"X-Docker-Registry-Standalone": "true"})


async def _search(hub: Hub, request: web.Request) -> web.Response:
    """Public ones, and with the client's password what its account may see."""
    try:
        limit = min(max(int(request.query.get("n", _DEFAULT)), 1), _MOST)
    except ValueError:
        return web.json_response({"message": "n: not a number"}, status=400)
    try:
        principal = ANYBODY
        if authorization := request.headers.get("Authorization", ""):
            principal = await hub.identities.by_basic(authorization, request.remote or "")
        text = request.query.get("q", "").replace("\0", "").strip()
        found, _ = await hub.database.read(repositories.search, principal, Query(text), 0, limit)
    except Unauthenticated as error:
        return web.json_response(
            {"message": str(error)}, status=401, headers={"WWW-Authenticate": 'Basic realm="naru"'}
        )
    except NaruError as error:
        return web.json_response({"message": str(error)}, status=refusal_of(error).status)
    results = [
        {
            "name": one.name.removeprefix("library/"), "description": one.summary, "star_count": one.stars,
            "is_official": one.badge == "official", "is_automated": False,
        }
        for one in found
    ]  # fmt: skip
    return json_answer({"query": text, "num_results": len(results), "results": results})
