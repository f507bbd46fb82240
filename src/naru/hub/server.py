"""Running a hub: the registry's parts, the hub's beside them on the same database, one address for all.

| path | who answers |
|---|---|
| `/v2/…` | the registry (`naru.registry.app`), with the hub's access, rules and guard |
| `/token` | `authority` |
| `/v1/_ping`, `/v1/search` | `search`: what `docker search` asks |
| `/api/v1/…`, and Docker Hub's paths below `/v2/` | `api` |
| everything else | `pages` |
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from naru.errors import InvalidArgument
from naru.hub import address, api, pages, search
from naru.hub.authority import TOKEN_PATH, Authority, HubAccess
from naru.hub.catalog import images, repositories
from naru.hub.gate.guard import HubGuard, Limits
from naru.hub.gate.rules import HubRules
from naru.hub.jobs import Handler, Workers
from naru.hub.outbound import Outbound
from naru.hub.parts import Hub
from naru.hub.peers import deliveries, replications, scans
from naru.hub.peers.deliveries import Deliverer
from naru.hub.peers.pullthrough import PullThrough
from naru.hub.peers.replicate import Replicator
from naru.hub.peers.scanning import Scanning
from naru.hub.people.identity import Identities
from naru.hub.people.oidc import OpenIdConnect, Provider
from naru.hub.policies import retain
from naru.hub.policies.retain import Retainer
from naru.hub.proxies import Network, middleware
from naru.hub.resealed import seal_anew
from naru.registry import listening
from naru.registry.app import make_handler
from naru.registry.context import Registry
from naru.registry.listening import Running, Tls, listen
from naru.registry.migrate import migrate
from naru.registry.seals import Seals, own_keys, read_keys
from naru.registry.server import Settings as RegistrySettings
from naru.registry.server import end_task, metrics_app, opened

log = logging.getLogger("naru.hub")


@dataclass(frozen=True, slots=True)
class Settings:
    """`url`: how the hub is reached from outside ("" for: as each client wrote it). `allow_private`: whether what people name (webhooks,
    upstreams, scanners) may be in the hub's own network. `sign_up`: whether strangers may make accounts. `secret_keys`: the file of the
    keys that seal what is secret in the database ("" for one of the data root's own)."""

    registry: RegistrySettings
    url: str = ""
    title: str = "Naru Hub"
    sign_up: bool = True
    allow_private: bool = False
    limits: Limits = field(default_factory=Limits)
    oidc: Provider | None = None  # where people may log in besides
    proxies: tuple[Network, ...] = ()  # in front of the hub, whose headers are believed
    secret_keys: str = ""


@asynccontextmanager
async def opened_hub(settings: Settings) -> AsyncIterator[Hub]:
    """The parts, with the work in the background going on. Raises as `registry.server.opened`."""
    async with (
        opened(settings.registry, rules=HubRules(), seals=partial(_seals, settings)) as registry,
        AsyncExitStack() as undo,
    ):
        database = registry.storage.database
        await migrate(database, "naru.hub", "hub_version")
        if changed := await database.write(seal_anew):
            log.info("%d secrets are sealed with the newest key now", changed)
        await database.write(address.keep, settings.url)
        identities = Identities(database)
        authority = await Authority.open(database, identities)
        pull_through = PullThrough(registry.storage, registry.uploads, settings.allow_private)
        undo.push_async_callback(pull_through.close)
        guard = HubGuard(database, settings.limits, pull_through)
        outbound = Outbound(settings.allow_private)
        undo.push_async_callback(outbound.close)
        registry = dataclasses.replace(
            registry, access=HubAccess(authority, database), guard=guard, spelled=repositories.spelled
        )
        workers = Workers(database, _handlers(registry, outbound, authority, settings), _SLOW)
        undo.push_async_callback(guard.flush)
        await retain.schedule_enabled(database)
        await database.write(replications.schedule_all, time.time())
        for work in (workers.run(), guard.run(), authority.run()):
            undo.push_async_callback(end_task, asyncio.create_task(_root(work)))
        openid = OpenIdConnect(settings.oidc, outbound) if settings.oidc else None
        site = (settings.url, settings.title, settings.sign_up)
        yield Hub(registry, identities, authority, outbound, workers, *site, openid)


_SLOW = (retain.JOB, replications.RULE_JOB, replications.REPOSITORY_JOB)


def _seals(settings: Settings) -> Seals:
    """Raises InvalidArgument: also where several instances would each have made a key of their own."""
    at = settings.registry
    if settings.secret_keys:
        return Seals(read_keys(settings.secret_keys))
    if at.database:
        raise InvalidArgument(
            "a database that others may share takes --secret-keys: a file with the key of its secrets, the same for all"
        )
    return Seals(own_keys(os.path.join(at.data_root, "secret.keys")))


def _handlers(registry: Registry, outbound: Outbound, authority: Authority, settings: Settings) -> dict[str, Handler]:
    storage = registry.storage
    database = storage.database
    replicator = Replicator(storage, registry.uploads, settings.allow_private)
    return {
        deliveries.JOB: Deliverer(database, outbound).run,
        images.JOB: images.Looker(database, storage).run,
        scans.JOB: Scanning(storage, outbound, authority, _found_at(settings)).run,
        retain.JOB: Retainer(database, storage).run,
        replications.RULE_JOB: replicator.run_rule,
        replications.REPOSITORY_JOB: replicator.run_repository,
    }


def _found_at(settings: Settings) -> str:
    """Where others find this hub, as far as it knows itself."""
    at = settings.registry
    host, port = listening.parse_listen(at.listen)
    if host in ("", "0.0.0.0", "::"):
        host = "localhost"  # scanners elsewhere need Settings.url
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return settings.url.rstrip("/") or f"{'https' if at.certificate else 'http'}://{where}"


async def _root(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # the root of a task
        log.exception("background work has ended")


def make_app(hub: Hub, proxies: Sequence[Network] = ()) -> web.Application:
    behind = [middleware(proxies)] if proxies else []
    app = web.Application(client_max_size=8 << 20, middlewares=behind)
    registry = make_handler(hub.registry)
    for method in ("GET", "POST"):
        app.router.add_route(method, TOKEN_PATH, hub.authority.serve)
    search.add_routes(app, hub)
    api.add_routes(app, hub)
    app.router.add_route("*", "/v2{path:(/.*)?}", registry)
    pages.add_routes(app, hub)
    return app


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A hub that answers until the end of the `async with`. Raises as `registry.server.running`."""
    at = settings.registry
    tls = Tls(at.certificate, at.key) if at.certificate or at.key else None
    async with opened_hub(settings) as hub, AsyncExitStack() as undo:
        address = await listen(undo, make_app(hub, settings.proxies), at.listen, tls.context if tls else None)
        metrics = await listen(undo, metrics_app(hub.registry), at.metrics) if at.metrics else ""
        yield Running(address, metrics, tls)


async def serve(settings: Settings) -> None:
    """Run a hub until SIGTERM or SIGINT. Raises as `running`."""
    await listening.serve(running(settings), "hub", settings.registry.data_root)
