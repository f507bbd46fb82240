"""What is between a request to the registry and its answer, in a hub: pulls are counted, and limited as Docker Hub limits them.

A pull is a GET of a manifest; HEAD is free, and says what is left. Counts are kept in memory and written once in a while: what a crash
takes is a minute of statistics.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from naru.errors import NaruError
from naru.hub.authority import SCANNER
from naru.hub.catalog import repositories
from naru.hub.peers.pullthrough import PullThrough
from naru.hub.ratelimit import Limiter, Window, address_key, headers
from naru.oci.digest import Digest
from naru.registry.context import Context
from naru.registry.database import Database
from naru.registry.errors import Refusal
from naru.registry.routes import parse_reference

log = logging.getLogger("naru.hub")

_FLUSH_S = 15.0
# tags that were looked at by HEAD, and how long what is fetched next is taken for theirs
_RESOLVED, _RESOLVED_S = 10_000, 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Pulls in a window, of accounts and of addresses; None: as many as they like."""

    account: Window | None = None
    address: Window | None = None


class HubGuard:
    def __init__(self, database: Database, limits: Limits, pull_through: PullThrough | None = None) -> None:
        self._database = database
        self._pull_through = pull_through
        self._accounts = Limiter(limits.account) if limits.account else None
        self._addresses = Limiter(limits.address) if limits.address else None
        self._pulls: Counter[tuple[str, str, int]] = Counter()  # repository, tag, day
        self._resolved: dict[tuple[str, str, str], tuple[str, float]] = {}  # whose, repository, digest → tag, when

    async def admit(self, context: Context) -> Mapping[str, str] | web.StreamResponse:
        """Raises Refusal TOOMANYREQUESTS, and as `pullthrough`."""
        sent = self._limited(context)
        if self._pull_through is None:
            return sent
        fetched = await self._pull_through.admit(context)
        if isinstance(fetched, web.StreamResponse):
            fetched.headers.update(sent)
            return fetched
        return {**sent, **fetched}

    def _limited(self, context: Context) -> Mapping[str, str]:
        if context.route.endpoint != "manifest" or context.request.method not in ("GET", "HEAD"):
            return {}
        caller, now_s = context.caller, time.time()
        if caller.name == SCANNER:
            return {}
        if caller.name:
            limiter, source = self._accounts, caller.name
            key = f"account:{source.partition('+')[0]}"  # its robots are not more of it
        else:
            limiter, source = self._addresses, caller.address
            key = address_key(source) if source else ""
        if limiter is None:
            return {}
        verdict = limiter.take(key, now_s) if context.request.method == "GET" else limiter.peek(key, now_s)
        sent = headers(verdict, source)
        if not verdict.allowed:
            message = f"You have reached your pull rate limit: {verdict.limit} pulls in {verdict.window_s} seconds."
            raise Refusal("TOOMANYREQUESTS", message, headers=sent)
        return sent

    def answered(self, context: Context, response: web.StreamResponse) -> None:
        """Clients of today ask by HEAD what a tag names, and GET that: such a pull is one of the tag."""
        if context.route.endpoint != "manifest" or response.status != 200 or context.caller.name == SCANNER:
            return
        reference, repository = parse_reference(context.route.item), context.route.repository
        who, now_s = context.caller.name or context.caller.address, time.time()
        if context.request.method == "HEAD" and not isinstance(reference, Digest):
            while len(self._resolved) >= _RESOLVED:
                del self._resolved[next(iter(self._resolved))]
            digest = response.headers.get("Docker-Content-Digest", "")
            self._resolved[who, repository, digest] = reference, now_s
        elif context.request.method == "GET":
            tag = reference
            if isinstance(reference, Digest):
                tag, at_s = self._resolved.pop((who, repository, str(reference)), ("", 0.0))
                tag = tag if now_s - at_s < _RESOLVED_S else ""
            self._pulls[repository, tag, int(now_s) // repositories.DAY_S] += 1

    async def run(self) -> None:
        """Write the counts down, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self.flush()
            except NaruError as error:
                log.error("counting pulls: %s", error)

    async def flush(self) -> None:
        """Raises what the database does; then they are counted the next time."""
        counted, self._pulls = self._pulls, Counter()
        if not counted:
            return
        rows = [(name, tag, day, count) for (name, tag, day), count in sorted(counted.items())]
        try:
            await self._database.note(repositories.count_pulls, rows)
        except Exception:
            self._pulls.update(counted)
            raise
