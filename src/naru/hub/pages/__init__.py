"""The web site: pages drawn on the server, which work without JavaScript. What may be done is decided by `hub.services`.

| file | pages |
|---|---|
| `home` | /, /explore |
| `repository`, `tags`, `compared` | /r/NAMESPACE/NAME and what is below its /-/ |
| `reposettings`, `hooks` | a repository's settings; webhooks of repositories and namespaces |
| `organization` | /u/NAME, of people and organisations; /new/organization |
| `account` | /settings: oneself |
| `login`, `openid` | /login, /signup, /logout; logging in elsewhere |
| `admin`, `audits` | /admin; audit logs |
| `mirrors`, `replications`, `scanners` | other servers that the hub works with: for its admins |

Below a repository, paths begin with `/-/`, as no part of a repository's name can be `-`.
"""

from __future__ import annotations

from aiohttp import web

from naru.hub.pages import (
    account,
    admin,
    audits,
    compared,
    home,
    hooks,
    login,
    mirrors,
    openid,
    organization,
    preferences,
    replications,
    reposettings,
    repository,
    scanners,
    secondfactor,
    tags,
)
from naru.hub.pages.site import Route, Site
from naru.hub.parts import Hub

SUBJECTS = (
    home, login, openid, account, secondfactor, preferences, compared, tags, hooks, reposettings, audits, mirrors, organization,
    replications, scanners, admin, repository,
)  # fmt: skip
ROUTES: tuple[Route, ...] = tuple(route for subject in SUBJECTS for route in subject.ROUTES)


def add_routes(app: web.Application, hub: Hub) -> None:
    """Every path that nobody else answers, of which most are a page that says so. They are to be the last ones added."""
    site = Site(hub)
    app.router.add_get("/static/{digest}/{name}", site.assets.serve)
    for route in ROUTES:
        add = app.router.add_get if route.method == "GET" else app.router.add_post
        add(route.path, site.handler(route))
    app.router.add_route("*", "/{path:.*}", site.nothing)
