"""The REST API, `/api/v1`, and the paths of Docker Hub's that clients use.

`ROUTES` is the whole of it: what it serves (`serve`) and what it says of itself (`openapi`, at `/api/v1/openapi.json`) are made of this
table. Handlers read a request and call one service each; who may do what is the services' to say.
"""

from __future__ import annotations

from functools import cache

from aiohttp import web

from naru import __version__
from naru.hub.api import account, admin, dockerhub, openapi, outside, people, policies, repositories, webhooks
from naru.hub.api.routes import PREFIX, Call, Route, Table
from naru.hub.api.serve import make_handler
from naru.hub.api.tokens import ApiTokens
from naru.hub.parts import Hub
from naru.oci.image import Json


@cache
def _described(title: str) -> Json:
    return openapi.document(ROUTES, title, __version__)


async def _document(call: Call) -> Json:
    return _described(call.hub.title)


ROUTES = (
    Route("GET", "/openapi.json", _document, "This document", login=False),
    *account.ROUTES, *people.ROUTES, *repositories.ROUTES, *policies.ROUTES, *webhooks.ROUTES, *admin.ROUTES, *outside.ROUTES,
)  # fmt: skip


def add_routes(app: web.Application, hub: Hub) -> None:
    tokens = ApiTokens(hub.authority, hub.database)
    app.router.add_route("*", PREFIX + "{path:(/.*)?}", make_handler(hub, tokens, Table(ROUTES)))
    dockerhub.add_routes(app, hub, tokens)
