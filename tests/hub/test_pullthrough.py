"""A namespace that is a copy of another registry, over HTTP from both sides."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from pathlib import Path

import aiohttp
import pytest
from handmade import Seen, reply
from peer import Peer, peering
from shelf import CONFIG, Shelf, bearer, copying, mirror, until, wait_quiet

from naru.errors import InvalidArgument
from naru.hub import audit
from naru.hub.catalog import images, repositories, upstreams
from naru.hub.people import accounts
from naru.hub.places import registry_url
from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.registry import records
from naru.registry.server import Settings as RegistrySettings

MIB = 1 << 20


async def has_blob(peer: Peer, digest: str) -> bool:
    return await peer.hub.database.read(records.blob, "copy/app", Digest(digest)) is not None


async def test_what_nobody_has_asked_for_yet_is_there(hub_settings: Settings) -> None:
    shelf = Shelf()
    digest = shelf.image("1")
    async with copying(hub_settings, shelf, fresh_s=300) as peer:
        token = await bearer(peer)  # anybody's, for a repository that does not exist
        for _ in range(2):
            answer = await peer.ask("GET", "/v2/copy/app/manifests/1", token)
            assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, digest)
            assert "Warning" not in answer.headers
        assert shelf.asked("manifests") == ["GET 1"]
        assert shelf.asked("blobs") == []  # only what was asked for
        for blob in (CONFIG, b"layer", CONFIG, b"layer"):
            answer = await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(blob)}", token)
            assert (answer.status, answer.body) == (200, blob)
        assert len(shelf.asked("blobs")) == 2
        await wait_quiet(peer)
        profile = await peer.hub.database.read(repositories.get, "copy/app")
        image = await peer.hub.database.read(images.find, profile.id, digest)
        assert not profile.is_private and image is not None and image.platform == "linux/arm64"
        (entry, *_) = await peer.hub.database.read(audit.read, repository="copy/app", action="tag.push")
        assert (entry.actor, entry.object) == ("naru", "1")


async def test_a_tag_is_looked_at_again_when_it_is_not_fresh(hub_settings: Settings) -> None:
    shelf = Shelf()
    first = shelf.image("1")
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        for _ in range(3):
            answer = await peer.ask("HEAD", "/v2/copy/app/manifests/1", token)
            assert answer.headers["Docker-Content-Digest"] == first
        assert shelf.asked() == ["GET 1", "HEAD 1", "HEAD 1"]
        second = shelf.image("1", b"another layer")
        answer = await peer.ask("GET", "/v2/copy/app/manifests/1", token)
        assert answer.headers["Docker-Content-Digest"] == second
        answer = await peer.ask("GET", f"/v2/copy/app/manifests/{first}", token)
        assert answer.status == 200  # the old one stays
        del shelf.manifests["1"]
        answer = await peer.ask("GET", "/v2/copy/app/manifests/1", token)
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


async def test_an_index_is_stored_without_what_it_lists(hub_settings: Settings) -> None:
    shelf = Shelf()
    one, two = shelf.image("", b"one"), shelf.image("", b"two")
    index = shelf.index("latest", one, two)
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        answer = await peer.ask("GET", "/v2/copy/app/manifests/latest", token)
        assert answer.headers["Docker-Content-Digest"] == index
        assert (await peer.ask("GET", f"/v2/copy/app/manifests/{two}", token)).status == 200
        assert shelf.asked() == ["GET latest", f"GET {two}"]
        for _ in range(2):
            assert (await peer.ask("GET", f"/v2/copy/app/manifests/{two}", token)).status == 200
        assert len(shelf.asked()) == 2  # what is named by its digest is not looked at again


async def test_a_hundred_who_want_one_thing_are_one_request(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.image("1")
    big = os.urandom(3 * MIB)
    shelf.blobs[Digest.of(big)] = big
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        answers = await asyncio.gather(*(peer.ask("GET", "/v2/copy/app/manifests/1", token) for _ in range(50)))
        assert {answer.status for answer in answers} == {200} and shelf.asked("manifests").count("GET 1") == 1
        answers = await asyncio.gather(
            *(peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(big)}", token) for _ in range(20))
        )
        assert all(answer.body == big for answer in answers)
        assert shelf.asked("blobs").count(f"GET {Digest.of(big)}") == 1


async def test_a_blob_begins_before_it_has_ended(hub_settings: Settings) -> None:
    big = os.urandom(6 * MIB)
    digest = Digest.of(big)
    shelf = Shelf(gate=asyncio.Event())
    shelf.image("1", big)
    async with copying(hub_settings, shelf) as peer, aiohttp.ClientSession() as session:
        headers = {"Authorization": await bearer(peer)}
        await peer.ask("GET", "/v2/copy/app/manifests/1", headers["Authorization"])
        url = f"{peer.url}/v2/copy/app/blobs/{digest}"
        async with session.get(url, headers=headers) as all_of_it:
            assert all_of_it.content_length == len(big)
            assert await all_of_it.content.readexactly(3 * MIB - 1) == big[: 3 * MIB - 1]  # half of it, and no more
            assert not await has_blob(peer, digest)
            async with session.get(url, headers={**headers, "Range": f"bytes={MIB}-{4 * MIB - 1}"}) as part:
                assert (part.status, part.headers["Content-Range"]) == (206, f"bytes {MIB}-{4 * MIB - 1}/{6 * MIB}")
                assert await part.content.readexactly(2 * MIB - 1) == big[MIB : 3 * MIB - 1]
                shelf.gate.set()
                assert await part.content.read() == big[3 * MIB - 1 : 4 * MIB]
            assert await all_of_it.content.read() == big[3 * MIB - 1 :]
        assert await has_blob(peer, digest)
        assert shelf.asked("blobs") == [f"GET {digest}"]  # its size is in the manifest


async def test_a_client_that_goes_away_ends_nothing(hub_settings: Settings) -> None:
    big = os.urandom(4 * MIB)
    digest = Digest.of(big)
    shelf = Shelf(gate=asyncio.Event())
    shelf.image("1", big)
    async with copying(hub_settings, shelf) as peer, aiohttp.ClientSession() as session:
        headers = {"Authorization": await bearer(peer)}
        url = f"{peer.url}/v2/copy/app/blobs/{digest}"
        async with session.get(url, headers=headers) as response:
            await response.content.readexactly(MIB)
            response.close()
        async with session.get(url, headers=headers) as response:
            shelf.gate.set()
            assert await response.read() == big
        assert shelf.asked("blobs").count(f"GET {digest}") == 1


async def test_a_hub_that_stops_leaves_nothing_half_done(hub_settings: Settings) -> None:
    big = os.urandom(4 * MIB)
    shelf = Shelf(gate=asyncio.Event())
    shelf.image("1", big)
    async with shelf:
        async with peering(hub_settings) as peer, aiohttp.ClientSession() as session:
            await peer.hub.database.write(mirror, shelf.url, 0.0, False)
            headers = {"Authorization": await bearer(peer)}
            async with session.get(f"{peer.url}/v2/copy/app/blobs/{Digest.of(big)}", headers=headers) as response:
                assert len(await response.content.readexactly(MIB)) == MIB
                response.close()
            begun = time.monotonic()
        assert time.monotonic() - begun < 10
        assert stored(hub_settings) == []
        shelf.gate.set()
        await until(shelf.is_idle)


def stored(settings: Settings) -> list[str]:
    """Objects in the store."""
    return [file for _, _, files in os.walk(os.path.join(settings.registry.data_root, "blobs")) for file in files]


async def test_bytes_that_are_not_what_they_should_be_are_never_whole(hub_settings: Settings) -> None:
    good, bad = os.urandom(2 * MIB), os.urandom(2 * MIB)
    shelf = Shelf()
    shelf.image("1", good)
    shelf.blobs[Digest.of(good)] = bad
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        with pytest.raises(aiohttp.ClientPayloadError):
            await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(good)}", token)
        assert not await has_blob(peer, Digest.of(good))
        assert stored(hub_settings) == []
        shelf.blobs[Digest.of(good)] = good
        answer = await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(good)}", token)
        assert answer.body == good and await has_blob(peer, Digest.of(good))
        wrong = Digest.of(b"something else")
        shelf.manifests[wrong] = shelf.manifests["1"]
        answer = await peer.ask("GET", f"/v2/copy/app/manifests/{wrong}", token)
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")


async def test_a_blob_whose_upload_has_ended_under_it_is_not_given_out_whole(hub_settings: Settings) -> None:
    big = os.urandom(2 * MIB)
    digest = Digest.of(big)
    shelf = Shelf(gate=asyncio.Event())
    shelf.image("1", big)
    async with copying(hub_settings, shelf) as peer, aiohttp.ClientSession() as session:
        headers = {"Authorization": await bearer(peer)}
        async with session.get(f"{peer.url}/v2/copy/app/blobs/{digest}", headers=headers) as response:
            await response.content.readexactly(MIB - 1)
            assert await peer.hub.database.write(lambda c: c.run("DELETE FROM upload")) == 1
            assert shelf.gate is not None
            shelf.gate.set()
            with pytest.raises(aiohttp.ClientPayloadError):  # of several hubs, nobody may have verified it
                await response.read()
        assert (await peer.ask("GET", f"/v2/copy/app/blobs/{digest}", headers["Authorization"])).body == big


async def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub_settings: Settings) -> None:
    big = os.urandom(3 * MIB)
    digest = Digest.of(big)
    shelf = Shelf()
    shelf.image("1", big)
    broken: list[Seen] = []

    def spoil(seen: Seen) -> bytes | None:
        if "/blobs/" in seen.target and not broken:
            broken.append(seen)
            return reply(200, big[:MIB], content_length=str(len(big)))
        return None

    shelf.spoil = spoil
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        await peer.ask("GET", "/v2/copy/app/manifests/1", token)
        assert (await peer.ask("GET", f"/v2/copy/app/blobs/{digest}", token)).body == big
        (_, again) = [seen for seen in shelf.server.seen if "/blobs/" in seen.target]
        assert again.headers["range"] == f"bytes={MIB}-"


@pytest.mark.parametrize(
    ("spoilt", "status", "code", "retry_after"),
    [
        (reply(429, {"errors": [{"code": "TOOMANYREQUESTS"}]}, retry_after="77"), 429, "TOOMANYREQUESTS", "77"),
        (reply(429), 429, "TOOMANYREQUESTS", "30"),
        (reply(503, b"<html>sorry"), 503, "UNAVAILABLE", "30"),
        (reply(401, www_authenticate='Basic realm="x"'), 403, "DENIED", None),
        (b"what is this\r\n\r\n", 503, "UNAVAILABLE", "30"),
    ],
)
async def test_an_upstream_in_trouble(
    hub_settings: Settings, spoilt: bytes, status: int, code: str, retry_after: str | None
) -> None:
    shelf = Shelf()
    digest = shelf.image("1")
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        assert (await peer.ask("GET", "/v2/copy/app/manifests/1", token)).status == 200
        shelf.spoil = lambda _: spoilt
        before = len(shelf.server.seen)
        answer = await peer.ask("GET", "/v2/copy/app/manifests/1", token)
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, digest)
        assert answer.headers["Warning"].startswith('299 - "') and shelf.url in answer.headers["Warning"]
        asked = len(shelf.server.seen)
        assert before < asked <= before + 2
        answer = await peer.ask("GET", "/v2/copy/app/manifests/1", token)
        assert answer.status == 200 and "Warning" in answer.headers
        if status != 403:
            assert len(shelf.server.seen) == asked  # it is left alone for a while
        answer = await peer.ask("GET", "/v2/copy/app/manifests/2", token)  # there is nothing to give
        assert (answer.status, answer.code, answer.headers.get("Retry-After")) == (status, code, retry_after)
        answer = await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(b'layer')}", token)
        assert answer.status == status and answer.json["errors"]


async def test_an_upstream_that_is_dead(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.image("1")
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        assert (await peer.ask("GET", "/v2/copy/app/manifests/1", token)).status == 200
        await shelf.server.__aexit__(None, None, None)
        answer = await peer.ask("HEAD", "/v2/copy/app/manifests/1", token)
        assert answer.status == 200 and "connection refused" in answer.headers["Warning"]
        answer = await peer.ask("GET", "/v2/copy/app/manifests/other", token)
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        answer = await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(b'layer')}", token)
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        answer = await peer.ask("HEAD", f"/v2/copy/app/blobs/{Digest.of(b'layer')}", token)
        assert answer.status == 503


async def test_nothing_is_pushed_into_a_copy(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.image("1")
    async with copying(hub_settings, shelf) as peer:
        root = await peer.user("root", is_admin=True)
        token = await peer.token(root, "repository:copy/new:pull,push")
        answer = await peer.ask("POST", "/v2/copy/new/blobs/uploads/", token)
        assert answer.status == 401  # one that is not there is made by pulling alone
        await peer.ask("GET", "/v2/copy/app/manifests/1", await bearer(peer))
        token = await peer.token(root, "repository:copy/app:pull,push,delete")
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1")):
            answer = await peer.ask(method, f"/v2/copy/app/{path}", token, b"{}")
            assert (answer.status, answer.code) == (403, "DENIED") and shelf.url in answer.body.decode()
        assert (await peer.ask("DELETE", "/v2/copy/app/manifests/1", token)).status == 202


async def test_who_may_pull_from_a_private_copy(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.image("1")
    async with copying(hub_settings, shelf, is_private=True) as peer:
        root = await peer.user("root", is_admin=True)
        stranger = await peer.user("stranger")
        for authorization in ("", stranger):
            answer = await peer.ask("GET", "/v2/copy/app/manifests/1", await bearer(peer, authorization=authorization))
            assert answer.status == 401
        assert shelf.asked() == []
        answer = await peer.ask("GET", "/v2/copy/app/manifests/1", await bearer(peer, authorization=root))
        assert answer.status == 200
        assert (await peer.hub.database.read(repositories.get, "copy/app")).is_private
        answer = await peer.ask("GET", "/v2/copy/app/manifests/1", await bearer(peer, authorization=stranger))
        assert answer.status == 401


@pytest.mark.parametrize("password", ["correct horse", "wrong"])
async def test_an_upstream_that_wants_to_know_who_asks(hub_settings: Settings, tmp_path: Path, password: str) -> None:
    other = Settings(RegistrySettings("127.0.0.1:0", str(tmp_path / "other")))
    async with peering(other) as upstream, peering(hub_settings) as peer:
        ann = await upstream.user("ann")
        digest = await upstream.push("ann/web", "1", ann, os.urandom(MIB))
        await peer.hub.database.write(mirror, upstream.url, 0.0, False, "ann", password)
        token = await bearer(peer, "copy/ann/web")
        answer = await peer.ask("GET", "/v2/copy/ann/web/manifests/1", token)
        if password == "wrong":
            assert (answer.status, answer.code) == (403, "DENIED")
            return
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, digest)
        for part in (answer.json["config"], *answer.json["layers"]):
            blob = await peer.ask("GET", f"/v2/copy/ann/web/blobs/{part['digest']}", token)
            assert Digest.of(blob.body) == part["digest"]
        assert (await peer.ask("HEAD", "/v2/copy/ann/web/manifests/1", token)).status == 200


async def test_an_upstream_in_the_hubs_own_network_is_not_asked(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.image("1")
    async with copying(dataclasses.replace(hub_settings, allow_private=False), shelf) as peer:
        answer = await peer.ask("GET", "/v2/copy/app/manifests/1", await bearer(peer))
        assert (answer.status, answer.code) == (503, "UNAVAILABLE") and "loopback" in answer.body.decode()
        assert shelf.server.seen == []


async def test_what_others_have_pushed_is_given_out_only_if_upstream_has_it(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.image("1", b"both have it")
    async with copying(hub_settings, shelf) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann, b"a secret")
        await peer.push("ann/web", "2", ann, b"both have it")
        token = await bearer(peer)
        for method in ("GET", "HEAD"):
            answer = await peer.ask(method, f"/v2/copy/app/blobs/{Digest.of(b'a secret')}", token)
            assert answer.status == 404
        both = Digest.of(b"both have it")
        answer = await peer.ask("GET", f"/v2/copy/app/blobs/{both}", token)
        assert answer.body == b"both have it"
        assert shelf.asked(both) == [f"HEAD {both}"]  # and not fetched


async def test_a_copy_without_room_passes_on_what_it_cannot_keep(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.image("1")
    async with copying(hub_settings, shelf) as peer:
        account = await peer.hub.database.read(accounts.get, "copy")
        await peer.hub.database.write(accounts.update, account.id, quota_bytes=1)
        token = await bearer(peer)
        await peer.ask("GET", "/v2/copy/app/manifests/1", token)
        for _ in range(2):
            answer = await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(b'layer')}", token)
            assert (answer.status, answer.body) == (200, b"layer")
        assert not await has_blob(peer, Digest.of(b"layer"))
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)  # now this hub has it, for somebody else
        answer = await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(b'layer')}", token)
        assert (answer.status, answer.body) == (200, b"layer")
        assert not await has_blob(peer, Digest.of(b"layer"))


async def test_an_empty_blob_and_a_hostile_size(hub_settings: Settings) -> None:
    shelf = Shelf()
    empty = Digest.of(b"")
    shelf.image("1", b"")
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        answer = await peer.ask("GET", f"/v2/copy/app/blobs/{empty}", token)
        assert (answer.status, answer.body) == (200, b"")
        shelf.image("2", b"stated")
        await peer.ask("GET", "/v2/copy/app/manifests/2", token)
        shelf.blobs[Digest.of(b"stated")] = b"more than was stated"
        answer = await peer.ask("GET", f"/v2/copy/app/blobs/{Digest.of(b'stated')}", token)
        assert answer.status == 503


def test_where_a_registry_is() -> None:
    assert registry_url("docker.io") == registry_url("https://index.docker.io/v1/") == "https://registry-1.docker.io"
    assert registry_url("http://127.0.0.1:5000/") == "http://127.0.0.1:5000"
    assert registry_url("GHCR.io") == "https://ghcr.io"
    for bad in ("ftp://a", "https://a/path", "https://u:p@a", "https://a/?x=1", "", "https://"):
        with pytest.raises(InvalidArgument):
            registry_url(bad)
    hub = upstreams.Upstream(1, "dockerhub", "https://registry-1.docker.io", "", "", 1)
    assert hub.path("dockerhub/alpine") == "library/alpine" == hub.path("dockerhub/library/alpine")
    assert dataclasses.replace(hub, url="https://ghcr.io").path("x/alpine") == "alpine"
