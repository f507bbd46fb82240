"""Retention rules, applied: on a hub, with images of several platforms."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from peer import Peer, peering
from shelf import wait_quiet

from naru.errors import Forbidden, InvalidArgument, NotFound
from naru.hub import audit, jobs
from naru.hub.catalog import repositories
from naru.hub.jobs import Job
from naru.hub.policies import retain
from naru.hub.policies.retain import JOB, Retainer
from naru.hub.server import Settings
from naru.hub.services import policies, repos
from naru.hub.services.who import Who
from naru.oci.digest import Digest
from naru.oci.image import OCI_INDEX, OCI_MANIFEST, Descriptor, Platform, dump_json
from naru.registry import records
from naru.registry.database import Connection

DAY_S = 86400.0


async def as_user(peer: Peer, authorization: str) -> Who:
    return Who(await peer.hub.identities.by_basic(authorization, ""), "", time.time())


async def push_index(peer: Peer, name: str, tag: str, authorization: str, *children: Digest, **more: Any) -> Digest:
    listed = [
        Descriptor(OCI_MANIFEST, one, 100, platform=Platform("linux", f"cpu{n}")) for n, one in enumerate(children)
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [one.to_json() for one in listed], **more}
    raw = dump_json(document)
    bearer = await peer.token(authorization, f"repository:{name}:pull,push")
    answer = await peer.ask("PUT", f"/v2/{name}/manifests/{tag or Digest.of(raw)}", bearer, raw, Content_Type=OCI_INDEX)
    assert answer.status == 201, answer
    return Digest.of(raw)


def age(c: Connection, days: float) -> None:
    """As if everything had been pushed so much earlier."""
    c.run("UPDATE tag SET pushed_at = pushed_at - ?", days * DAY_S)
    c.run("UPDATE manifest SET pushed_at = pushed_at - ?", days * DAY_S)


async def run(peer: Peer, name: str, *, once: bool = True) -> None:
    await Retainer(peer.hub.database, peer.hub.registry.storage).run(Job(0, JOB, name, {"once": once}, 0, "", 0.0))


def always(c: Connection, repository: int) -> bool:
    return True


async def there(peer: Peer, name: str, *digests: Digest) -> list[bool]:
    return [await peer.hub.database.read(records.manifest, name, digest) is not None for digest in digests]


async def test_old_tags_go_and_nothing_that_is_a_part_of_what_stays(hub_settings: Settings) -> None:
    name = "ann/web"
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        who = await as_user(peer, ann)
        amd, arm, both = [await peer.push(name, tag, ann, tag.encode()) for tag in ("amd", "arm", "both")]
        old_index = await push_index(peer, name, "v1", ann, amd, both)
        new_index = await push_index(peer, name, "v2", ann, arm, both)
        rules = [{"tags": "*", "keep_latest": 1}, {"untagged_days": 5}]
        await peer.hub.do(who, repos.set_retention, name, rules, is_enabled=True)
        signature = await push_index(peer, name, "", ann, subject=Descriptor(OCI_INDEX, new_index, 9).to_json())
        old_signature = await push_index(peer, name, "", ann, subject=Descriptor(OCI_INDEX, old_index, 9).to_json())
        await peer.hub.database.write(age, 10.0)
        plan = await peer.hub.database.scan(policies.retention_plan, who, name)
        assert {one.tag for one in plan.deleted_tags} == {"amd", "arm", "both", "v1"}
        assert await there(peer, name, amd) == [True]  # that was dry
        await run(peer, name)
        assert await peer.hub.registry.storage.tags(name, "", 10) == ["v2"]
        assert await there(peer, name, new_index, arm, both, signature) == [True] * 4
        assert await there(peer, name, old_index, amd, old_signature) == [False] * 3
        (entry,) = await peer.hub.database.read(audit.read, repository=name, action="retention.apply")
        assert (entry.actor, entry.detail) == ("naru", {"tags": 4, "manifests": 3})
        assert len(await peer.hub.database.read(audit.read, repository=name, action="tag.delete")) == 4
        assert (await peer.hub.read(who, repos.get_retention, name))[2] is not None
        await run(peer, name)  # there is nothing left to do
        assert len(await peer.hub.database.read(audit.read, repository=name, action="retention.apply")) == 1


async def test_what_was_pushed_after_the_plan_stays(hub_settings: Settings) -> None:
    name = "ann/web"
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        moved, listed, tagged, gone = [
            await peer.push(name, tag, ann, tag.encode()) for tag in ("moved", "listed", "tagged", "gone")
        ]
        await peer.hub.database.write(age, 10.0)
        profile = await peer.hub.database.read(repositories.get, name)
        rules = retain.retention.parse_rules([{"tags": "*", "keep_pushed_days": 5}, {"untagged_days": 5}])
        tags, manifests = await peer.hub.database.scan(retain.facts, profile.id)
        now_s = time.time()
        plan = retain.retention.plan(rules, tags, manifests, now_s)
        assert (len(plan.deleted_tags), len(plan.deleted_manifests)) == (4, 4)
        await peer.push(name, "moved", ann, b"moved")  # the same again
        await push_index(peer, name, "new", ann, listed)
        await peer.push(name, "another", ann, b"tagged")
        retainer = Retainer(peer.hub.database, peer.hub.registry.storage)
        assert await retainer._apply(name, plan, tags, manifests, now_s + 60, always) == (3, 1, 0)
        assert await there(peer, name, moved, listed, tagged, gone) == [True, True, True, False]
        assert await peer.hub.registry.storage.tags(name, "", 10) == ["another", "moved", "new"]


async def test_immutable_tags_stay_and_a_turn_ends(hub_settings: Settings) -> None:
    name = "ann/web"
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        who = await as_user(peer, ann)
        for tag in ("v1", "v2", "x1", "x2"):
            await peer.push(name, tag, ann, tag.encode())
        await peer.hub.do(who, repos.update, name, {"immutable": "v*"})
        await peer.hub.do(who, repos.set_retention, name, [{"tags": "*", "keep_pushed_days": 1}], is_enabled=False)
        await peer.hub.database.write(age, 10.0)
        await run(peer, name, once=False)  # not enabled
        assert len(await peer.hub.registry.storage.tags(name, "", 10)) == 4
        await peer.hub.do(who, policies.retain_now, name)
        await wait_quiet(peer)
        assert await peer.hub.registry.storage.tags(name, "", 10) == ["v1", "v2"]
        profile = await peer.hub.database.read(repositories.get, name)
        tags, manifests = await peer.hub.database.scan(retain.facts, profile.id)
        rules = retain.retention.parse_rules([{"tags": "*", "keep_pushed_days": 1}])
        plan = retain.retention.plan(rules, tags, manifests, time.time())
        assert [(one.tag, one.reason) for one in plan.kept] == [("v1", "immutable"), ("v2", "immutable")]
        await peer.hub.do(who, repos.update, name, {"immutable": ""})
        tags, manifests = await peer.hub.database.scan(retain.facts, profile.id)
        plan = retain.retention.plan(rules, tags, manifests, time.time())
        retainer = Retainer(peer.hub.database, peer.hub.registry.storage)
        assert await retainer._apply(name, plan, tags, manifests, 0.0, always) == (0, 0, 2)  # no time: two are left


async def test_rules_that_are_changed_meanwhile_delete_nothing_more(hub_settings: Settings) -> None:
    name = "ann/web"
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        who = await as_user(peer, ann)
        for tag in ("v1", "v2"):
            await peer.push(name, tag, ann, tag.encode())
        rules = [{"tags": "*", "keep_pushed_days": 1}]
        await peer.hub.do(who, repos.set_retention, name, rules, is_enabled=True)
        await peer.hub.database.write(age, 10.0)
        profile = await peer.hub.database.read(repositories.get, name)
        policy = await peer.hub.database.read(retain.policy, profile.id)
        assert policy is not None
        tags, manifests = await peer.hub.database.scan(retain.facts, profile.id)
        plan = retain.retention.plan(policy.rules, tags, manifests, time.time())
        retainer = Retainer(peer.hub.database, peer.hub.registry.storage)

        async def apply(once: bool) -> tuple[int, int, int]:
            still = retain._is_ruled(policy.text, once)
            return await retainer._apply(name, plan, tags, manifests, time.time() + 60, still)

        await peer.hub.do(who, repos.set_retention, name, rules, is_enabled=False)
        assert await apply(False) == (0, 0, 0)
        await peer.hub.do(who, repos.set_retention, name, [{"tags": "*", "keep_pushed_days": 99}], is_enabled=True)
        assert await apply(True) == (0, 0, 0)
        await peer.hub.do(who, repos.set_retention, name, rules, is_enabled=False)
        assert await apply(True) == (2, 0, 0)


async def test_a_signature_under_a_tag_of_its_own_goes_after_its_image_and_not_before(hub_settings: Settings) -> None:
    name = "ann/web"
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        who = await as_user(peer, ann)
        images = {tag: await peer.push(name, tag, ann, tag.encode()) for tag in ("v1", "v2", "v3")}
        for tag, digest in images.items():
            await peer.push(name, f"sha256-{digest.hex}.sig", ann, f"signature of {tag}".encode())
        await peer.hub.database.write(age, 10.0)
        rules = [{"tags": "*", "keep_latest": 1}, {"untagged_days": 5}]
        await peer.hub.do(who, repos.set_retention, name, rules, is_enabled=True)
        profile = await peer.hub.database.read(repositories.get, name)
        tags, manifests = await peer.hub.database.scan(retain.facts, profile.id)
        plan = retain.retention.plan(retain.retention.parse_rules(rules), tags, manifests, time.time())
        await peer.push(name, "again", ann, b"v1")  # is there under another tag by the time it would go
        retainer = Retainer(peer.hub.database, peer.hub.registry.storage)
        assert await retainer._apply(name, plan, tags, manifests, time.time() + 60, always) == (3, 2, 0)
        left = {f"sha256-{images[tag].hex}.sig" for tag in ("v1", "v3")}
        assert set(await peer.hub.registry.storage.tags(name, "", 10)) == {"again", "v3", *left}


async def test_pulls_keep_tags_also_those_of_clients_that_ask_by_head(hub_settings: Settings) -> None:
    name = "ann/web"
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        for tag in ("head", "get", "never"):
            await peer.push(name, tag, ann, tag.encode())
        await peer.hub.database.write(age, 10.0)
        bearer = await peer.token(ann, f"repository:{name}:pull")
        assert (await peer.ask("GET", f"/v2/{name}/manifests/get", bearer)).status == 200
        digest = (await peer.ask("HEAD", f"/v2/{name}/manifests/head", bearer)).headers["Docker-Content-Digest"]
        assert (await peer.ask("GET", f"/v2/{name}/manifests/{digest}", bearer)).status == 200
        await peer.hub.registry.guard.flush()  # type: ignore[attr-defined]
        who = await as_user(peer, ann)
        rules = [{"tags": "*", "keep_pulled_days": 1}]
        plan = await peer.hub.database.scan(policies.retention_plan, who, name, rules)
        assert [one.tag for one in plan.deleted_tags] == ["never"]


async def test_each_day_at_a_time_of_its_own(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        who = await as_user(peer, ann)
        for name in ("ann/a", "ann/b"):
            await peer.push(name, "1", ann)
            for _ in range(2):
                await peer.hub.do(who, repos.set_retention, name, [{"tags": "*", "keep_latest": 9}], is_enabled=True)
        waiting = [job for job in await peer.hub.database.read(jobs.waiting) if job.kind == JOB]
        assert sorted(job.subject for job in waiting) == ["ann/a", "ann/b"]
        assert all(0 <= job.due_at - who.now_s <= DAY_S for job in waiting) and waiting[0].due_at != waiting[1].due_at
        await peer.hub.database.write(lambda c: c.run("DELETE FROM job"))
        await retain.schedule_enabled(peer.hub.database)
        await run(peer, "ann/a", once=False)  # the next one is there already
        waiting = [job for job in await peer.hub.database.read(jobs.waiting) if job.kind == JOB]
        assert sorted(job.subject for job in waiting) == ["ann/a", "ann/b"]


async def test_who_may_and_bad_rules(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann, bob = await peer.user("ann"), await peer.user("bob")
        await peer.push("ann/web", "1", ann)
        for call in (policies.retention_plan, policies.retain_now):
            with pytest.raises(NotFound):
                await peer.hub.database.write(call, await as_user(peer, bob), "ann/web")
            with pytest.raises(NotFound, match="no retention rules"):
                await peer.hub.database.write(call, await as_user(peer, ann), "ann/web")
        await peer.hub.do(await as_user(peer, ann), repos.update, "ann/web", {"is_private": False})
        with pytest.raises(Forbidden):
            await peer.hub.database.write(policies.retain_now, await as_user(peer, bob), "ann/web")
        with pytest.raises(InvalidArgument, match=r"rules\[0\]"):
            await peer.hub.database.read(
                policies.retention_plan, await as_user(peer, ann), "ann/web", json.loads('[{"tags": 5}]')
            )
        await run(peer, "nobody/nothing")
