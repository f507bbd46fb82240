"""Copying between two hubs, both of this process, and from a registry of which every answer can be spoilt."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from handmade import Answer, Seen, reply
from peer import PASSWORD, Peer, peering
from shelf import Shelf, until, wait_quiet
from test_retain import as_user, push_index

from naru.errors import Conflict, Forbidden, InvalidArgument
from naru.hub import audit, jobs
from naru.hub.jobs import Job, Retry
from naru.hub.peers import deliveries, replications
from naru.hub.peers.replicate import Replicator
from naru.hub.peers.replications import Rule
from naru.hub.places import Place
from naru.hub.server import Settings
from naru.hub.services import policies, repos
from naru.oci.digest import Digest
from naru.oci.image import OCI_INDEX, OCI_MANIFEST, Descriptor
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.server import Settings as RegistrySettings

MIB = 1 << 20
FIELDS = {"destination": "", "tags": "", "trigger": "manual"}


@asynccontextmanager
async def two(settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[Peer, Peer, str, str]]:
    """Two hubs, and the Authorization of ann at each, an admin of both."""
    other = Settings(RegistrySettings("127.0.0.1:0", str(tmp_path / "other")), allow_private=True)
    async with peering(settings) as here, peering(other) as there:
        yield here, there, await here.user("ann", is_admin=True), await there.user("ann", is_admin=True)


async def rule(peer: Peer, direction: str, url: str, source: str, **more: str) -> Rule:
    def make(c: Connection) -> Rule:
        place = Place(url, *(("ann", PASSWORD) if more.pop("login", "") else ("", "")))
        return replications.create(c, f"rule{time.monotonic_ns()}", direction, place, source, time.time(), **more)  # type: ignore[arg-type]

    return await peer.hub.database.write(make)


async def go(peer: Peer, chosen: Rule) -> str:
    """The rule, gone through; its result."""
    await peer.hub.database.write(replications.run_now, chosen, time.time())
    await wait_quiet(peer)
    found = await peer.hub.database.read(replications.by_id, chosen.id)
    assert found is not None
    return found.result


async def tagged(peer: Peer, name: str, tag: str) -> Digest | None:
    found = await peer.hub.database.read(records.manifest, name, tag)
    return found.digest if found else None


async def whole(peer: Peer, name: str, digest: Digest) -> None:
    """All of it can be pulled, and is what it should be."""
    record, raw = await peer.hub.registry.storage.read_manifest(name, digest)
    for target in await peer.hub.database.read(references, name, digest):
        if await peer.hub.database.read(records.manifest, name, target) is not None:
            await whole(peer, name, target)
        else:
            with peer.hub.registry.storage.open(await peer.hub.registry.storage.blob(name, target)) as file:
                assert Digest.of(file.read()) == target
    assert record.digest == digest and raw


def references(c: Connection, name: str, digest: Digest) -> list[Digest]:
    repository = records.repository_id(c, name)
    assert repository is not None
    return records.references_of(c, repository, digest)


async def all_of_it(peer: Peer, ann: str) -> tuple[Digest, Digest, Digest]:
    """An index of two images, one with a signature that refers to it, and an image beside it."""
    one, two_ = await peer.push("ann/web", "1-amd64", ann, os.urandom(2 * MIB)), await peer.push("ann/web", "tmp", ann)
    index = await push_index(peer, "ann/web", "1", ann, one, two_)
    signature = await push_index(peer, "ann/web", "", ann, subject=Descriptor(OCI_MANIFEST, one, 9).to_json())
    other = await peer.push("ann/other", "1", ann, b"other")
    return index, signature, other


@pytest.mark.parametrize("direction", ["push", "pull"])
async def test_everything_that_belongs_to_a_tag_arrives_and_is_not_copied_again(
    hub_settings: Settings, tmp_path: Path, direction: str
) -> None:
    async with two(hub_settings, tmp_path) as (here, there, ann_here, ann_there):
        source, target = (here, there) if direction == "push" else (there, here)
        index, signature, other = await all_of_it(source, ann_here if direction == "push" else ann_there)
        await target.organization("backup", "ann")
        chosen = await rule(here, direction, there.url, "ann/*", destination="backup", tags="1*", login="yes")
        assert " 0 were there" in await go(here, chosen)
        assert await tagged(target, "backup/web", "1") == index and await tagged(target, "backup/other", "1") == other
        assert await tagged(target, "backup/web", "tmp") is None  # its tag is not wanted; the image is a part
        for digest in (index, signature):
            await whole(target, "backup/web", digest)
        assert ": 0 tags copied" in await go(here, chosen)
        entries = await here.hub.database.read(audit.read, action="replication.run")
        assert sorted((one.detail["copied"], one.detail["failed"]) for one in entries) == [(1, {}), (2, {})]
        more = await push_index(
            source, "ann/web", "", ann_here if direction == "push" else ann_there,
            subject=Descriptor(OCI_INDEX, index, 9).to_json(), annotations={"late": "yes"},
        )  # fmt: skip
        await go(here, chosen)
        await whole(target, "backup/web", more)  # what refers to an old image is new


async def test_a_push_is_copied_at_once_and_its_webhook_hears_of_it(hub_settings: Settings, tmp_path: Path) -> None:
    async with two(hub_settings, tmp_path) as (here, there, ann, _):
        await rule(here, "push", there.url, "ann/web*", trigger="push", tags="v*", login="yes")
        await here.push("ann/web", "x", ann, b"first")
        who = await as_user(here, ann)
        hook = await here.hub.do(
            who, repos.create_webhook, here.hub.outbound, "ann/web", "w", "http://127.0.0.1:9/", ["replication"]
        )
        digest = await here.push("ann/web", "v1", ann, b"second")
        here.hub.workers.wake()
        assert await until(lambda: tagged(there, "ann/web", "v1")) == digest
        assert await tagged(there, "ann/web", "x") is None
        told = await until(lambda: here.hub.database.read(deliveries.of_webhook, hook.id))
        assert told[0].event == "replication" and '"copied":1' in told[0].body
        signature = await push_index(here, "ann/web", "", ann, subject=Descriptor(OCI_MANIFEST, digest, 9).to_json())
        here.hub.workers.wake()
        await until(
            lambda: there.hub.database.read(records.manifest, "ann/web", signature)
        )  # which has no tag of its own


async def run_one(peer: Peer, chosen: Rule, name: str, tags: list[str] | None = None, attempts: int = 0) -> None:
    payload: dict[str, Any] = {"rule": chosen.id, "repository": name}
    if tags is not None:
        payload["tags"] = tags
    replicator = Replicator(peer.hub.registry.storage, peer.hub.registry.uploads, True)
    await replicator.run_repository(Job(0, replications.REPOSITORY_JOB, name, payload, attempts, "", 0.0))


async def test_a_push_to_where_there_is_no_such_place_is_told(hub_settings: Settings) -> None:
    shelf = Shelf()

    def harbor(seen: Seen) -> Answer | None:
        body = {"errors": [{"code": "NOT_FOUND", "message": "project ann not found"}]}
        return reply(404) if seen.method == "HEAD" else reply(404, body)

    shelf.spoil = harbor
    async with shelf, peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)
        chosen = await rule(peer, "push", shelf.url, "ann/*")
        await run_one(peer, chosen, "ann/web", ["1", "gone"])
        (entry,) = await peer.hub.database.read(audit.read, action="replication.fail")
        assert "project ann not found" in entry.detail["failed"]["1"] and entry.detail["failed"].keys() == {"1"}
        found = await peer.hub.database.read(replications.by_id, chosen.id)
        assert found is not None and "project ann not found" in found.result


async def test_a_remote_that_dies_half_way_is_gone_on_with(hub_settings: Settings) -> None:
    shelf = Shelf()
    one, two_ = shelf.image("a", b"one"), shelf.image("b", os.urandom(MIB))
    index = shelf.index("both", one, two_)

    def spoil(seen: Seen) -> Answer | None:
        if seen.target.endswith("/tags/list?n=1000"):
            return reply(200, {"tags": ["a", "both"]})
        return reply(404) if "/referrers/" in seen.target else None

    def dies(seen: Seen) -> Answer | None:
        return reply(503, retry_after="1000") if two_ in seen.target else spoil(seen)

    async with shelf, peering(hub_settings) as peer:
        await peer.user("app")
        chosen = await rule(peer, "pull", shelf.url, "app/web")
        shelf.spoil = dies
        with pytest.raises(Retry, match="503"):
            await run_one(peer, chosen, "app/web")
        assert await tagged(peer, "app/web", "a") == one
        assert await tagged(peer, "app/web", "both") is None  # not before all of it is there
        found = await peer.hub.database.read(replications.by_id, chosen.id)
        assert found is not None and "to be tried again" in found.result
        shelf.spoil = spoil
        before = len(shelf.asked("blobs"))
        await run_one(peer, chosen, "app/web", attempts=1)
        assert await tagged(peer, "app/web", "both") == index
        await whole(peer, "app/web", index)
        assert len(shelf.asked("blobs")) == before + 1  # the layer that was missing; the config is the same
        shelf.spoil = dies
        await shelf.server.__aexit__(None, None, None)
        with pytest.raises(Retry, match="connection refused"):
            await run_one(peer, chosen, "app/web")


async def test_bytes_that_are_wrong_are_not_kept_and_the_rest_is_copied(hub_settings: Settings) -> None:
    shelf = Shelf()
    bad, good = shelf.image("bad", b"what it should be"), shelf.image("good", b"good")
    shelf.blobs[Digest.of(b"what it should be")] = b"what it shouldn't"
    wrong = Digest.of(b"something else")
    shelf.manifests[wrong] = shelf.manifests["good"]

    def spoil(seen: Seen) -> Answer | None:
        if seen.target.endswith("/tags/list?n=1000"):
            return reply(200, {"tags": ["bad", "forged", "good", "no/tag", "gone"]})
        if seen.target.endswith("/forged"):
            return reply(200, content_type=OCI_MANIFEST, docker_content_digest=wrong)
        return None

    shelf.spoil = spoil
    async with shelf, peering(hub_settings) as peer:
        await peer.user("app")
        chosen = await rule(peer, "pull", shelf.url, "app/web")
        await run_one(peer, chosen, "app/web")
        assert await tagged(peer, "app/web", "good") == good
        assert await tagged(peer, "app/web", "bad") is None and await tagged(peer, "app/web", bad) is None
        (entry,) = await peer.hub.database.read(audit.read, action="replication.fail")
        assert entry.detail["copied"] == 1 and {"bad", "forged"} <= entry.detail["failed"].keys()
        blobs = [file for _, _, files in os.walk(Path(hub_settings.registry.data_root, "blobs")) for file in files]
        assert len(blobs) == 2  # of the good one; nothing is left of the others


async def test_a_registry_that_says_429_is_asked_again_later(hub_settings: Settings) -> None:
    shelf = Shelf()
    shelf.spoil = lambda _: reply(429, retry_after="3000")
    async with shelf, peering(hub_settings) as peer:
        await peer.user("app")
        chosen = await rule(peer, "pull", shelf.url, "app/web")
        with pytest.raises(Retry):
            await run_one(peer, chosen, "app/web")
        with pytest.raises(Retry) as again:
            await run_one(peer, chosen, "app/web", attempts=5)
        assert again.value.after_s == 320.0
        await run_one(peer, chosen, "app/web", attempts=9)  # that was the last time
        (entry,) = await peer.hub.database.read(audit.read, action="replication.fail")
        assert "toomanyrequests" in entry.detail["failed"][""]


async def test_where_nothing_is_copied_to(hub_settings: Settings, tmp_path: Path) -> None:
    async with two(hub_settings, tmp_path) as (here, there, ann, ann_there):
        await there.push("ann/web", "1", ann_there)
        for destination, text in (("nobody", "no account's"), ("ann/UP", "destination")):
            try:
                chosen = await rule(here, "pull", there.url, "ann/web", destination=destination, login="yes")
            except InvalidArgument as error:
                assert text in str(error)
                continue
            await run_one(here, chosen, "ann/web")
            (entry,) = await here.hub.database.read(audit.read, action="replication.fail")
            assert text in entry.detail["failed"][""]
        who = await as_user(here, ann)
        await here.hub.do(who, policies.set_upstream, here.hub.outbound, "ann", there.url)
        with pytest.raises(Conflict):
            await here.hub.do(
                who, policies.create_replication, here.hub.outbound, "r", "pull", there.url, "ann/*", destination="ann"
            )
        with pytest.raises(InvalidArgument, match="copy"):
            await here.hub.database.read(check, "ann/web")


def check(c: Connection, name: str) -> None:
    from naru.hub.peers.replicate import _check_target

    _check_target(c, name)


async def test_rules_and_who_may_make_them(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        admin = await as_user(peer, await peer.user("root", is_admin=True))
        ann = await as_user(peer, await peer.user("ann"))
        outbound, url = peer.hub.outbound, "https://127.0.0.1:5000"

        async def make(
            name: str = "r", direction: str = "push", url: str = url, source: str = "a/*", **more: str
        ) -> Rule:
            return await peer.hub.do(admin, policies.create_replication, outbound, name, direction, url, source, **more)  # type: ignore[arg-type]

        with pytest.raises(Forbidden):
            await peer.hub.do(ann, policies.create_replication, outbound, "r", "push", url, "a/*")
        for bad in (
            {"direction": "sideways"}, {"trigger": "hourly"}, {"direction": "pull", "trigger": "push"}, {"source": "A B"},
            {"destination": "UP"}, {"tags": "^("}, {"name": ""}, {"url": "file:///etc"}, {"password": "without a user"},
            {"url": "https://a/b"}, {"username": "a:b"}, {"url": "https://169.254.169.254"},
        ):  # fmt: skip
            with pytest.raises((InvalidArgument, Forbidden)):
                await make(**bad)
        made = await make(trigger="daily", username="u", password="p")
        assert "p" not in repr(made).split("password")[1:] and made.password == "p"
        with pytest.raises(Conflict):
            await make()
        (job,) = [one for one in await peer.hub.database.read(jobs.waiting) if one.kind == replications.RULE_JOB]
        assert job.subject == str(made.id)
        for call in (policies.list_replications, policies.list_upstreams, policies.list_scanners):
            with pytest.raises(Forbidden):
                await peer.hub.read(ann, call)
        assert not (await peer.hub.do(admin, policies.enable_replication, "r", is_enabled=False)).is_enabled
        await peer.hub.do(admin, policies.delete_replication, "r")
        assert await peer.hub.read(admin, policies.list_replications) == []
        actions = [one.action for one in await peer.hub.database.read(audit.read)]
        assert {"replication.create", "replication.update", "replication.delete"} <= set(actions)
