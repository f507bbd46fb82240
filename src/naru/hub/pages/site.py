"""What all pages have in common: who is there, that forms are our own, what headers go along, and what an error looks like."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import hdrs, web

from naru.errors import Conflict, Forbidden, InvalidArgument, NaruError, NotFound, Unauthenticated
from naru.hub.pages import forms, words
from naru.hub.pages.assets import Assets
from naru.hub.pages.forms import Form, Problem
from naru.hub.pages.remembered import Remembered
from naru.hub.pages.rendering import Templates
from naru.hub.pages.visit import ANONYMOUS_KEY, LANGUAGE, NOTICE, OPENID, SESSION, THEME, Visit, who_of
from naru.hub.parts import Hub
from naru.hub.people.permissions import ANYBODY
from naru.hub.statuses import status_of
from naru.registry.errors import Refusal

log = logging.getLogger("naru.hub")

Handler = Callable[[Visit], Awaitable[web.Response]]
THEMES = ("light", "dark")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all, browsers would not say whose a form is
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Route:
    """`again`: the page that is shown once more, with what was wrong, when its form could not be done."""

    method: str
    path: str
    handler: Handler
    again: Handler | None = None


class Site:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.assets = Assets()
        self._templates = Templates(self.assets.path)
        self.remembered = Remembered()

    def handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route)

        return serve

    async def nothing(self, request: web.Request) -> web.StreamResponse:
        async def missing(visit: Visit) -> web.Response:
            raise NotFound("there is no such page")

        return await self._serve(request, Route("GET", "", missing))

    def render(self, visit: Visit, template: str, values: dict[str, Any]) -> bytes:
        notice = visit.request.cookies.get(NOTICE, "")
        shared = {
            "v": visit, "me": visit.account, "site_title": self.hub.title, "theme": visit.theme, "form_key": visit.form_key,
            "now_s": visit.who.now_s, "notice": notice if notice.startswith("done.") and notice in words.WORDS else "",
            "problem": visit.problem, "host": self.hub.address(visit.request).partition("://")[2], "here": visit.request.path_qs,
            "sign_up": self.hub.sign_up,
        }  # fmt: skip
        return self._templates.render(template, visit.language, **(shared | values))

    @staticmethod
    def policy(images: str = "") -> str:
        """Content-Security-Policy: everything is ours, and nothing is written into pages."""
        return f"default-src 'self'; img-src 'self' {images}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

    def _is_https(self, request: web.Request) -> bool:
        return self.hub.address(request).startswith("https:")

    def cookie_name(self, name: str, request: web.Request) -> str:
        """Those that open something can be set by no other host, where that can be had (RFC 6265bis, 4.1.3.2)."""
        return f"__Host-{name}" if name in (SESSION, ANONYMOUS_KEY, OPENID) and self._is_https(request) else name

    async def _serve(self, request: web.Request, route: Route) -> web.StreamResponse:
        visit = self._stranger(request)
        try:
            try:
                visit = await self._visit(request)
                if request.method not in ("GET", "HEAD"):
                    forms.check_origin(request, self.hub.address(request))
                    visit.form = await forms.read(request)
                    forms.check_key(visit.form, visit.form_key)
                response = await self._answered(visit, route)
            except NaruError as error:
                response = await self._refused(visit, error)
            except web.HTTPException as error:
                response = await self._failed(visit, error.status, "")
        except Exception:  # the request's root: the visitor gets a page, the log the trace
            log.exception("%s %s", request.method, request.path)
            response = await self._failed(visit, 500, "")
        self._finish(visit, response)
        return response

    async def _answered(self, visit: Visit, route: Route) -> web.Response:
        try:
            return await route.handler(visit)
        except (InvalidArgument, Conflict, Forbidden, NotFound, Refusal) as error:
            if route.again is None or visit.problem:
                raise
            visit.problem = self._said(visit, error)
            visit.status = status_of(error)
            return await route.again(visit)

    @staticmethod
    def _said(visit: Visit, error: NaruError) -> str:
        if isinstance(error, Problem):
            return visit.language(error.key)
        return visit.language.said(error.message if isinstance(error, Refusal) else str(error))

    async def _refused(self, visit: Visit, error: NaruError) -> web.Response:
        if isinstance(error, Unauthenticated) and visit.account is None and visit.request.method in ("GET", "HEAD"):
            return visit.go(f"/login?next={quote(visit.request.path_qs, safe='')}")
        status = status_of(error)
        if status >= 500:
            log.error("%s %s: %s", visit.request.method, visit.request.path, error)
        response = await self._failed(visit, status, self._said(visit, error) if status < 500 else "")
        if isinstance(error, Refusal) and "Retry-After" in error.headers:
            response.headers["Retry-After"] = error.headers["Retry-After"]
        return response

    async def _failed(self, visit: Visit, status: int, message: str) -> web.Response:
        visit.problem = ""
        return await visit.page("error.html", status=status, code=status, message=message)

    def _stranger(self, request: web.Request) -> Visit:
        chosen = request.cookies.get(LANGUAGE, "")
        language = words.choose(chosen, request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        theme = request.cookies.get(THEME, "")
        who = self.hub.who(ANYBODY, request)
        return Visit(self, request, who, None, language, theme if theme in THEMES else "", "", Form())

    async def _visit(self, request: web.Request) -> Visit:
        visit = self._stranger(request)
        cookie = request.cookies.get(self.cookie_name(SESSION, request), "")
        browser, principal = await self.hub.database.read(who_of, cookie, time.time())
        visit.browser, visit.who = browser, self.hub.who(principal, request)
        if browser is not None:
            visit.form_key = browser.form_key
        else:  # a form of somebody unknown is ours if it brings what the cookie does
            visit.form_key = request.cookies.get(self.cookie_name(ANONYMOUS_KEY, request), "")
            if not visit.form_key and request.method in ("GET", "HEAD"):
                visit.form_key = secrets.token_urlsafe(32)
                visit.remember(ANONYMOUS_KEY, visit.form_key, None)
        return visit

    def _finish(self, visit: Visit, response: web.StreamResponse) -> None:
        request = visit.request
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", self.policy())
        response.headers.setdefault("Cache-Control", "private, no-cache")
        if NOTICE in request.cookies and NOTICE not in visit.cookies and response.status == 200:
            visit.cookies[NOTICE] = ("", 0)
        for name, (value, seconds) in visit.cookies.items():
            response.set_cookie(
                self.cookie_name(name, request), value, max_age=seconds, path="/", httponly=True, samesite="Lax",
                secure=self._is_https(request),
            )  # fmt: skip
