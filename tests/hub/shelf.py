"""A registry of which every answer can be spoilt: what hubs copy from in tests; and waiting for what hubs do by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from handmade import Answer, RawServer, Seen, reply
from peer import Peer, peering

from naru.hub.catalog import upstreams
from naru.hub.people import accounts
from naru.hub.places import Place
from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.oci.image import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    Platform,
    dump_json,
)
from naru.registry.database import Connection

T = TypeVar("T")
CONFIG = b'{"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":[]}}'


@dataclass
class Shelf:
    """`spoil` answers instead, unless it returns None; `gate` is waited for in the middle of every blob."""

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # tag or digest → media type, bytes
    blobs: dict[str, bytes] = field(default_factory=dict)
    spoil: Callable[[Seen], Answer | None] | None = None
    gate: asyncio.Event | None = None
    referrers: list[Any] | None = None  # None: it does not know the question

    def __post_init__(self) -> None:
        self.server = RawServer(self._answer)

    async def __aenter__(self) -> Shelf:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.__aexit__(*exc)

    @property
    def url(self) -> str:
        return self.server.url

    def asked(self, what: str = "") -> list[str]:
        """Method and last part of each request whose path has this in it."""
        return [f"{one.method} {one.target.rsplit('/', 1)[1]}" for one in self.server.seen if what in one.target]

    async def is_idle(self) -> bool:
        """Nobody is being answered."""
        return not self.server._handlers

    def image(self, tag: str, layer: bytes = b"layer", config: bytes = CONFIG) -> Digest:
        for blob in (layer, config):
            self.blobs[Digest.of(blob)] = blob
        raw = Manifest.build(
            Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
            (Descriptor(OCI_LAYER, Digest.of(layer), len(layer)),),
        ).raw
        return self._put(tag, OCI_MANIFEST, raw)

    def index(self, tag: str, *children: Digest) -> Digest:
        listed = [
            Descriptor(OCI_MANIFEST, child, len(self.manifests[child][1]), platform=Platform("linux", f"cpu{number}"))
            for number, child in enumerate(children)
        ]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor.to_json() for descriptor in listed],
        }
        return self._put(tag, OCI_INDEX, dump_json(document))

    def _put(self, tag: str, media_type: str, raw: bytes) -> Digest:
        digest = Digest.of(raw)
        self.manifests[digest] = media_type, raw
        if tag:
            self.manifests[tag] = media_type, raw
        return digest

    def _answer(self, seen: Seen) -> Answer:
        if self.spoil is not None and (spoilt := self.spoil(seen)) is not None:
            return spoilt
        _, kind, item = seen.target.rsplit("/", 2)
        if kind == "manifests" and item in self.manifests:
            media_type, raw = self.manifests[item]
            head = seen.method == "HEAD"
            named = {
                "content_type": media_type,
                "docker_content_digest": Digest.of(raw),
                "content_length": str(len(raw)),
            }
            return reply(200, b"" if head else raw, **named)
        if kind == "tags":
            return self._tags(parse_qs(urlsplit(seen.target).query))
        if kind == "referrers" and self.referrers is not None:
            return reply(200, dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.referrers}))
        if kind == "blobs" and item in self.blobs:
            blob = self.blobs[item]
            if seen.method == "HEAD":
                return reply(200, content_length=str(len(blob)))
            first = int(seen.headers["range"][6:-1]) if "range" in seen.headers else 0
            return self._pieces(blob, first)
        body = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such thing"}]}
        return reply(404) if seen.method == "HEAD" else reply(404, body)

    def _tags(self, query: dict[str, list[str]]) -> Answer:
        names = sorted(name for name in self.manifests if ":" not in name)
        rest = [name for name in names if name > query.get("last", [""])[0]]
        page = rest[: int(query["n"][0]) or None]  # there are registries that give all for 0
        link = {"link": f'</v2/x/tags/list?n={query["n"][0]}&last={page[-1]}>; rel="next"'} if page != rest else {}
        return reply(200, {"name": "x", "tags": page}, **link)

    async def _pieces(self, blob: bytes, first: int) -> AsyncIterator[bytes]:
        range_ = {"content_range": f"bytes {first}-{len(blob) - 1}/{len(blob)}"} if first else {}
        yield reply(206 if first else 200, content_length=str(len(blob) - first), **range_)
        middle = max(first, len(blob) // 2)
        yield blob[first:middle]
        if self.gate is not None:
            await self.gate.wait()
        yield blob[middle:]


def mirror(c: Connection, url: str, fresh_s: float, is_private: bool, username: str = "", password: str = "") -> int:
    made = accounts.create(c, "copy", accounts.ORGANIZATION, time.time())
    accounts.update(c, made.id, is_private=is_private)
    upstreams.put(c, made.id, Place(url, username, password), fresh_s)
    return made.id


@asynccontextmanager
async def copying(
    settings: Settings, shelf: Shelf, *, fresh_s: float = 0.0, is_private: bool = False
) -> AsyncIterator[Peer]:
    async with shelf, peering(settings) as peer:
        await peer.hub.database.write(mirror, shelf.url, fresh_s, is_private)
        yield peer


async def bearer(peer: Peer, repository: str = "copy/app", authorization: str = "") -> str:
    return await peer.token(authorization, f"repository:{repository}:pull")


async def until(ask: Callable[[], Awaitable[T]]) -> T:
    """What it says, as soon as that is something: for what other tasks do, which tell nobody."""
    for _ in range(3000):
        if found := await ask():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("that never came")


async def wait_quiet(peer: Peer) -> None:
    """Every job that is due is done, by us or by the hub's own workers."""

    def is_due(c: Connection) -> bool:
        return bool(c.rows("SELECT 1 FROM job WHERE due_at <= ? LIMIT 1", time.time()))

    async def is_quiet() -> bool:
        while await peer.hub.workers.step():
            pass
        return not await peer.hub.database.read(is_due)

    await until(is_quiet)
