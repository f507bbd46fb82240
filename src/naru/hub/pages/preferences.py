"""How somebody likes their pages: which language, light or dark. Kept in cookies; links of the footer."""

from __future__ import annotations

from aiohttp import web

from naru.errors import NotFound
from naru.hub.pages import words
from naru.hub.pages.site import THEMES, Route
from naru.hub.pages.visit import LANGUAGE, THEME, Visit, local


async def language(visit: Visit) -> web.Response:
    chosen = visit.part("language")
    if chosen not in words.LANGUAGES:
        raise NotFound("there is no such language here")
    visit.remember(LANGUAGE, chosen)
    return visit.go(local(visit.asked("next", "/")))


async def theme(visit: Visit) -> web.Response:
    chosen = visit.part("theme")
    if chosen not in (*THEMES, "auto"):
        raise NotFound("there is no such theme")
    visit.remember(THEME, "" if chosen == "auto" else chosen, 0 if chosen == "auto" else 365 * 86400)
    return visit.go(local(visit.asked("next", "/")))


ROUTES = (Route("GET", "/language/{language}", language), Route("GET", "/theme/{theme}", theme))
