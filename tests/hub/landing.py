"""A hub with a web site, people who look at it, and images in it: for the tests of pages."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from naru.hub.pages.visit import SESSION
from naru.hub.parts import Hub
from naru.hub.people import accounts, passwords
from naru.hub.people.permissions import EVERYTHING, Principal
from naru.hub.server import Settings, make_app, opened_hub
from naru.hub.services import people, sessions
from naru.hub.services.who import Who
from naru.oci.digest import Digest
from naru.oci.image import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    History,
    ImageConfig,
    Manifest,
    Platform,
    dump_json,
)
from naru.registry.access import Caller
from naru.registry.listening import listen
from naru.registry.seals import own_keys
from naru.registry.server import Settings as RegistrySettings

PASSWORD = "correct horse battery"
_HASHES: dict[str, str] = {}  # making one is slow on purpose
_KEY = re.compile(r'name="form_key" value="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


class Visitor:
    """A browser without scripts."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self.url = url

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._answer("GET", path, headers=headers)

    async def key(self, path: str = "/login") -> str:
        found = _KEY.search((await self.get(path)).text)
        return found[1] if found else ""

    async def post(self, path: str, fields: Sequence[tuple[str, str]] | dict[str, str], **headers: str) -> Answer:
        """With the form key of a page that has one."""
        given = list(fields.items() if isinstance(fields, dict) else fields)
        key = await self.key("/") or await self.key()
        return await self._answer("POST", path, data=[("form_key", key), *given], headers=headers)

    async def bare_post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        return await self._answer("POST", path, data=fields, headers=headers)

    async def _answer(self, method: str, path: str, **more: Any) -> Answer:
        async with self._client.request(method, self.url + path, allow_redirects=False, **more) as response:
            return Answer(response.status, await response.text(), response.headers)

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self._client.cookie_jar}


class Landing:
    """A hub that answers, and what tests do with it."""

    def __init__(self, hub: Hub, url: str, undo: AsyncExitStack) -> None:
        self.hub = hub
        self.url = url
        self._undo = undo

    async def visitor(self, name: str = "") -> Visitor:
        """Logged in, if there is a name."""
        jar = aiohttp.CookieJar(unsafe=True)
        if name:
            account = await self.hub.database.read(accounts.get, name)
            cookie = await self.hub.do(who(), sessions.begin, account.id, "Mozilla/5.0 (X11; Linux) Firefox/140.0")
            jar.update_cookies({SESSION: cookie})
        client = await self._undo.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        return Visitor(client, self.url)

    async def person(self, name: str, *, password: str = PASSWORD, **values: Any) -> Who:
        """Who has signed up: the first is the site's admin."""
        hashed = _HASHES.get(password) or await passwords.hash_password(password)
        _HASHES[password] = hashed
        await self.hub.do(who(), people.sign_up, name, f"{name}@example.org", hashed, values.get("full_name", ""))
        return await self.who(name)

    async def who(self, name: str) -> Who:
        def ask(c: Any) -> Principal:
            return accounts.principal(c, accounts.get(c, name))

        return Who(await self.hub.database.read(ask), "127.0.0.1", time.time())

    async def push(
        self,
        name: str,
        tag: str,
        steps: Sequence[tuple[str, int]],
        platform: str = "linux/amd64",
        by: str = "ana",
        run: dict[str, Any] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> Digest:
        """An image of steps: a line of history, and how many bytes its layer has (0: none)."""
        storage = self.hub.registry.storage
        layers, history = [], []
        for line, size in steps:
            history.append(History("2026-11-20T10:00:00Z", line, "", "buildkit.dockerfile.v0", not size))
            if size:
                data = (line.encode() * (size // max(len(line), 1) + 1))[:size]
                layers.append(Descriptor(OCI_LAYER_GZIP, await self.put(name, data, by), size))
        config = ImageConfig.build(
            platform=Platform.parse(platform), run=run or {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/bin"]},
            diff_ids=tuple(layer.digest for layer in layers), history=tuple(history), created="2026-11-20T10:00:00Z",
        )  # fmt: skip
        described = Descriptor(OCI_CONFIG, await self.put(name, config.raw, by), len(config.raw))
        raw = Manifest.build(described, tuple(layers), annotations).raw
        reference: Any = tag or Digest.of(raw)
        return (await storage.put_manifest(Caller(by), name, reference, OCI_MANIFEST, raw)).digest

    async def put(self, name: str, data: bytes, by: str = "ana") -> Digest:
        storage, uploads = self.hub.registry.storage, self.hub.registry.uploads
        digest = Digest.of(data)
        session = await uploads.begin(name, by, "sha256")
        async with uploads.turn(session.id, name, by) as upload:
            upload.write(data)
            await storage.commit(Caller(by), upload, digest)
        return digest

    async def index(self, name: str, tag: str, parts: Sequence[tuple[Digest, str]], by: str = "ana") -> Digest:
        storage = self.hub.registry.storage
        listed = []
        for digest, platform in parts:
            record = await storage.manifest(name, digest)
            listed.append(
                Descriptor(record.media_type, digest, record.size_bytes, {}, Platform.parse(platform)).to_json()
            )
        raw = dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed})
        return (await storage.put_manifest(Caller(by), name, tag, OCI_INDEX, raw)).digest

    async def attach(
        self, name: str, subject: Digest, artifact_type: str, layer_type: str, by: str = "ana",
        annotations: dict[str, str] | None = None, tag: str = "",
    ) -> Digest:  # fmt: skip
        """Something that refers to an image; with a tag, in cosign's older way."""
        storage = self.hub.registry.storage
        record = await storage.manifest(name, subject)
        empty, blob = b"{}", f"{artifact_type} {layer_type} {subject}".encode()
        document = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
            "config": Descriptor("application/vnd.oci.empty.v1+json", await self.put(name, empty, by), 2).to_json(),
            "layers": [Descriptor(layer_type, await self.put(name, blob, by), len(blob), annotations or {}).to_json()],
        }  # fmt: skip
        if not tag:
            document["subject"] = Descriptor(record.media_type, subject, record.size_bytes).to_json()
        raw = json.dumps(document).encode()
        reference: Any = tag or Digest.of(raw)
        return (await storage.put_manifest(Caller(by), name, reference, OCI_MANIFEST, raw)).digest


def who() -> Who:
    return Who(Principal(reach=EVERYTHING), "127.0.0.1", time.time())


@asynccontextmanager
async def landing(root: Any, **more: Any) -> AsyncIterator[Landing]:
    address = more.pop("listen", "127.0.0.1:0")
    stored = {name: more.pop(name) for name in ("database", "blobs") if name in more}
    if stored:
        more["secret_keys"] = os.path.join(root, "shared.keys")
        own_keys(more["secret_keys"])
    settings = Settings(RegistrySettings(address, str(root), **stored), **more)
    async with AsyncExitStack() as undo:
        hub = await undo.enter_async_context(opened_hub(settings))
        bound = await listen(undo, make_app(hub), address, None)
        yield Landing(hub, f"http://{bound}", undo)
