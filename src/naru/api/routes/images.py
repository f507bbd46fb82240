"""Images: list, inspect, pull, import, push, tag, remove, history, save, load, prune."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from naru.api.app import Request, Route
from naru.api.credentials import from_header
from naru.api.images import entry_json, flag, history_json, inspect_json, select, until
from naru.api.parameters import Query
from naru.api.progress import stream_progress
from naru.containers.engine import Engine
from naru.errors import Internal, InvalidArgument
from naru.events import Progress, Report
from naru.images.changes import apply_changes
from naru.images.removal import PruneFilter
from naru.oci import reference
from naru.oci.image import Platform, load_json
from naru.oci.reference import Reference

_TAR = ("Content-Type", "application/x-tar")


class ImageRoutes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._images = engine.images

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/images/json", self.index),
            Route("GET", "/images/get", self.save),
            Route("GET", "/images/search", self.search),
            Route("POST", "/images/create", self.create),
            Route("POST", "/images/load", self.load),
            Route("POST", "/images/prune", self.prune),
            Route("GET", "/images/{name:*}/json", self.inspect),
            Route("GET", "/images/{name:*}/history", self.history),
            Route("GET", "/images/{name:*}/get", self.save_one),
            Route("POST", "/images/{name:*}/push", self.push),
            Route("POST", "/images/{name:*}/tag", self.tag),
            Route("DELETE", "/images/{name:*}", self.remove),
            Route("GET", "/distribution/{name:*}/json", self.distribution),
        ]

    async def index(self, request: Request) -> None:
        query = request.query
        filters = query.filters(("before", "dangling", "label", "label!", "reference", "since", "until"))
        if name := query.text("filter"):
            filters.setdefault("reference", []).append(name)
        images = select(self._images, filters, time.time_ns())
        manifests = query.flag("manifests")
        rows = await asyncio.to_thread(
            lambda: [entry_json(self._engine, image, request.version, manifests=manifests) for image in images]
        )
        await request.answer(rows)

    async def inspect(self, request: Request) -> None:
        platform = _platform_json(request.query)
        image = self._images.resolve(request["name"], platform)
        await request.answer(await asyncio.to_thread(inspect_json, self._engine, image, request.version))

    async def history(self, request: Request) -> None:
        image = self._images.resolve(request["name"], _platform_json(request.query))
        await request.answer(history_json(self._images.history(image)))

    # -- pull, import, push -----------------------------------------------------------------------------------------

    async def create(self, request: Request) -> None:
        query = request.query
        text = query.text("platform")
        platform = Platform.parse(text) if text else None
        if name := query.text("fromImage"):
            ref = _with_tag(reference.parse(name), query.text("tag"))
            credentials = from_header(request.header("x-registry-auth"))
            await stream_progress(request, lambda report: self._images.pull(ref, platform, credentials, report))
            return
        source = query.text("fromSrc")
        if not source:
            raise Internal('Get "http:": http: no Host in request URL')
        if source != "-":
            raise InvalidArgument("importing from a URL is not supported: fetch it, and import it from standard input")
        repository = query.text("repo")
        ref_or_none = _with_tag(reference.parse(repository), query.text("tag")) if repository else None
        run: dict[str, Any] = apply_changes({}, query.all("changes"))
        message = query.text("message") or f"Imported from {source}"

        async def work(report: Report) -> None:
            image = await self._images.import_(
                request.exchange.body.pour, ref_or_none, run=run, message=message, platform=platform
            )
            report(Progress(status=str(image.id)))

        await stream_progress(request, work)

    async def push(self, request: Request) -> None:
        ref = _with_tag(reference.parse(request["name"]), request.query.text("tag"))
        credentials = from_header(request.header("x-registry-auth"))
        platform = _platform_json(request.query)

        async def work(report: Report) -> None:
            await self._images.push(ref, platform, credentials, report)

        await stream_progress(request, work)

    async def tag(self, request: Request) -> None:
        image = self._images.resolve(request["name"])
        repository, tag = request.query.text("repo"), request.query.text("tag")
        if repository:
            self._images.tag(image, _with_tag(reference.parse(repository), tag))
        await request.done(201)

    # -- remove, prune ------------------------------------------------------------------------------------------------

    async def remove(self, request: Request) -> None:
        removed = await self._images.remove(request["name"], force=request.query.flag("force"))
        await request.answer([{line.action: line.text} for line in removed])

    async def prune(self, request: Request) -> None:
        filters = request.query.filters({"dangling", "label", "label!", "until"})
        dangling_only = flag("dangling", filters.get("dangling", ["true"]))
        untils = filters.get("until", [])
        until_ns = until(untils[0], time.time_ns()) if untils else None
        wanted = PruneFilter(
            dangling_only=dangling_only, until_ns=until_ns, labels=filters.get("label", []),
            without_labels=filters.get("label!", []),
        )  # fmt: skip
        removed, freed = await self._images.prune(wanted)
        lines = [{line.action: line.text} for line in removed]
        await request.answer({"ImagesDeleted": lines or None, "SpaceReclaimed": freed})

    # -- archives -----------------------------------------------------------------------------------------------------

    async def save(self, request: Request) -> None:
        await self._save(request, request.query.all("names"))

    async def save_one(self, request: Request) -> None:
        await self._save(request, [request["name"]])

    async def _save(self, request: Request, names: list[str]) -> None:
        await request.produce([_TAR], self._images.save(names, _platform_json(request.query)))

    async def load(self, request: Request) -> None:
        platform = _platform_json(request.query)

        async def work(report: Report) -> None:
            await self._images.load(request.exchange.body.pour, platform, report)

        await stream_progress(request, work, at_once=True)

    # -- registries ---------------------------------------------------------------------------------------------------

    async def search(self, request: Request) -> None:
        query = request.query
        query.filters({"is-automated", "is-official", "stars"})
        try:
            limit = query.integer("limit")
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid limit specified: {error}") from error
        if limit is not None and not 1 <= limit <= 100:
            raise InvalidArgument(f"limit {limit} is outside the range of [1, 100]")
        credentials = from_header(request.header("x-registry-auth"))
        await request.answer(await self._engine.registry.search(query.text("term"), limit or 25, credentials))

    async def distribution(self, request: Request) -> None:
        ref = reference.parse(request["name"]).with_default_tag()
        credentials = from_header(request.header("x-registry-auth"))
        descriptor = await self._engine.registry.inspect(ref, credentials)
        shown = {"mediaType": descriptor.media_type, "digest": str(descriptor.digest), "size": descriptor.size}
        await request.answer({"Descriptor": shown, "Platforms": None})


def _with_tag(ref: Reference, tag: str) -> Reference:
    """The tag parameter may be a tag or a digest; it wins over the name's own."""
    if not tag:
        return ref
    separator = "@" if ":" in tag else ":"
    try:
        return reference.parse(f"{ref.name}{separator}{tag}")
    except InvalidArgument as error:
        raise InvalidArgument("invalid tag format") from error


def _platform_json(query: Query) -> Platform | None:
    """A platform as the OCI JSON object, the way all image routes but pull take it."""
    text = query.text("platform")
    if not text:
        return None
    value = load_json(text.encode(), "failed to parse platform")
    return Platform(str(value.get("os", "")), str(value.get("architecture", "")), str(value.get("variant", "")))
