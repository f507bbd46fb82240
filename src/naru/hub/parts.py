"""The hub's parts, as those who answer requests have them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from aiohttp import web

from naru.hub.authority import Authority
from naru.hub.jobs import Workers
from naru.hub.outbound import Outbound
from naru.hub.people.identity import Identities
from naru.hub.people.oidc import OpenIdConnect
from naru.hub.people.permissions import Principal
from naru.hub.services.who import Who
from naru.registry.context import Registry, here
from naru.registry.database import Connection, Database

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hub:
    registry: Registry
    identities: Identities
    authority: Authority
    outbound: Outbound
    workers: Workers
    url: str
    title: str
    sign_up: bool
    openid: OpenIdConnect | None = None

    @property
    def database(self) -> Database:
        return self.registry.storage.database

    @property
    def issuer(self) -> str:
        """The hub's name in apps that show codes, where a colon has a meaning of its own."""
        return self.title.replace(":", " ").strip() or "Naru Hub"

    def address(self, request: web.Request) -> str:
        """How this hub is reached, without a slash at the end."""
        return self.url.rstrip("/") or here(request)

    def who(self, principal: Principal, request: web.Request) -> Who:
        return Who(principal, request.remote or "", time.time())

    async def read(
        self, who: Who, service: Callable[Concatenate[Connection, Who, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Ask a service that changes nothing."""
        return await self.database.read(service, who, *args, **kwargs)

    async def do(
        self, who: Who, service: Callable[Concatenate[Connection, Who, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Have a service change something; jobs it has left behind begin at once."""
        result = await self.database.write(service, who, *args, **kwargs)
        self.workers.wake()
        return result
