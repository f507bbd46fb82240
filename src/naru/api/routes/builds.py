"""POST /build (the classic builder's request), and pruning its cache."""

from __future__ import annotations

import json
from typing import Any

from naru.api.app import Request, Route
from naru.api.credentials import by_registry
from naru.api.progress import stream_progress
from naru.build.context import check_remote, receive
from naru.build.solve import Builder, BuildRequest
from naru.build.steps import Limits
from naru.errors import InvalidArgument, NaruError, Unsupported
from naru.events import Progress, Report
from naru.images.service import Images
from naru.oci.image import Platform


class BuildRoutes:
    def __init__(self, builder: Builder, images: Images) -> None:
        self._builder = builder
        self._images = images

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/build", self.build),
            Route("POST", "/build/prune", self.prune),
            Route("POST", "/build/cancel", self.cancel),
        ]

    async def build(self, request: Request) -> None:
        query = request.query
        if query.text("version") not in ("", "1"):
            if query.text("version") == "2":
                raise Unsupported("the BuildKit protocol is not supported yet: set DOCKER_BUILDKIT=0")
            raise InvalidArgument(f'invalid version "{query.text("version")}"')
        if remote := query.text("remote"):
            check_remote(remote)
        if query.text("platform"):
            Platform.parse(query.text("platform"))
        arguments, labels = _map(query.text("buildargs"), "build args"), _map(query.text("labels"), "labels")
        quiet = query.flag("q")
        exchange = request.exchange

        async def work(report: Report) -> None:
            def shown(progress: Progress) -> None:
                if not quiet:
                    report(progress)

            async with receive(exchange.body.pour, self._builder.scratch) as context:
                order = BuildRequest(
                    context=context, dockerfile=query.text("dockerfile") or "Dockerfile", tags=tuple(query.all("t")),
                    build_args=arguments, labels={name: str(value) for name, value in labels.items()},
                    target=query.text("target"), no_cache=query.flag("nocache") or not self._has_any(query.text("cachefrom")), pull=query.flag("pull"),
                    network_mode=query.text("networkmode") or "default", platform=query.text("platform"),
                    limits=_limits(request), credentials=by_registry(request.header("x-registry-config")),
                )  # fmt: skip
                result = await self._builder.build(order, shown)
            if quiet:
                report(Progress(stream=f"{result.image_id}\n"))

        await stream_progress(request, work)

    def _has_any(self, cache_from: str) -> bool:
        """True unless only images that are not here were named as the cache."""
        names = _list(cache_from, "cache-from")
        for name in names:
            try:
                self._images.resolve(name)
            except NaruError:
                continue
            return True
        return not names

    async def prune(self, request: Request) -> None:
        request.query.filters({"until", "id", "parent", "type", "description", "inuse", "shared", "private"})
        await request.answer({"CachesDeleted": None, "SpaceReclaimed": await self._builder.prune()})

    async def cancel(self, request: Request) -> None:
        if not request.query.text("id"):
            raise InvalidArgument("build ID not provided")
        await request.done(200)


def _map(text: str, what: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"error reading {what}: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"error reading {what}: not a JSON object")
    if not all(item is None or isinstance(item, str) for item in value.values()):
        raise InvalidArgument(f"error reading {what}: a value is not a string")
    return value


def _list(text: str, what: str) -> list[str]:
    if not text:
        return []
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"error reading {what}: {error}") from error
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise InvalidArgument(f"error reading {what}: not a list of strings")
    return value or []


def _limits(request: Request) -> Limits:
    query = request.query
    return Limits(
        shm_size_bytes=query.integer("shmsize") or 0, extra_hosts=tuple(host for text in query.all("extrahosts") for host in text.split(",") if host),
        memory_bytes=query.integer("memory") or 0, cpu_quota=query.integer("cpuquota") or 0,
        cpu_period=query.integer("cpuperiod") or 0, cpu_shares=query.integer("cpushares") or 0,
        cpuset_cpus=query.text("cpusetcpus"), cpuset_mems=query.text("cpusetmems"),
    )  # fmt: skip
