"""The client against Naru's own registry: push → pull round trips, real server, real sockets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from handmade import RawServer, Seen, client, layer, reply

from naru.content.blobs import ContentStore
from naru.errors import DataLoss, Forbidden, Internal, InvalidArgument, NotFound, Unauthenticated, Unavailable
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest
from naru.oci.reference import Reference, parse
from naru.registry.server import Settings, running
from naru.remote.auth import Credentials
from naru.remote.client import RegistryClient

DATA = os.urandom(3_000_000)


@asynccontextmanager
async def registry(tmp_path: Path) -> AsyncIterator[tuple[str, RegistryClient]]:
    async with running(Settings("127.0.0.1:0", str(tmp_path / "registry"))) as served, client() as opened:
        yield served.address, opened


async def push(
    opened: RegistryClient, ref: Reference, content: ContentStore, data: bytes, source: Reference | None = None
) -> str:
    digest = content.put(data)
    counted: list[int] = []
    how = await opened.push_blob(ref, layer(data), lambda: content.open(digest), counted.append, None, source)
    assert sum(counted) == (len(data) if how == "pushed" else 0)
    return how


def test_an_image_goes_there_and_back(tmp_path: Path, content: ContentStore) -> None:
    async def main() -> None:
        async with registry(tmp_path) as (host, opened):
            ref = parse(f"{host}/team/app:1")
            assert await push(opened, ref, content, DATA) == "pushed"
            assert await push(opened, ref, content, DATA) == "exists"
            assert await push(opened, ref, content, b"") == "pushed"
            assert await push(opened, ref, content, b"{}") == "pushed"
            assert await push(opened, parse(f"{host}/other:1"), content, DATA, ref) == "mounted"
            assert await push(opened, parse(f"{host}/other:1"), content, b"new", ref) == "pushed"
            manifest = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2), (layer(DATA), layer(b"")))
            large = Manifest.build(manifest.config, (), {"x": "x" * 3_900_000}).raw
            assert await opened.push_manifest(parse(f"{host}/team/app:large"), large, OCI_MANIFEST, None) == Digest.of(
                large
            )
            assert (await opened.resolve(parse(f"{host}/team/app:large"), None))[1] == large
            digest = await opened.push_manifest(ref, manifest.raw, OCI_MANIFEST, None)
            assert digest == Digest.of(manifest.raw)
            assert await opened.inspect(ref, None) == manifest.descriptor
            for wanted in (ref, parse(f"{host}/team/app@{digest}"), parse(f"{host}/team/app:nope@{digest}")):
                assert await opened.resolve(wanted, None) == (manifest.descriptor, manifest.raw)
            assert await opened.fetch_manifest(ref, digest, OCI_MANIFEST, None) == manifest.raw
            with pytest.raises(InvalidArgument, match="Content-Type"):
                await opened.fetch_manifest(ref, digest, "other/type", None)
            pulled = ContentStore(str(tmp_path / "pulled"))
            for one in manifest.layers:
                with pulled.ingest() as ingest:
                    await opened.fetch_blob(ref, one, ingest, lambda n: None, None)
                    ingest.commit(one.digest, one.size, durable=False)
            assert pulled.read(Digest.of(DATA), 1 << 30) == DATA

    asyncio.run(main())


def test_many_blobs_at_once(tmp_path: Path, content: ContentStore) -> None:
    async def main() -> None:
        async with registry(tmp_path) as (host, opened):
            async with asyncio.TaskGroup() as tasks:
                for number in range(12):
                    tasks.create_task(push(opened, parse(f"{host}/r{number % 3}"), content, DATA + bytes([number])))

    asyncio.run(main())


def test_what_is_not_there(tmp_path: Path, content: ContentStore) -> None:
    async def main() -> None:
        async with registry(tmp_path) as (host, opened):
            with pytest.raises(
                NotFound, match=f"repository {host}/none not found: name unknown: repository name not known"
            ):
                await opened.resolve(parse(f"{host}/none"), None)
            await push(opened, parse(f"{host}/some"), content, b"x")
            with pytest.raises(
                NotFound, match=f"manifest for {host}/some:latest not found: manifest unknown: manifest unknown"
            ):
                await opened.resolve(parse(f"{host}/some"), None)
            for name in ("some:nope", "none:1", f"some@{Digest.of(b'?')}"):
                with pytest.raises(NotFound) as caught:
                    await opened.resolve(parse(f"{host}/{name}"), None)
                ref = f"{host}/{name}"
                assert str(caught.value) == f'failed to resolve reference "{ref}": {ref}: not found'
                with pytest.raises(NotFound, match=r"^manifest unknown: manifest unknown$"):
                    await opened.inspect(parse(ref), None)
            with content.ingest() as ingest, pytest.raises(NotFound, match="blob unknown"):
                await opened.fetch_blob(parse(f"{host}/some"), layer(b"y"), ingest, lambda n: None, None)
            with pytest.raises(NotFound, match="manifest blob unknown"):
                raw = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"?"), 1), ()).raw
                await opened.push_manifest(parse(f"{host}/some:1"), raw, OCI_MANIFEST, None)
            with pytest.raises(InvalidArgument, match="the bytes have digest"):
                await opened.push_manifest(parse(f"{host}/some@{Digest.of(b'?')}"), b"{}", OCI_MANIFEST, None)

    asyncio.run(main())


def test_a_blob_that_shrank_in_the_store_is_not_pushed(tmp_path: Path, content: ContentStore) -> None:
    async def main() -> None:
        digest = content.put(b"short")
        async with registry(tmp_path) as (host, opened):
            with pytest.raises(DataLoss, match="the store has 5 bytes, expected 9"):
                wanted = Descriptor("x/y", digest, 9)
                await opened.push_blob(
                    parse(f"{host}/a"), wanted, lambda: content.open(digest), lambda n: None, None, None
                )
            with pytest.raises(NotFound):
                missing = layer(b"missing")
                await opened.push_blob(
                    parse(f"{host}/a"), missing, lambda: content.open(missing.digest), lambda n: None, None, None
                )

    asyncio.run(main())


def raw_push(
    content: ContentStore, answer: Callable[[Seen], bytes], credentials: Credentials | None = None
) -> tuple[list[Seen], list[int]]:
    async def main() -> tuple[list[Seen], list[int]]:
        digest, counted = content.put(b"data"), list[int]()
        async with RawServer(answer) as server, client() as opened:
            source = parse(f"{server.host}/source")
            ref = parse(f"{server.host}/a")
            await opened.push_blob(
                ref, layer(b"data"), lambda: content.open(digest), counted.append, credentials, source
            )
            return server.seen, counted

    return asyncio.run(main())


def test_an_upload_that_breaks_is_begun_again(content: ContentStore) -> None:
    puts = [b"", reply(201)]

    def answer(request: Seen) -> bytes:
        match request.method:
            case "HEAD":
                return reply(404)
            case "POST":
                return reply(202, location="/up?state=a%2Fb")
        return puts.pop(0)

    seen, counted = raw_push(content, answer)
    assert [s.method for s in seen] == ["HEAD", "POST", "PUT", "POST", "PUT"]
    assert seen[1].target == f"/v2/a/blobs/uploads/?mount=sha256%3A{Digest.of(b'data').hex}&from=source"
    assert seen[4].target == f"/up?state=a%2Fb&digest=sha256%3A{Digest.of(b'data').hex}" and seen[4].body == b"data"
    assert sum(counted) == 4


def test_a_refused_mount_is_an_ordinary_upload(content: ContentStore) -> None:
    def answer(request: Seen) -> bytes:
        match request.method, "mount=" in request.target:
            case "HEAD", _:
                return reply(404)
            case "POST", True:
                return reply(401, www_authenticate="Basic realm=x")
            case "POST", False:
                return reply(202, location="/up")
        return reply(201)

    assert [s.method for s in raw_push(content, answer)[0]] == ["HEAD", "POST", "POST", "PUT"]


def test_an_upload_elsewhere_goes_without_authorization(content: ContentStore) -> None:
    me = Credentials("me", "hush")

    async def main() -> None:
        digest = content.put(b"data")
        async with RawServer(lambda _: reply(201)) as store:

            def answer(request: Seen) -> bytes:
                if not request.authorization:
                    return reply(401, www_authenticate="Basic realm=x")
                return reply(404) if request.method == "HEAD" else reply(202, location=f"{store.url}/up")

            async with RawServer(answer) as server, client() as opened:
                how = await opened.push_blob(
                    parse(f"{server.host}/a"), layer(b"data"), lambda: content.open(digest), lambda n: None, me, None
                )
            assert how == "pushed" and store.seen[0].body == b"data" and not store.seen[0].authorization

    asyncio.run(main())


def test_a_push_that_is_not_allowed(content: ContentStore) -> None:
    with pytest.raises(Forbidden, match="denied: requested access to the resource is denied"):
        raw_push(content, lambda _: reply(403))
    with pytest.raises(Unavailable, match="without a location"):
        raw_push(content, lambda s: reply(404 if s.method == "HEAD" else 202))


def test_login() -> None:
    me = Credentials("me", "hush")

    async def main() -> None:
        async with RawServer(lambda _: reply(404)) as server, client() as opened:
            assert await opened.check_login(server.host, me) == ""  # asks nobody
        basic = reply(401, www_authenticate="Basic realm=x")
        async with (
            RawServer(lambda _: reply(404), lambda s: reply(200) if s.authorization == me.basic() else basic) as server,
            client() as opened,
        ):
            assert await opened.check_login(f"http://{server.host}", me) == ""
            with pytest.raises(
                Unauthenticated, match=rf"login attempt to http://{server.host}/v2/ failed with status: 401"
            ):
                await opened.check_login(server.host, Credentials("me", "wrong"))

        def token(request: Seen) -> bytes:
            assert "offline_token=true" in request.target and "account=me" in request.target
            if request.authorization != me.basic():
                return reply(401, {"details": "incorrect username or password"})
            return reply(200, {"token": "good", "refresh_token": "keep me"})

        async with RawServer(token) as tokens:
            challenge = reply(401, www_authenticate=f'Bearer realm="{tokens.url}/t",service="s"')
            async with (
                RawServer(token, lambda s: reply(200) if s.authorization == "Bearer good" else challenge) as server,
                client() as opened,
            ):
                assert await opened.check_login(server.host, me) == "keep me"
                with pytest.raises(Unauthenticated, match="unauthorized: incorrect username or password"):
                    await opened.check_login(server.host, Credentials("me", "wrong"))

    asyncio.run(main())


def test_a_registry_that_is_not_there_is_told_in_dockers_words(content: ContentStore) -> None:
    refused, digest = "dial tcp 127.0.0.1:9: connect: connection refused", content.put(b"data")
    push_words = f'failed to do request: Head "https://127.0.0.1:9/v2/wire/blobs/{digest}": {refused}'

    async def main() -> None:
        async with client() as opened:
            with pytest.raises(Internal) as internal:
                await opened.check_login("127.0.0.1:9", Credentials("u", "p"))
            assert str(internal.value) == f'Get "http://127.0.0.1:9/v2/": {refused}'
            with pytest.raises(Internal, match=refused):
                await opened.inspect(parse("127.0.0.1:9/x:1"), None)
            ref = parse("127.0.0.1:9/wire:1")
            with pytest.raises(Unavailable) as caught:
                await opened.push_blob(ref, layer(b"data"), lambda: content.open(digest), lambda n: None, None, None)
            assert str(caught.value) == push_words
            with pytest.raises(Unavailable, match=r'Put "https://127.0.0.1:9/v2/wire/manifests/1": dial tcp'):
                await opened.push_manifest(ref, b"{}", OCI_MANIFEST, None)

    asyncio.run(main())


def test_aiohttp_is_loaded_by_the_first_verb_and_not_before() -> None:
    script = "import sys, naru.remote.client as c; c.RegistryClient(c.RegistryConfig(), 'x'); assert 'aiohttp' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
