"""What a hub says about what is stored: namespaces, immutable tags, quotas; and what it tells of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from peer import Peer, basic, peering

from naru.errors import Unavailable
from naru.hub import audit
from naru.hub.catalog import repositories
from naru.hub.gate.guard import HubGuard, Limits
from naru.hub.peers import deliveries, webhooks
from naru.hub.people import accounts, credentials
from naru.hub.people.permissions import Reach
from naru.hub.ratelimit import Window
from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.oci.image import OCI_MANIFEST
from naru.registry.database import Connection


async def put_tag(peer: Peer, name: str, tag: str, authorization: str, source: str) -> int:
    bearer = await peer.token(authorization, f"repository:{name}:pull,push")
    raw = (await peer.ask("GET", f"/v2/{name}/manifests/{source}", bearer)).body
    return (await peer.ask("PUT", f"/v2/{name}/manifests/{tag}", bearer, raw, Content_Type=OCI_MANIFEST)).status


async def test_the_first_push_makes_a_private_repository_of_its_namespace(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web/deep", "1", ann)
        profile = await peer.hub.database.read(repositories.get, "ann/web/deep")
        assert profile.is_private and profile.owner == "ann"
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, is_private=False))
        await peer.push("ann/open", "1", ann)
        assert not (await peer.hub.database.read(repositories.get, "ann/open")).is_private


async def test_immutable_tags_stay_what_they_are(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        first = await peer.push("ann/web", "v1", ann, b"one")
        await peer.push("ann/web", "latest", ann, b"one")

        def freeze(c: Connection) -> None:
            repositories.update(c, repositories.get(c, "ann/web").id, 0, immutable=r"^v\d+$")

        await peer.hub.database.write(freeze)
        second = await peer.push("ann/web", "latest", ann, b"two")
        assert await put_tag(peer, "ann/web", "v1", ann, "latest") == 403
        assert await put_tag(peer, "ann/web", "v1", ann, "v1") == 201  # the same again
        assert await put_tag(peer, "ann/web", "v2", ann, "latest") == 201
        bearer = await peer.token(ann, "repository:ann/web:pull,delete")
        for reference, status in (("v1", 403), (str(first), 403), ("latest", 202), (str(second), 403)):
            answer = await peer.ask("DELETE", f"/v2/ann/web/manifests/{reference}", bearer)
            assert answer.status == status, reference
        assert "immutable" in (await peer.ask("DELETE", "/v2/ann/web/manifests/v1", bearer)).body.decode()
        assert (await peer.ask("GET", "/v2/ann/web/manifests/v1", bearer)).headers["Docker-Content-Digest"] == first


async def test_a_quota_counts_each_blob_of_a_namespace_once(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, quota_bytes=2000))
        await peer.push("ann/a", "1", ann, b"x" * 1000)
        await peer.push("ann/b", "1", ann, b"x" * 1000)  # the same bytes
        bearer = await peer.token(ann, "repository:ann/c:pull,push")
        data = b"y" * 1000
        answer = await peer.ask("POST", f"/v2/ann/c/blobs/uploads/?digest={Digest.of(data)}", bearer, data)
        assert (answer.status, answer.code) == (403, "DENIED") and "quota" in answer.body.decode()
        assert await peer.hub.database.read(repositories.find, "ann/c") is None
        used = await peer.hub.database.read(lambda c: repositories.used_bytes(c, accounts.get(c, "ann").id))
        assert 1000 < used < 2000


async def test_pulls_are_counted_and_limited_as_docker_hub_does(hub_settings: Settings) -> None:
    limits = Limits(account=Window(4, 3600), address=Window(2, 3600))
    async with peering(replace(hub_settings, limits=limits)) as peer:
        ann = await peer.user("ann")
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, is_private=False))
        digest = await peer.push("ann/web", "1", ann)
        mine, nobodys = (
            await peer.token(ann, "repository:ann/web:pull"),
            await peer.token("", "repository:ann/web:pull"),
        )
        answer = await peer.ask("HEAD", "/v2/ann/web/manifests/1", nobodys)
        assert answer.headers["ratelimit-limit"] == "2;w=3600" and answer.headers["ratelimit-remaining"] == "2;w=3600"
        assert answer.headers["docker-ratelimit-source"] == "127.0.0.1"
        statuses = [(await peer.ask("GET", "/v2/ann/web/manifests/1", nobodys)).status for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        answer = await peer.ask("GET", "/v2/ann/web/manifests/1", nobodys)
        assert answer.code == "TOOMANYREQUESTS" and int(answer.headers["Retry-After"]) > 0
        assert (await peer.ask("HEAD", "/v2/ann/web/manifests/1", nobodys)).status == 200  # free
        for _ in range(3):
            answer = await peer.ask("GET", f"/v2/ann/web/manifests/{digest}", mine)
        assert answer.headers["ratelimit-remaining"] == "1;w=3600"
        await peer.hub.registry.guard.flush()  # type: ignore[attr-defined]
        profile = await peer.hub.database.read(repositories.get, "ann/web")
        assert profile.pulls == 5
        by_tag = await peer.hub.database.read(repositories.pulls_by_day, profile.id, 0, "1")
        assert [count for _, count in by_tag] == [2]


async def test_pushes_and_deletions_are_in_the_audit_log(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        digest = await peer.push("ann/web", "1", ann)
        bearer = await peer.token(ann, "repository:ann/web:delete")
        await peer.ask("DELETE", "/v2/ann/web/manifests/1", bearer)

        def entries(c: Connection) -> list[audit.Entry]:
            return audit.read(c, repository="ann/web")

        found = await peer.hub.database.read(entries)
        assert [(one.action, one.actor, one.object) for one in found] == [
            ("tag.delete", "ann", "1"), ("tag.push", "ann", "1"), ("repository.create", "ann", "ann/web"),
        ]  # fmt: skip
        assert found[1].detail["digest"] == digest and found[1].address == "127.0.0.1"


async def test_webhooks_are_delivered_signed_and_again_if_nobody_was_there(hub_settings: Settings) -> None:
    got: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
    statuses = iter((500, 204, 204, 204))

    async def receive(request: web.Request) -> web.Response:
        got.put_nowait((dict(request.headers), await request.read()))
        return web.Response(status=next(statuses))

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        async with peering(hub_settings) as peer:
            ann = await peer.user("ann")

            def hook(c: Connection) -> deliveries.Webhook:
                return deliveries.create(c, accounts.get(c, "ann").id, None, "ci", url, ["push"], 0, secret="shared")

            webhook = await peer.hub.database.write(hook)
            await peer.push("ann/web", "1", ann)
            headers, body = await asyncio.wait_for(got.get(), 10)
            payload: dict[str, Any] = json.loads(body)
            assert (payload["event"], payload["repository"]["full_name"], payload["data"]["tag"]) == (
                "push",
                "ann/web",
                "1",
            )
            timestamp, signature = headers[webhooks.TIMESTAMP_HEADER], headers[webhooks.SIGNATURE_HEADER]
            assert webhooks.verify(body, b"shared", timestamp, signature, float(timestamp))

            def hurry(c: Connection) -> int:
                return c.run(
                    "UPDATE job SET due_at = 0 WHERE kind = ? AND leased_until = 0 AND attempts > 0", deliveries.JOB
                )

            for _ in range(100):  # the job is put off when the first answer has been noted
                if await peer.hub.database.write(hurry):
                    peer.hub.workers.wake()
                    break
                await asyncio.sleep(0.05)
            assert (await asyncio.wait_for(got.get(), 10))[1] == body
            for _ in range(100):
                (delivery,) = await peer.hub.database.read(deliveries.of_webhook, webhook.id)
                if delivery.status == deliveries.DELIVERED:
                    break
                await asyncio.sleep(0.05)
            assert (delivery.status, delivery.attempts) == (deliveries.DELIVERED, 2)
    finally:
        await runner.cleanup()


async def test_a_hub_is_not_sent_into_its_own_network(hub_settings: Settings) -> None:
    async with peering(replace(hub_settings, allow_private=False)) as peer:
        ann = await peer.user("ann")

        def hook(c: Connection) -> deliveries.Webhook:
            return deliveries.create(c, accounts.get(c, "ann").id, None, "x", f"{peer.url}/v2/", ["push"], 0)

        webhook = await peer.hub.database.write(hook)
        await peer.push("ann/web", "1", ann)
        for _ in range(200):
            (delivery,) = await peer.hub.database.read(deliveries.of_webhook, webhook.id)
            if delivery.status != deliveries.WAITING:
                break
            await asyncio.sleep(0.05)
        assert delivery.status == deliveries.FAILED and "loopback" in delivery.answer


async def test_platforms_are_known_soon_after_a_push(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)
        profile = await peer.hub.database.read(repositories.get, "ann/web")
        for _ in range(100):
            if found := await peer.hub.database.read(repositories.platforms, profile.id):
                break
            await asyncio.sleep(0.05)
        assert found == ["linux/amd64"]


async def test_pulls_that_could_not_be_written_down_are_kept(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)
        bearer = await peer.token(ann, "repository:ann/web:pull")
        await peer.ask("GET", "/v2/ann/web/manifests/1", bearer)
        guard = HubGuard(Broken(), Limits())
        guard._pulls.update({("ann/web", "1", 20000): 2})
        with pytest.raises(Unavailable):
            await guard.flush()
        guard._pulls.update({("ann/web", "1", 20000): 1})
        guard._database = peer.hub.database
        await guard.flush()
        await guard.flush()
        profile = await peer.hub.database.read(repositories.get, "ann/web")
        assert await peer.hub.database.read(repositories.pulls_by_day, profile.id, 20000, "1") == [(20000, 3)]


class Broken:
    """A database whose disk is full."""

    async def note(self, *_: object) -> None:
        raise Unavailable("database: disk is full")


async def test_robots_of_an_account_share_its_limit(hub_settings: Settings) -> None:
    async with peering(replace(hub_settings, limits=Limits(account=Window(3, 3600)))) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)
        statuses = []
        for name in ("one", "two"):
            reach = Reach(grants={"ann/*": frozenset({"pull"})})
            robot = basic(f"ann+{name}", await peer.secret("ann", credentials.ROBOT, name, reach))
            bearer = await peer.token(robot, "repository:ann/web:pull")
            statuses += [(await peer.ask("GET", "/v2/ann/web/manifests/1", bearer)).status for _ in range(2)]
        assert statuses == [200, 200, 200, 429]
