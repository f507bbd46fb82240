"""A client of a hub: accounts made directly, everything else asked over HTTP."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from naru.hub.parts import Hub
from naru.hub.people import accounts, credentials, passwords
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import Reach, parse_scope
from naru.hub.server import Settings, make_app, opened_hub
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest
from naru.registry.database import Connection, Database, open_database
from naru.registry.migrate import migrate
from naru.registry.seals import Seals, new_key

PASSWORD = "correct horse"
_hash = ""


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["errors"][0]["code"])


class Peer:
    def __init__(self, hub: Hub, address: str, session: aiohttp.ClientSession) -> None:
        self.hub = hub
        self.address = address
        self.url = f"http://{address}"
        self._session = session

    async def ask(
        self, method: str, path: str, authorization: str = "", data: bytes | None = None, **headers: str
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if authorization:
            sent["Authorization"] = authorization
        url = path if path.startswith("http") else self.url + path
        async with self._session.request(
            method,
            url,
            data=io.BytesIO(data) if data else data,
            headers=sent,
            allow_redirects=False,
            skip_auto_headers=["Content-Type"],
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def token(self, authorization: str = "", *scopes: str) -> str:
        """A bearer's header value for the registry."""
        query = "&".join(["service=naru-hub", *(f"scope={scope}" for scope in scopes)])
        answer = await self.ask("GET", f"/token?{query}", authorization)
        assert answer.status == 200, answer
        return f"Bearer {answer.json['token']}"

    async def user(self, name: str, *, is_admin: bool = False) -> str:
        """A new account; its Authorization."""
        global _hash
        _hash = _hash or await passwords.hash_password(PASSWORD)

        def make(c: Connection) -> Account:
            return accounts.create(c, name, accounts.USER, time.time(), password=_hash, is_admin=is_admin)

        await self.hub.database.write(make)
        return basic(name, PASSWORD)

    async def organization(self, name: str, owner: str) -> Account:
        def make(c: Connection) -> Account:
            return accounts.create_organization(c, name, accounts.get(c, owner).id, time.time())

        return await self.hub.database.write(make)

    async def secret(
        self, owner: str, kind: str, name: str, reach: Reach | str, expires_in_s: float | None = None
    ) -> str:
        """Of a new token of this account."""
        now_s = time.time()
        chosen = parse_scope(reach) if isinstance(reach, str) else reach

        def make(c: Connection) -> str:
            until = None if expires_in_s is None else now_s + expires_in_s
            return credentials.create(c, accounts.get(c, owner), kind, name, chosen, until, now_s)[1]

        return await self.hub.database.write(make)

    async def push(self, repository: str, tag: str, authorization: str, layer: bytes = b"layer") -> Digest:
        """A small image, as a client does it."""
        bearer = await self.token(authorization, f"repository:{repository}:pull,push")
        config = json.dumps(
            {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}
        ).encode()
        for blob in (layer, config):
            path = f"/v2/{repository}/blobs/uploads/?digest={Digest.of(blob)}"
            answer = await self.ask("POST", path, bearer, blob)
            assert answer.status == 201, answer
        raw = Manifest.build(
            Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
            (Descriptor(OCI_LAYER, Digest.of(layer), len(layer)),),
        ).raw
        answer = await self.ask("PUT", f"/v2/{repository}/manifests/{tag}", bearer, raw, Content_Type=OCI_MANIFEST)
        assert answer.status == 201, answer
        return Digest.of(raw)


@asynccontextmanager
async def peering(settings: Settings) -> AsyncIterator[Peer]:
    """A hub on a port of its own, and a client of it."""
    async with opened_hub(settings) as hub:
        runner = web.AppRunner(make_app(hub, settings.proxies), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                yield Peer(hub, f"{host}:{port}", session)
        finally:
            await runner.cleanup()


@asynccontextmanager
async def with_tables(folder: Path) -> AsyncIterator[Database]:
    """A database of a hub that does not run."""
    database = open_database(str(folder / "hub.db"), Seals([new_key()]))
    try:
        await migrate(database, "naru.registry", "registry_version")
        await migrate(database, "naru.hub", "hub_version")
        yield database
    finally:
        database.close()
