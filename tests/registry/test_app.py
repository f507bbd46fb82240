"""The whole registry over real sockets: its protocol as any client sees it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import pytest

from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest, dump_json
from naru.registry.access import Action, Caller, Want
from naru.registry.app import TABLE
from naru.registry.errors import Refusal
from naru.registry.server import Settings, running

DATA = bytes(range(256)) * 4096
D = str(Digest.of(DATA))
EMPTY = str(Digest.of(b"{}"))


class Peer:
    """A client session on one registry; answers come back read whole."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.session, self.address = session, address

    async def ask(
        self, method: str, path: str, data: object = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://{self.address}{path}"
        data = io.BytesIO(data) if isinstance(data, bytes) else data
        async with self.session.request(
            method, url, data=data, headers=named, skip_auto_headers=["Content-Type"]
        ) as response:
            return response.status, dict(response.headers), await response.read()

    async def code(self, method: str, path: str, data: object = None, **headers: str) -> tuple[int, str]:
        status, answered, body = await self.ask(method, path, data, **headers)
        assert answered["Content-Type"].startswith("application/json")
        return status, json.loads(body)["errors"][0]["code"]

    async def push_blob(self, repository: str, data: bytes) -> str:
        digest = str(Digest.of(data))
        status, *_ = await self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
        assert status == 201
        return digest

    async def push_image(self, repository: str, tag: str) -> Digest:
        await self.push_blob(repository, b"{}")
        raw = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2), ()).raw
        status, *_ = await self.ask("PUT", f"/v2/{repository}/manifests/{tag}", raw, Content_Type=OCI_MANIFEST)
        assert status == 201
        return Digest.of(raw)


Run = Callable[[Callable[[Peer], Awaitable[None]]], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run_it(scenario: Callable[[Peer], Awaitable[None]]) -> None:
        async def main() -> None:
            async with (
                running(Settings("127.0.0.1:0", str(tmp_path / "data"))) as registry,
                aiohttp.ClientSession() as session,
            ):
                await scenario(Peer(session, registry.address))

        asyncio.run(main())

    return run_it


def test_base_and_front_door(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        status, headers, body = await peer.ask("GET", "/v2/")
        assert (status, body) == (200, b"{}") and headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        assert json.loads((await peer.ask("GET", "/"))[2])["name"] == "naru registry"

    run(scenario)


def test_whatever_goes_wrong_is_json(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        assert await peer.code("GET", "/v2/nothing/here") == (404, "UNSUPPORTED")
        assert await peer.code("GET", "/v2/_oci/ext/nothing") == (404, "UNSUPPORTED")
        assert await peer.code("GET", "/v2/UPPER/manifests/x") == (400, "NAME_INVALID")
        assert await peer.code("GET", "/v2/a/..%2fb/manifests/x") == (400, "NAME_INVALID")
        assert await peer.code("GET", "/v2/a/manifests/x") == (404, "NAME_UNKNOWN")
        assert await peer.code("GET", f"/v2/a/blobs/{D}") == (404, "BLOB_UNKNOWN")
        assert await peer.code("GET", "/v2/a/blobs/sha256:x") == (400, "DIGEST_INVALID")
        assert await peer.code("PUT", f"/v2/a/blobs/{D}") == (405, "UNSUPPORTED")
        assert await peer.code("GET", "/v2/a/tags/list") == (404, "NAME_UNKNOWN")
        assert await peer.code("GET", "/v2/a/blobs/uploads/00") == (404, "BLOB_UPLOAD_UNKNOWN")
        assert await peer.code("GET", "/v2/_catalog?n=x") == (400, "PAGINATION_NUMBER_INVALID")
        assert (await peer.ask("PUT", f"/v2/a/blobs/{D}"))[1]["Allow"] == "GET, DELETE, HEAD"

    run(scenario)


def test_a_blob_goes_up_whole_and_comes_down_in_ranges(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        status, headers, _ = await peer.ask("POST", f"/v2/a/b/blobs/uploads/?digest={D}", DATA)
        assert status == 201 and headers["Location"] == f"/v2/a/b/blobs/{D}" and headers["Docker-Content-Digest"] == D
        status, headers, body = await peer.ask("GET", f"/v2/a/b/blobs/{D}", Accept_Encoding="zstd, gzip, deflate")
        assert (status, body, headers["Content-Length"]) == (200, DATA, str(len(DATA)))
        assert headers["Docker-Content-Digest"] == D and "Content-Encoding" not in headers
        status, headers, body = await peer.ask("HEAD", f"/v2/a/b/blobs/{D}")
        assert (status, body, headers["Content-Length"]) == (200, b"", str(len(DATA)))
        status, headers, body = await peer.ask("GET", f"/v2/a/b/blobs/{D}", Range="bytes=100-199")
        assert (status, body, headers["Content-Range"]) == (206, DATA[100:200], f"bytes 100-199/{len(DATA)}")
        assert (await peer.ask("GET", f"/v2/a/b/blobs/{D}", Range=f"bytes={len(DATA)}-"))[0] == 416
        assert await peer.code("GET", f"/v2/other/blobs/{D}") == (404, "BLOB_UNKNOWN")
        empty = await peer.push_blob("a/b", b"")
        assert (await peer.ask("GET", f"/v2/a/b/blobs/{empty}"))[::2] == (200, b"")

    run(scenario)


def test_a_blob_goes_up_in_chunks(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        status, headers, _ = await peer.ask("POST", "/v2/a/blobs/uploads/")
        where = headers["Location"]
        assert status == 202 and headers["Range"] == "0-0"
        status, headers, _ = await peer.ask("PATCH", where, DATA[:1000], Content_Range="0-999")
        assert (status, headers["Range"]) == (202, "0-999")
        assert await peer.code("PATCH", where, b"x", Content_Range="2000-2000") == (416, "RANGE_INVALID")
        assert await peer.code("PUT", f"{where}?digest={D}", b"x", Content_Range="0-0") == (416, "RANGE_INVALID")
        assert await peer.code("PATCH", where, b"xy", Content_Range="1000-1000") == (400, "SIZE_INVALID")
        assert await peer.code("GET", where.replace("/a/", "/b/")) == (404, "BLOB_UPLOAD_UNKNOWN")
        status, headers, _ = await peer.ask("GET", where)
        assert (status, headers["Range"], headers["Location"]) == (204, "0-999", where)
        await peer.ask("PATCH", where, DATA[1000:5000])
        status, headers, _ = await peer.ask(
            "PUT", f"{where}?digest={D}", DATA[5000:], Content_Range=f"5000-{len(DATA) - 1}"
        )
        assert status == 201 and (await peer.ask("GET", headers["Location"]))[2] == DATA
        assert await peer.code("GET", where) == (404, "BLOB_UPLOAD_UNKNOWN")

    run(scenario)


def test_an_upload_is_cancelled_and_wrong_digests_are_refused(run: Run, tmp_path: Path) -> None:
    async def scenario(peer: Peer) -> None:
        where = (await peer.ask("POST", "/v2/a/blobs/uploads/"))[1]["Location"]
        assert (await peer.ask("DELETE", where))[0] == 204
        assert await peer.code("DELETE", where) == (404, "BLOB_UPLOAD_UNKNOWN")
        other = Digest.of(b"other")
        assert await peer.code("POST", f"/v2/a/blobs/uploads/?digest={other}", DATA) == (400, "DIGEST_INVALID")
        where = (await peer.ask("POST", "/v2/a/blobs/uploads/"))[1]["Location"]
        assert await peer.code("PUT", where, DATA) == (400, "DIGEST_INVALID")
        assert await peer.code("PUT", f"{where}?digest={other}", DATA) == (400, "DIGEST_INVALID")
        assert [entry for entry in (tmp_path / "data/blobs").glob("*/*")] == []

    run(scenario)


def test_an_upload_that_broke_off_goes_on_where_it_was(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        where = (await peer.ask("POST", "/v2/a/blobs/uploads/"))[1]["Location"]
        host, port = peer.address.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(DATA)}\r\n\r\n".encode() + DATA[:100_000]
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        # The lock of the session makes this wait until the server has noticed: whatever had arrived by then counts.
        assert await peer.code("PATCH", where, b"x", Content_Range="999999999-999999999") == (416, "RANGE_INVALID")
        offset = int((await peer.ask("GET", where))[1]["Range"].removeprefix("0-")) + 1
        assert offset <= 100_000
        offset = 0 if offset == 1 else offset
        last = len(DATA) - 1
        assert (await peer.ask("PATCH", where, DATA[offset:], Content_Range=f"{offset}-{last}"))[0] == 202
        assert (await peer.ask("PUT", f"{where}?digest={D}"))[0] == 201

    run(scenario)


def test_sha512_end_to_end(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        digest = "sha512:" + hashlib.sha512(DATA).hexdigest()
        for query in ("", "?digest-algorithm=sha512"):
            where = (await peer.ask("POST", f"/v2/a/blobs/uploads/{query}"))[1]["Location"]
            assert (await peer.ask("PUT", f"{where}?digest={digest}", DATA))[0] == 201
        assert (await peer.ask("GET", f"/v2/a/blobs/{digest}"))[2] == DATA
        assert await peer.code("GET", f"/v2/a/blobs/{D}") == (404, "BLOB_UNKNOWN")
        await peer.push_blob("a", b"{}")
        raw = Manifest.build(
            Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2), (Descriptor(OCI_LAYER, Digest(digest), len(DATA)),)
        ).raw
        name = "sha512:" + hashlib.sha512(raw).hexdigest()
        status, headers, _ = await peer.ask("PUT", f"/v2/a/manifests/{name}", raw, Content_Type=OCI_MANIFEST)
        assert (status, headers["Docker-Content-Digest"]) == (201, name)
        assert (await peer.ask("GET", f"/v2/a/manifests/{name}"))[2] == raw

    run(scenario)


def test_mounts(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        await peer.push_blob("a", DATA)
        assert (await peer.ask("POST", f"/v2/b/blobs/uploads/?mount={D}&from=a"))[0] == 201
        assert (await peer.ask("HEAD", f"/v2/b/blobs/{D}"))[0] == 200
        assert (await peer.ask("POST", f"/v2/c/blobs/uploads/?mount={D}"))[0] == 201
        status, headers, _ = await peer.ask("POST", f"/v2/d/blobs/uploads/?mount={EMPTY}&from=a")
        assert status == 202 and (await peer.ask("PUT", f"{headers['Location']}?digest={EMPTY}", b"{}"))[0] == 201

    run(scenario)


def test_manifests(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        await peer.push_blob("a", b"{}")
        raw = json.dumps(
            json.loads(Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2), ()).raw), indent=3
        ).encode()
        digest = str(Digest.of(raw))
        status, headers, _ = await peer.ask(
            "PUT", "/v2/a/manifests/v1", raw, Content_Type=f"{OCI_MANIFEST}; charset=utf-8"
        )
        assert status == 201 and headers["Location"] == f"/v2/a/manifests/{digest}" and "OCI-Subject" not in headers
        for name in ("v1", digest):
            status, headers, body = await peer.ask("GET", f"/v2/a/manifests/{name}")
            assert (status, body, headers["Content-Type"], headers["Docker-Content-Digest"]) == (
                200,
                raw,
                OCI_MANIFEST,
                digest,
            )
            status, headers, body = await peer.ask("HEAD", f"/v2/a/manifests/{name}")
            assert (status, body, headers["Content-Length"]) == (200, b"", str(len(raw)))
            assert headers["Content-Type"] == OCI_MANIFEST
        assert (await peer.ask("GET", "/v2/a/manifests/v1", If_None_Match=f'"{digest}"'))[0] == 304
        wrong = str(Digest.of(b"?"))
        assert await peer.code("PUT", f"/v2/a/manifests/{wrong}", raw, Content_Type=OCI_MANIFEST) == (
            400,
            "DIGEST_INVALID",
        )
        assert await peer.code("PUT", "/v2/a/manifests/v1", raw, Content_Type="text/plain") == (415, "MANIFEST_INVALID")
        large = b'{"x":"' + b"x" * (4 << 20) + b'"}'
        assert await peer.code("PUT", "/v2/a/manifests/v1", large, Content_Type=OCI_MANIFEST) == (
            413,
            "MANIFEST_INVALID",
        )

        async def unsized() -> object:
            yield large

        assert await peer.code("PUT", "/v2/a/manifests/v1", unsized(), Content_Type=OCI_MANIFEST) == (
            413,
            "MANIFEST_INVALID",
        )
        assert (await peer.ask("DELETE", f"/v2/a/manifests/{digest}"))[0] == 202
        assert (await peer.ask("HEAD", "/v2/a/manifests/v1"))[0] == 404
        assert await peer.code("DELETE", f"/v2/a/manifests/{digest}") == (404, "MANIFEST_UNKNOWN")

    run(scenario)


def test_a_manifest_gets_many_tags_at_once(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        await peer.push_blob("a", b"{}")
        raw = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2), ()).raw
        path = f"/v2/a/manifests/{Digest.of(raw)}"
        assert (await peer.ask("PUT", f"{path}?tag=x&tag=y", raw, Content_Type=OCI_MANIFEST))[0] == 201
        assert json.loads((await peer.ask("GET", "/v2/a/tags/list"))[2])["tags"] == ["x", "y"]
        assert await peer.code("PUT", f"{path}?tag=-x", raw, Content_Type=OCI_MANIFEST) == (400, "TAG_INVALID")

    run(scenario)


def test_a_sparse_index_is_taken(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        child = Descriptor(OCI_MANIFEST, Digest.of(b"elsewhere"), 9).to_json()
        raw = dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]})
        assert (await peer.ask("PUT", "/v2/a/manifests/v1", raw, Content_Type=OCI_INDEX))[0] == 201

    run(scenario)


def test_tags_and_catalog_are_paged(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        for tag in ("b", "a", "c"):
            await peer.push_image("one", tag)
        await peer.push_image("two", "a")
        await peer.push_blob("only-blobs", b"x")
        found, path = [], "/v2/one/tags/list?n=2"
        while path:
            _, headers, body = await peer.ask("GET", path)
            found.append(json.loads(body)["tags"])
            path = headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert found == [["a", "b"], ["c"]]
        _, headers, body = await peer.ask("GET", "/v2/one/tags/list?n=0")
        assert json.loads(body) == {"name": "one", "tags": []} and "Link" not in headers
        assert json.loads((await peer.ask("GET", "/v2/one/tags/list?last=a"))[2])["tags"] == ["b", "c"]
        _, headers, body = await peer.ask("GET", "/v2/_catalog?n=1")
        assert (
            json.loads(body)["repositories"] == ["one"] and headers["Link"] == '</v2/_catalog?n=1&last=one>; rel="next"'
        )
        assert json.loads((await peer.ask("GET", "/v2/_catalog"))[2])["repositories"] == ["one", "two"]

    run(scenario)


def test_referrers(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        status, headers, body = await peer.ask("GET", f"/v2/nobody/referrers/{D}")
        assert status == 200 and headers["Content-Type"] == OCI_INDEX and json.loads(body)["manifests"] == []
        subject = await peer.push_image("a", "v1")
        document = json.loads(Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2), ()).raw)
        document["subject"] = Descriptor(OCI_MANIFEST, subject, 1).to_json()
        raw = dump_json({**document, "annotations": {"a": "b"}})
        _, headers, _ = await peer.ask("PUT", f"/v2/a/manifests/{Digest.of(raw)}", raw, Content_Type=OCI_MANIFEST)
        assert headers["OCI-Subject"] == subject
        one = {
            "mediaType": OCI_MANIFEST, "digest": Digest.of(raw), "size": len(raw),
            "annotations": {"a": "b"}, "artifactType": OCI_CONFIG,
        }  # fmt: skip
        _, headers, body = await peer.ask("GET", f"/v2/a/referrers/{subject}")
        assert json.loads(body)["manifests"] == [one] and "OCI-Filters-Applied" not in headers
        _, headers, body = await peer.ask("GET", f"/v2/a/referrers/{subject}?artifactType=x/y")
        assert json.loads(body)["manifests"] == [] and headers["OCI-Filters-Applied"] == "artifactType"
        assert await peer.code("GET", "/v2/a/referrers/x") == (400, "DIGEST_INVALID")

    run(scenario)


def test_many_uploads_at_once(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        async def one(number: int) -> None:
            data = DATA + bytes([number % 4])  # each blob is sent by several at once
            digest = await peer.push_blob(f"r{number}", data)
            assert (await peer.ask("GET", f"/v2/r{number}/blobs/{digest}"))[2] == data

        async with asyncio.TaskGroup() as tasks:
            for number in range(16):
                tasks.create_task(one(number))

    run(scenario)


class Matrix:
    """Callers may do exactly what the name of their one token says: `Bearer pull:a,push:b`."""

    async def identify(self, authorization: str) -> Caller:
        if authorization and not authorization.startswith("Bearer "):
            raise Refusal("UNAUTHORIZED")
        return Caller(authorization.removeprefix("Bearer "))

    def may(self, caller: Caller, want: Want) -> bool:
        return f"{want.action.value}:{want.repository}" in caller.name.split(",")

    async def readable(self, caller: Caller, names: Sequence[str]) -> list[str]:
        return [name for name in names if self.may(caller, Want(Action.PULL, name))]

    def challenge(self, caller: Caller, wants: Sequence[Want], here: str) -> str:
        return "" if caller.name else f'Bearer realm="here",scope="{wants[0].repository}:{wants[0].action.value}"'


CELLS = [
    (endpoint, method, action)
    for endpoint, methods in TABLE.items()
    for method in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
    if (action := methods.get("GET" if method == "HEAD" else method, (None,))[0])
]
PATHS = {
    "base": "/v2/", "catalog": "/v2/_catalog", "uploads": "/v2/a/blobs/uploads/", "upload": "/v2/a/blobs/uploads/00",
    "extensions": "/v2/_oci/ext/discover", "extensions of": "/v2/a/_oci/ext/discover", "ping": "/v1/_ping", "search": "/v1/search?q=a", "about": "/", "blob": f"/v2/a/blobs/{D}", "manifest": "/v2/a/manifests/x", "tags": "/v2/a/tags/list", "referrers": f"/v2/a/referrers/{D}",
}  # fmt: skip


def test_every_cell_of_the_access_matrix(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            running(Settings("127.0.0.1:0", str(tmp_path)), Matrix()) as registry,
            aiohttp.ClientSession() as session,
        ):
            peer = Peer(session, registry.address)
            for endpoint, method, needed in CELLS:
                for action in Action:
                    for repository in ("a", "b", ""):
                        headers = {"Authorization": f"Bearer {action.value}:{repository}"}
                        status = (await peer.ask(method, PATHS[endpoint], **headers))[0]
                        own = "" if needed in (Action.LOGIN, Action.CATALOG) else "a"
                        allowed = needed is None or (action is needed and repository == own)
                        assert (status != 403) == allowed, (endpoint, method, action)
                status, headers, _ = await peer.ask(method, PATHS[endpoint])
                if needed is None:
                    assert status == 200
                    continue
                assert status == 401 and headers["WWW-Authenticate"].startswith("Bearer realm=")
            # mounting from where one may not read is as if there were nothing, not an answer about what is there
            as_pusher = {"Authorization": "Bearer push:a"}
            assert (await peer.ask("POST", f"/v2/a/blobs/uploads/?digest={D}", DATA, **as_pusher))[0] == 201
            other = {"Authorization": "Bearer push:c"}
            for query in (f"?mount={D}&from=a", f"?mount={D}", f"?mount={EMPTY}&from=a"):
                assert (await peer.ask("POST", f"/v2/c/blobs/uploads/{query}", **other))[0] == 202
            both = {"Authorization": "Bearer push:c,pull:a"}
            assert (await peer.ask("POST", f"/v2/c/blobs/uploads/?mount={D}&from=a", **both))[0] == 201

    asyncio.run(main())


def test_extensions_are_listed(run: Run) -> None:
    async def scenario(peer: Peer) -> None:
        await peer.ask("POST", f"/v2/a/blobs/uploads/?digest={EMPTY}", b"{}")
        for path in ("/v2/_oci/ext/discover", "/v2/a/_oci/ext/discover"):
            status, _, body = await peer.ask("GET", path)
            assert (status, json.loads(body)["extensions"][0]["name"]) == (200, "_oci")
        assert await peer.code("GET", "/v2/nobody/_oci/ext/discover") == (404, "NAME_UNKNOWN")

    run(scenario)


def test_a_blob_is_known_by_its_digest(run: Run) -> None:
    """What a cache in front holds is good for ever, whichever instance it is from."""

    async def scenario(peer: Peer) -> None:
        path = f"/v2/a/blobs/{await peer.push_blob('a', DATA)}"
        for method, headers in (("HEAD", {}), ("GET", {}), ("GET", {"Range": "bytes=0-9"})):
            status, answered, _ = await peer.ask(method, path, **headers)
            assert status in (200, 206) and answered["Etag"] == f'"{D}"'
        for held, expected in ((f'"{D}"', 304), (f'"other", W/"{D}"', 304), ("*", 304), ('"other"', 200)):
            status, answered, body = await peer.ask("GET", path, If_None_Match=held)
            assert (status, body) == ((304, b"") if expected == 304 else (200, DATA))
            assert answered["Etag"] == f'"{D}"' and "immutable" in answered["Cache-Control"]

    run(scenario)
