"""One request of somebody who looks at pages: who they are, how they like it, and what they get."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from naru.errors import InvalidArgument, Unauthenticated
from naru.hub.pages.forms import Form, number
from naru.hub.pages.words import Language
from naru.hub.parts import Hub
from naru.hub.people import accounts, credentials
from naru.hub.people.accounts import Account
from naru.hub.people.credentials import Browser
from naru.hub.people.permissions import ANYBODY, Principal
from naru.hub.services.who import Who
from naru.registry.access import Caller
from naru.registry.database import Connection

if TYPE_CHECKING:
    from naru.hub.pages.site import Site

SESSION, ANONYMOUS_KEY, OPENID = "naru_session", "naru_form", "naru_openid"
NOTICE, LANGUAGE, THEME = "naru_notice", "naru_language", "naru_theme"
_PAGES = 1_000_000
_YEAR_S = 365 * 86400
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def who_of(c: Connection, cookie: str, now_s: float) -> tuple[Browser | None, Principal]:
    found = credentials.browser(c, cookie, now_s) if cookie else None
    return (found, accounts.principal(c, found.account)) if found else (None, ANYBODY)


def local(path: str) -> str:
    """Where to go on to, if that is a page of ours; else the first one."""
    return path if _LOCAL.fullmatch(path) else "/"


@dataclass(slots=True)
class Visit:
    """`problem`: what was wrong with the form that is shown again, with the `status` for that."""

    site: Site
    request: web.Request
    who: Who
    browser: Browser | None
    language: Language
    theme: str
    form_key: str
    form: Form
    problem: str = ""
    status: int = 200
    cookies: dict[str, tuple[str, int | None]] = field(
        default_factory=dict
    )  # name → value, seconds; None: this session

    @property
    def hub(self) -> Hub:
        return self.site.hub

    @property
    def account(self) -> Account | None:
        return self.browser.account if self.browser else None

    @property
    def me(self) -> Account:
        """Raises Unauthenticated."""
        if self.browser is None:
            raise Unauthenticated("log in first")
        return self.browser.account

    @property
    def caller(self) -> Caller:
        return Caller(self.me.name, address=self.who.address)

    def part(self, name: str) -> str:
        """Of the path."""
        text = self.request.match_info[name]
        if "\0" in text:
            raise InvalidArgument("the path holds a NUL character")
        return text

    def asked(self, name: str, default: str = "") -> str:
        """Of the query."""
        text = self.request.query.get(name, default)
        if "\0" in text:
            raise InvalidArgument(f"{name} holds a NUL character")
        return text[:300]

    def page_number(self) -> int:
        text = self.asked("page", "1")
        return min(max(number(text, "page"), 1), _PAGES)

    async def page(
        self, template: str, *, status: int = 0, images: str = "", secret: bool = False, **values: Any
    ) -> web.Response:
        """`images`: where else they may come from; `secret`: the page holds something that is shown once."""
        body = self.site.render(self, template, values)
        response = web.Response(status=status or self.status, body=body, content_type="text/html", charset="utf-8")
        if images:
            response.headers["Content-Security-Policy"] = self.site.policy(images)
        if secret:
            response.headers["Cache-Control"] = "no-store"
        return response

    def go(self, path: str, notice: str = "") -> web.Response:
        """To another page, which says that it is done: `notice` is a key of `words`."""
        if notice:
            self.cookies[NOTICE] = (notice, 60)
        return web.Response(status=303, headers={"Location": quote(path, safe="/?&=%:@+,;~#-._")})

    def away(self, url: str) -> web.Response:
        """To a page of somebody else whom the hub's owner has named."""
        return web.Response(status=303, headers={"Location": url})

    def remember(self, name: str, value: str, seconds: int | None = _YEAR_S) -> None:
        self.cookies[name] = (value, seconds)

    def given(self, name: str, default: Any = "") -> str:
        """What the form that is shown again had there."""
        return self.form.raw(name) if name in self.form else str(default if default is not None else "")

    def query_with(self, changes: Mapping[str, Any]) -> str:
        """This page's query, but for some fields; the empty ones are left out."""
        query = {name: value for name, value in self.request.query.items() if name != "page"} | dict(changes)
        return "?" + "&".join(f"{quote(name)}={quote(str(value))}" for name, value in query.items() if value)
