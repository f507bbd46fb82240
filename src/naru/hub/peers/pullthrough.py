"""Pulling through: what is asked for in a namespace that is a copy of another registry is fetched when it is not there.

| asked for | there | else |
|---|---|---|
| a tag | looked at within `fresh_s`: as it is; else HEAD upstream, and the same digest: as it is | fetched: this manifest alone, no children |
| a manifest by digest | as it is | fetched, and verified |
| a blob | as it is | fetched, and given to the client while it arrives (`tee`) |
| tags, referrers | | upstream's list (`lists`) |

However many ask for one thing at a time, upstream is asked once (by this process; of several, each asks, and the second copy changes
nothing). Where upstream does not answer, or has had enough of us, what is there is given with a Warning (distribution-spec "Warnings"),
and for some seconds nobody asks again. Upstream's own word that a tag is gone is passed on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web

from naru.errors import DataLoss, Forbidden, InvalidArgument, NaruError, NotFound, Unavailable
from naru.hub import audit
from naru.hub.catalog import images, upstreams
from naru.hub.catalog.upstreams import Upstream
from naru.hub.peers.lists import LISTS
from naru.hub.peers.remotes import IMPATIENT, Remote
from naru.hub.peers.tee import Reader, Tee
from naru.oci.digest import Digest
from naru.oci.image import CONFIG_LIMIT_BYTES, MANIFESTS, Manifest
from naru.registry import blobs, records, streaming
from naru.registry.access import Caller
from naru.registry.context import Context
from naru.registry.database import Connection
from naru.registry.errors import Refusal
from naru.registry.routes import parse_digest, parse_reference
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads
from naru.remote.answers import Limited, clean
from naru.remote.transport import Limits

CALLER = Caller(audit.HUB.name)
_KNOWN, _KNOWN_S = 10_000, 2.0
_PAUSE_S, _PAUSE_MOST_S = 15.0, 300.0  # without asking an upstream that has not answered
_RETRY_AFTER = "30"
_AT_ONCE = 100  # blobs on their way
_UNKNOWN = {"manifest": "MANIFEST_UNKNOWN", "blob": "BLOB_UNKNOWN"}
_CHANGES = ("POST", "PUT", "PATCH")


class PullThrough:
    """`close` it: what is on its way is given up."""

    def __init__(
        self, storage: Storage, uploads: Uploads, allow_private: bool, *, limits: Limits | None = None
    ) -> None:
        self._storage = storage
        self._uploads = uploads
        self._allow_private = allow_private
        self._limits = limits or IMPATIENT
        self._known: dict[str, tuple[Upstream | None, float]] = {}  # namespace → what it copies, believed until when
        self._remotes: dict[Upstream, Remote] = {}
        self._flights: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._tees: dict[tuple[str, Digest], Tee] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused: dict[str, tuple[float, str]] = {}  # URL → until when, and why

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for remote in self._remotes.values():
            await remote.close()

    async def admit(self, context: Context) -> Mapping[str, str] | web.StreamResponse:
        """As `registry.context.Guard`. Raises Refusal."""
        route, method = context.route, context.request.method
        upstream = await self._upstream(route.repository) if route.repository else None
        if upstream is None:
            return {}
        if method in _CHANGES:
            raise Refusal("DENIED", f"{upstream.name} is a copy of {upstream.url}: push there")
        if method not in ("GET", "HEAD") or route.endpoint not in ("manifest", "blob", *LISTS):
            return {}
        try:
            if route.endpoint in LISTS:
                return await self._list(upstream, context)
            if route.endpoint == "manifest":
                return await self._manifest(upstream, route.repository, parse_reference(route.item))
            return await self._blob(upstream, context, parse_digest(route.item))
        except NaruError as error:
            raise _refusal(error, upstream, route.endpoint) from error

    async def _upstream(self, repository: str) -> Upstream | None:
        owner, slash, _ = repository.partition("/")
        if not slash:
            return None
        database = self._storage.database
        known, until = self._known.get(owner, (None, 0.0))
        if time.monotonic() < until:
            return known
        found = await database.read(upstreams.by_name, owner)
        if database.shared:  # there it takes a while to ask; and others may change it, so not for long
            while len(self._known) >= _KNOWN:
                del self._known[next(iter(self._known))]
            self._known[owner] = found, time.monotonic() + _KNOWN_S
        return found

    def _remote(self, upstream: Upstream) -> Remote:
        """Those that have been changed are kept until the end: somebody may be at it."""
        if upstream not in self._remotes:
            self._remotes[upstream] = Remote(upstream.place, self._allow_private, self._limits)
        return self._remotes[upstream]

    # manifests

    async def _manifest(self, upstream: Upstream, repository: str, reference: Digest | str) -> Mapping[str, str]:
        own, checked_at = await self._storage.database.read(upstreams.own, repository, reference)
        if own is not None:
            if isinstance(reference, Digest) or 0 <= time.time() - checked_at < upstream.fresh_s:
                return {}
            if (warning := self._pause(upstream)) is not None:
                return _warned(warning)
        known = own.digest if own else None
        try:
            await self._once(
                (repository, str(reference)), lambda: self._refresh(upstream, repository, reference, known)
            )
        except NaruError as error:
            if own is None or isinstance(error, NotFound):
                raise
            return _warned(self._excused(upstream, error))
        return {}

    async def _refresh(
        self, upstream: Upstream, repository: str, reference: Digest | str, known: Digest | None
    ) -> None:
        remote, path = self._remote(upstream), upstream.path(repository)
        if known is None or (await remote.head(path, reference)).digest != known:
            fetched = await remote.manifest(path, reference)
            await self._storage.put_manifest(
                CALLER, repository, reference, fetched.media_type, fetched.raw, complete=False
            )
        if not isinstance(reference, Digest):
            await self._storage.database.note(upstreams.checked, repository, reference, time.time())

    # lists

    async def _list(self, upstream: Upstream, context: Context) -> Mapping[str, str] | web.StreamResponse:
        """Upstream's; if it has no answer, what there is here."""
        repository = context.route.repository
        if (warning := self._pause(upstream)) is None:
            try:
                return await LISTS[context.route.endpoint](self._remote(upstream), upstream.path(repository), context)
            except NaruError as error:
                is_here = await self._storage.database.read(records.has_repository, repository)
                if isinstance(error, (NotFound, Refusal)) or not is_here:
                    raise
                warning = self._excused(upstream, error)
        return _warned(warning)

    # an upstream in trouble

    def _pause(self, upstream: Upstream) -> str | None:
        """Why it is not asked now."""
        until, why = self._paused.get(upstream.url, (0.0, ""))
        return why if time.monotonic() < until else None

    def _excused(self, upstream: Upstream, error: NaruError) -> str:
        """Why the client gets what is there; one that is not available is left alone for a while."""
        why = f"{upstream.url}: no news, this is the copy of before: {error}"
        if isinstance(error, Unavailable):
            wished = error.retry_after if isinstance(error, Limited) else ""
            pause_s = min(float(wished), _PAUSE_MOST_S) if wished else _PAUSE_S
            self._paused[upstream.url] = time.monotonic() + pause_s, why
        return why

    async def _once(self, key: tuple[str, str], make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """All who come while it is done share what becomes of it; one who goes away ends nothing."""
        task = self._flights.get(key)
        if task is None:
            task = self._flights[key] = self._spawn(make())
            task.add_done_callback(lambda _: self._flights.pop(key))
        await asyncio.shield(task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may be left

    # blobs

    async def _blob(
        self, upstream: Upstream, context: Context, digest: Digest
    ) -> Mapping[str, str] | web.StreamResponse:
        repository = context.route.repository
        if await self._storage.database.read(records.blob, repository, digest) is not None:
            return {}
        remote, path = self._remote(upstream), upstream.path(repository)
        tee = self._tees.get((repository, digest))
        if tee is None or context.request.method == "HEAD":
            sources = await self._storage.sources(digest)
            size = None if context.request.method == "HEAD" or sources else await self._stated_size(repository, digest)
            if (
                size is None
            ):  # upstream has to say itself that it is there, before what somebody else pushed is given out
                size = await remote.blob_size(path, digest)
            if sources and await self._mounted(repository, digest, sources[0]):
                return {}
            if context.request.method == "HEAD":
                return blobs.head(digest, size)
            tee = self._tees.get((repository, digest)) or self._fetch(remote, path, repository, digest, size)
        tee.hold()
        try:
            await tee.wait_begun()
            return {} if tee.is_stored else await self._passed_on(context, tee)
        finally:
            tee.release()

    async def _mounted(self, repository: str, digest: Digest, source: str) -> bool:
        """False also where there is no room for it: then it is passed on, and not kept."""
        try:
            return await self._storage.mount(CALLER, repository, digest, source)
        except Refusal as error:
            if error.code != "DENIED":
                raise
            return False

    async def _passed_on(self, context: Context, tee: Tee) -> web.StreamResponse:
        async def open_from(first: int, length: int | None) -> streaming.Source:
            return Reader(tee, first)

        headers = blobs.headers_of(tee.digest)
        return await streaming.answer(context.request, open_from, tee.size_bytes, str(tee.digest), headers)

    async def _stated_size(self, repository: str, digest: Digest) -> int | None:
        """As a manifest says that is there: one question less."""
        for raw, media_type in await self._storage.database.read(upstreams.manifests_with, repository, digest):
            if media_type in MANIFESTS:
                manifest = Manifest.parse(raw, media_type)
                for part in (manifest.config, *manifest.layers):
                    if part.digest == digest:
                        return part.size
        return None

    def _fetch(self, remote: Remote, path: str, repository: str, digest: Digest, size_bytes: int) -> Tee:
        if len(self._tees) >= _AT_ONCE:
            raise Refusal("TOOMANYREQUESTS", "too many blobs are being fetched", headers={"Retry-After": "5"})
        key = repository, digest
        tee = self._tees[key] = Tee(repository, digest, size_bytes)

        async def run() -> None:
            try:
                await tee.run(self._storage, self._uploads, CALLER, remote, path, self._stored)
            finally:
                del self._tees[key]  # at once: who finds it there may hold it

        self._spawn(run())
        return tee

    async def _stored(self, tee: Tee) -> None:
        if tee.size_bytes <= CONFIG_LIMIT_BYTES:
            await self._storage.database.note(_look_again, tee.repository, tee.digest, time.time())


def _look_again(c: Connection, name: str, digest: Digest, now_s: float) -> None:
    """It may be the config that says what an image is for, and was not there when the manifest came."""
    repository = records.repository_id(c, name)
    if repository is not None:
        for record in upstreams.unseen_with(c, name, digest):
            images.want(c, repository, name, record, now_s)


def _warned(text: str) -> dict[str, str]:
    """distribution-spec "Warnings": RFC 7234's form, and no more than 4096 bytes."""
    quoted = clean(text, 500).encode("ascii", "replace").decode().replace("\\", "\\\\").replace('"', '\\"')
    return {"Warning": f'299 - "{quoted}"'}


def _refusal(error: NaruError, upstream: Upstream, endpoint: str) -> Refusal:
    """What a client is told whom we have nothing to give."""
    if isinstance(error, Refusal):
        return error
    message = f"{upstream.url}: {error}"
    if isinstance(error, Limited):
        return Refusal("TOOMANYREQUESTS", message, headers={"Retry-After": error.retry_after or _RETRY_AFTER})
    if isinstance(error, NotFound):
        return Refusal(_UNKNOWN.get(endpoint, "NAME_UNKNOWN"), message)
    if isinstance(error, Forbidden):
        return Refusal("DENIED", message)
    if isinstance(error, (DataLoss, InvalidArgument)):
        return Refusal("UNAVAILABLE", f"{upstream.url} gives what cannot be right: {error}")
    return Refusal("UNAVAILABLE", message, headers={"Retry-After": _RETRY_AFTER})
