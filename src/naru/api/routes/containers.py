"""Containers: create, list, inspect, the verbs, wait and stats."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from naru.api.app import JSON, Request, Route
from naru.api.convert import inspect_json, network_settings
from naru.api.createversions import meaning
from naru.api.listing import FILTERS, rows, select
from naru.api.parameters import parse_until
from naru.api.stats import empty_sample, sample
from naru.containers.engine import Engine
from naru.containers.records import Container, Status
from naru.errors import Internal, InvalidArgument, NaruError, NotFound
from naru.events import Event
from naru.oci.image import Platform
from naru.wire.container import CreateRequest, UpdateRequest
from naru.wire.decode import encode
from naru.wire.filters import has_labels

_STATS_INTERVAL_S = 1.0


class ContainerRoutes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        one = "/containers/{name}"
        return [
            Route("POST", "/containers/create", self.create),
            Route("GET", "/containers/json", self.list),
            Route("GET", f"{one}/json", self.inspect),
            Route("POST", f"{one}/start", self.start),
            Route("POST", f"{one}/stop", self.stop),
            Route("POST", f"{one}/restart", self.restart),
            Route("POST", f"{one}/kill", self.kill),
            Route("POST", f"{one}/pause", self.pause),
            Route("POST", f"{one}/unpause", self.unpause),
            Route("POST", f"{one}/rename", self.rename),
            Route("POST", f"{one}/update", self.update),
            Route("POST", f"{one}/wait", self.wait),
            Route("POST", f"{one}/resize", self.resize),
            Route("GET", f"{one}/top", self.top),
            Route("GET", f"{one}/stats", self.stats),
            Route("POST", "/containers/prune", self.prune),
            Route("DELETE", one, self.remove),
            Route("DELETE", f"{one}/{{alias}}", self.remove_link),
        ]

    # -- create, list, inspect ----------------------------------------------------------------------------------------

    async def create(self, request: Request) -> None:
        body = await request.json(CreateRequest, "container.CreateRequest", prefix="CreateRequest.Config")
        text = request.query.text("platform")
        platform = _platform(text) if text else None
        if body == CreateRequest():
            raise InvalidArgument("config cannot be empty in order to create a container")
        asked = meaning(body, request.version)
        created = await self._engine.containers.create(
            request.query.text("name"), asked.request, platform,
            flat_read_only=asked.flat_read_only, tell_empty_bindings=asked.tell_empty_bindings,
        )  # fmt: skip
        await request.answer({"Id": created.id, "Warnings": [*asked.warnings, *created.warnings]}, 201)

    def _settings(self, record: Container, request: Request) -> dict[str, Any]:
        networking = self._engine.networking
        return network_settings(record, networking.endpoints(record.id), networking.network_ids(), request.version)

    async def list(self, request: Request) -> None:
        query = request.query
        filters = query.filters(FILTERS)
        limit = query.integer("limit") or 0
        everything = query.flag("all") or limit > 0 or "status" in filters or "exited" in filters
        records = select(self._engine, filters, everything=everything)
        shown = records[:limit] if limit > 0 else records
        await request.answer(await rows(self._engine, shown, request.version, size=query.flag("size")))

    async def inspect(self, request: Request) -> None:
        engine = self._engine
        record = engine.containers.find(request["name"]).record
        size = await asyncio.to_thread(self._engine.sizes, record) if request.query.flag("size") else None
        await request.answer(
            inspect_json(
                record,
                version=request.version,
                settings=self._settings(record, request),
                execs=engine.execs.of(record.id),
                health=engine.health(record),
                directory=engine.directory(record.id),
                log_path=engine.log_path(record),
                size=size,
                links=engine.networking.links(record),
                apparmor=engine.around.shown_apparmor(record),
            )
        )

    # -- verbs ----------------------------------------------------------------------------------------------------------

    async def start(self, request: Request) -> None:
        if checkpoint := request.query.text("checkpoint"):
            directory = request.query.text("checkpoint-dir")
            await self._engine.checkpoints.start(request["name"], checkpoint, directory)
        else:
            await self._engine.containers.start(request["name"])
        await request.done()

    async def stop(self, request: Request) -> None:
        await self._engine.containers.stop(
            request["name"], timeout_s=request.query.integer("t"), signal_name=request.query.text("signal")
        )
        await request.done()

    async def restart(self, request: Request) -> None:
        try:
            timeout_s = request.query.integer("t")
        except InvalidArgument as error:  # where Docker takes it for a fault of its own; `stop` does not
            raise Internal(str(error)) from error
        await self._engine.containers.restart(
            request["name"], timeout_s=timeout_s, signal_name=request.query.text("signal")
        )
        await request.done()

    async def kill(self, request: Request) -> None:
        await self._engine.containers.kill(request["name"], request.query.text("signal"))
        await request.done()

    async def pause(self, request: Request) -> None:
        await self._engine.containers.pause(request["name"])
        await request.done()

    async def unpause(self, request: Request) -> None:
        await self._engine.containers.unpause(request["name"])
        await request.done()

    async def rename(self, request: Request) -> None:
        await self._engine.containers.rename(request["name"], request.query.text("name"))
        await request.done()

    async def update(self, request: Request) -> None:
        body = await request.json(UpdateRequest, "container.UpdateConfig")
        warnings = await self._engine.containers.update(request["name"], body)
        await request.answer({"Warnings": list(warnings) or None})

    async def remove(self, request: Request) -> None:
        query = request.query
        if query.flag("link"):
            self._engine.containers.find(request["name"])
            raise Internal("Conflict, cannot remove the default link name of the container")
        await self._engine.containers.remove(request["name"], force=query.flag("force"), volumes=query.flag("v"))
        await request.done()

    async def remove_link(self, request: Request) -> None:
        """Only links have names with a slash."""
        if not request.query.flag("link"):
            raise NotFound(f"No such container: {request['name']}/{request['alias']}")
        await self._engine.containers.remove_link(request["name"], request["alias"])
        await request.done()

    async def wait(self, request: Request) -> None:
        """The headers go out at once: Go clients hold back `start` until they have them."""
        condition = request.query.text("condition") if request.at_least(1, 30) else ""
        async with self._engine.containers.waiting(request["name"], condition) as future:
            exchange = request.exchange
            await exchange.begin(200, [JSON])
            await exchange.write(encode({"StatusCode": await asyncio.shield(future)}) + b"\n")

    async def resize(self, request: Request) -> None:
        height, width = size_of(request)
        await self._engine.containers.resize(request["name"], height, width)
        await request.done(200)

    async def top(self, request: Request) -> None:
        titles, rows = await self._engine.processes.table(request["name"], request.query.text("ps_args") or "-ef")
        await request.answer({"Titles": titles, "Processes": rows})

    async def stats(self, request: Request) -> None:
        engine = self._engine
        owner = engine.containers.find(request["name"])
        stream = request.query.flag("stream", True)
        one_shot = request.query.flag("one-shot")  # of a stream it changes nothing
        if not stream and not owner.record.state.status.is_live:
            await request.answer(empty_sample(owner.record))
            return
        exchange = request.exchange
        await exchange.begin(200, [] if stream else [JSON])
        before: dict[str, Any] | None = None
        while engine.has(owner):
            current = sample(engine.host, owner) if owner.record.state.status.is_live else empty_sample(owner.record)
            if before is not None or one_shot or stream:
                value = dict(current)
                value["precpu_stats"] = (before or empty_sample(owner.record))["cpu_stats"]
                value["preread"] = (before or empty_sample(owner.record))["read"]
                await exchange.write(encode(value) + b"\n")
                if not stream:
                    return
            before = current
            await asyncio.sleep(_STATS_INTERVAL_S)

    async def prune(self, request: Request) -> None:
        filters = request.query.filters({"until", "label", "label!"})
        untils = filters.get("until", [])
        if len(untils) > 1:
            raise InvalidArgument("more than one until filter specified")
        before_ns = parse_until(untils[0], time.time_ns()) if untils else 0
        deleted, freed = [], 0
        for record in self._engine.containers.all():
            if record.state.status.is_live or record.state.status in (Status.RESTARTING, Status.REMOVING):
                continue
            labels = record.config.labels or {}
            if (before_ns and record.created_ns >= before_ns) or not has_labels(labels, filters.get("label", [])):
                continue
            if "label!" in filters and has_labels(labels, filters["label!"]):
                continue
            try:
                size = (await asyncio.to_thread(self._engine.sizes, record))[0]
                await self._engine.containers.remove(record.id)
            except NaruError:
                continue  # started or removed by somebody else meanwhile
            deleted.append(record.id)
            freed += size
        self._engine.bus.publish(Event("container", "prune", "", time.time_ns(), {"reclaimed": str(freed)}))
        await request.answer({"ContainersDeleted": deleted or None, "SpaceReclaimed": freed})


def size_of(request: Request) -> tuple[int, int]:
    """(height, width) of a resize. Raises InvalidArgument in the words of Go's strconv."""
    out = []
    for key, what in (("h", "height"), ("w", "width")):
        text = request.query.text(key)
        if not text.isdigit():
            raise InvalidArgument(f'invalid resize {what} "{text}": invalid syntax')
        if int(text) >= 1 << 32:
            raise InvalidArgument(f'invalid resize {what} "{text}": value out of range')
        out.append(min(int(text), 65535))
    return out[0], out[1]


def _platform(text: str) -> Platform:
    try:
        return Platform.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f'"{text}": cannot parse platform specifier: invalid argument') from error
