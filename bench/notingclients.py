"""Clients that push, move and delete against a registry over a lossy disk, and know afterwards what it must have at which moment.

Each notes where the disk's record stood before it asked and after it was answered. It alone changes its repository, one request at a
time, so at each position of the record at most one change is open. For bench/powercut.py.
"""

from __future__ import annotations

import collections
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
import lossydisk

from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest

CLIENTS, POOL, TAGS = 8, 60, 8
GRACE_S = 2.0
SIZES = (100, 100, 100, 5_000, 5_000, 70_000, 70_000, 600_000)
LARGE_BYTES, LARGE_EVERY_S = 40 << 20, 6.0  # goes to the disk while it arrives


@dataclass(slots=True)
class Act:
    """A request that changes something; `begun` and `done` are positions of the disk's record. It is there as a whole or not at all."""

    begun: int
    begun_s: float
    changes: Mapping[str, str | None] = field(default_factory=dict)  # tag or digest → digest of a manifest, None: gone
    blob: Digest | None = None
    kept_s: float = 0.0  # from begun_s on: so long the blob stays if nothing refers to it; 0: it is deleted
    done: int = 1 << 62


@dataclass(slots=True)
class Pending:
    """An upload in chunks; from `closed` on it may have ended."""

    id: str
    data: bytes
    begun: int
    closed: int = 1 << 62


class Web:
    """One HTTP client of one registry."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def ask(
        self, method: str, path: str, data: bytes | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(method, self._url + path, data=data, headers=sent) as answer:
            return answer.status, answer.headers, await answer.read()


class Client:
    """It alone changes its repository, one request at a time, and knows what is in it at each position of the record."""

    def __init__(self, number: int, seed: int, record: lossydisk.Record, counts: collections.Counter[str]) -> None:
        self.repository, self._number = f"r{number}", number
        self.acts: list[Act] = []
        self.pending: list[Pending] = []
        self.manifests: dict[str, bytes] = {}
        self._record, self._counts, self._chance = record, counts, random.Random(f"{seed}.{number}")
        self._now: dict[str, str] = {}
        self._web: Web

    async def run(self, web: Web, until_s: float) -> None:
        self._web, large_at_s = web, time.monotonic() + LARGE_EVERY_S / 2
        while time.monotonic() < until_s:
            if self._number == 0 and time.monotonic() > large_at_s:
                large_at_s = time.monotonic() + LARGE_EVERY_S
                await self._chunks(self._chance.randbytes(LARGE_BYTES), LARGE_BYTES)
            await self._push()
            if self._chance.random() < 0.3:
                await self._stray()
            if self._chance.random() < 0.3 and self._now:
                await self._delete()

    async def _act(self, what: str, method: str, path: str, data: bytes | None, allowed: tuple[int, ...], act: Act, **headers: str) -> int:  # fmt: skip
        """Only the first of the allowed answers says that it is done; the others, that nothing was."""
        self.acts.append(act)
        status, _, body = await self._web.ask(method, f"/v2/{self.repository}/{path}", data, **headers)
        act.done = self._record.position()
        if status != allowed[0]:
            self.acts.pop()
        self._count(what, status, body, allowed)
        return status

    def _count(self, what: str, status: int, body: bytes, allowed: tuple[int, ...]) -> None:
        self._counts["acknowledged"] += status == allowed[0]
        if status not in allowed:
            self._counts[f"ERROR {what} {status} {body[:200]!r}"] += 1

    def _at(self, **known: object) -> Act:
        return Act(self._record.position(), time.time(), **known)  # type: ignore[arg-type]

    async def _push(self) -> None:
        begun_s = time.monotonic()
        layers = [await self._blob() for _ in range(2)]
        config = self._chance.randbytes(40)
        await self._upload(config)
        raw = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(config), len(config)), tuple(layers)).raw
        digest = str(Digest.of(raw))
        self.manifests[digest] = raw
        reference = f"t{self._chance.randrange(TAGS)}" if self._chance.random() < 0.8 else digest
        act = self._at(changes={digest: digest, reference: digest})
        late = (404,) if time.monotonic() - begun_s > GRACE_S / 3 else ()  # we were too slow for so short a grace
        path = f"manifests/{reference}"
        if await self._act("manifest", "PUT", path, raw, (201, *late), act, Content_Type=OCI_MANIFEST) == 201:
            self._now |= {digest: digest, reference: digest}

    async def _delete(self) -> None:
        which = self._chance.choice(sorted(self._now))
        gone = [key for key, digest in self._now.items() if which in (key, digest)]
        await self._act("delete", "DELETE", f"manifests/{which}", None, (202,), self._at(changes=dict.fromkeys(gone)))
        for key in gone:
            del self._now[key]

    async def _stray(self) -> None:
        """A blob that no manifest refers to."""
        data = self._chance.randbytes(self._chance.choice(SIZES))
        await self._upload(data)
        if self._chance.random() < 0.4:
            digest = Digest.of(data)
            await self._act("blob deletion", "DELETE", f"blobs/{digest}", None, (202, 404), self._at(blob=digest))

    async def _blob(self) -> Descriptor:
        number = self._chance.randrange(POOL)
        chance = random.Random(number)
        data = chance.randbytes(chance.choice(SIZES))
        digest = Digest.of(data)
        act = self._at(blob=digest, kept_s=GRACE_S / 2)
        if await self._act("question", "HEAD", f"blobs/{digest}", None, (200, 404), act) != 200:
            await self._upload(data)
        return Descriptor(OCI_LAYER, digest, len(data))

    async def _upload(self, data: bytes) -> None:
        digest, way = Digest.of(data), self._chance.choice(("post", "put", "chunks", "mount"))
        if way == "mount":
            other = f"r{self._chance.randrange(CLIENTS)}"
            path = f"blobs/uploads/?mount={digest}&from={other}"
            act = self._at(blob=digest, kept_s=GRACE_S)
            if await self._act("mount", "POST", path, None, (201, 202), act) == 201:
                return
        if way == "chunks":
            way = "" if await self._chunks(data, max(len(data) // 3, 1)) else "put"
        if way == "put":
            await self._chunks(data, 0)
        elif way:
            act = self._at(blob=digest, kept_s=GRACE_S)
            await self._act("blob", "POST", f"blobs/uploads/?digest={digest}", data, (201,), act)

    async def _chunks(self, data: bytes, chunk_bytes: int) -> bool:
        """With 0, all of it comes with the PUT. False if it was left half done, as happens now and then."""
        _, headers, _ = await self._web.ask("POST", f"/v2/{self.repository}/blobs/uploads/")
        pending = Pending(headers["Docker-Upload-UUID"], data, self._record.position())
        path = f"blobs/uploads/{pending.id}"
        self.pending.append(pending)
        for first in range(0, len(data), chunk_bytes) if chunk_bytes else ():
            status, _, body = await self._web.ask("PATCH", f"/v2/{self.repository}/{path}", data[first : first + chunk_bytes])  # fmt: skip
            self._count("chunk", status, body, (202,))
            if len(data) < LARGE_BYTES and self._chance.random() < 0.05:
                return False
        digest, pending.closed = Digest.of(data), self._record.position()
        rest = b"" if chunk_bytes else data
        await self._act("upload", "PUT", f"{path}?digest={digest}", rest, (201,), self._at(blob=digest, kept_s=GRACE_S))
        return True

    def states(self, position: int) -> tuple[dict[str, str], dict[str, str]]:
        """What is in the repository after what was answered before; and, if a request was under way then, after that too."""
        sure: dict[str, str | None] = {}
        for act in self.acts:
            if act.done <= position:
                sure |= act.changes
        perhaps = dict(sure)
        for act in self.acts:
            if act.begun <= position < act.done:
                perhaps |= act.changes
        return _there(sure), _there(perhaps)

    def strays(self, position: int, now_s: float) -> dict[Digest, bool]:
        """Blobs that have to be there, and blobs that must not."""
        last = {act.blob: act for act in self.acts if act.blob and act.begun <= position}
        known = {blob: act for blob, act in last.items() if act.done <= position}
        return {blob: bool(act.kept_s) for blob, act in known.items() if not act.kept_s or now_s < act.begun_s + act.kept_s}  # fmt: skip


def _there(state: Mapping[str, str | None]) -> dict[str, str]:
    return {key: digest for key, digest in state.items() if digest}
