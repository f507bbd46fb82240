"""Applying retention rules: once a day per repository, each at a time of its own. What they say is `retention`'s.

retention   repository → rules, is_enabled, ran_at

A plan is made of facts that others change meanwhile: what has been pushed, tagged or listed since stays, and all of it if the rules have
changed, which is looked at in the very transaction that deletes. Deleting goes through the registry's storage, so immutable tags stay, and webhooks and the audit log hear of it.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from naru.hub import audit, jobs
from naru.hub.catalog import repositories
from naru.hub.catalog.repositories import DAY_S
from naru.hub.catalog.tagpatterns import parse_several
from naru.hub.jobs import Job, Retry
from naru.hub.policies import retention
from naru.hub.policies.retention import ManifestFact, Plan, Rule, TagFact
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest
from naru.registry import garbage, records
from naru.registry.access import Caller
from naru.registry.database import Connection, Database, one
from naru.registry.errors import Refusal
from naru.registry.storage import Condition, Storage

JOB = "retain"
CALLER = Caller(audit.HUB.name)
_RUN_S = 240.0  # then others have their turn
_SCHEDULED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Policy:
    """`text`: the rules as they are kept."""

    rules: tuple[Rule, ...]
    is_enabled: bool
    ran_at: float | None
    text: str


def policy(c: Connection, repository: int) -> Policy | None:
    found = one(c.rows("SELECT rules, is_enabled, ran_at FROM retention WHERE repository = ?", repository))
    if found is None:
        return None
    text, is_enabled, ran_at = found
    return Policy(retention.parse_rules(json.loads(text)), bool(is_enabled), ran_at, text)


def facts(c: Connection, repository: int) -> tuple[list[TagFact], list[ManifestFact]]:
    """All of a repository's: for `Database.scan`, since there may be many. A tag that was pulled on some day counts as pulled at its end."""
    days = repositories.last_pull_days(c, repository)
    profile = repositories.by_id(c, repository)
    immutable = parse_several(profile.immutable) if profile else ()
    tags = [
        TagFact(
            name, Digest(digest), pushed_at, (days[name] + 1.0) * DAY_S if name in days else None,
            any(pattern.matches(name) for pattern in immutable),
        )
        for name, digest, pushed_at in c.rows(
            "SELECT name, digest, pushed_at FROM tag WHERE repository = ? ORDER BY name", repository
        )
    ]  # fmt: skip
    named: dict[str, list[str]] = {}
    for tag in tags:
        named.setdefault(tag.digest, []).append(tag.name)
    parents: dict[str, list[Digest]] = {}
    sql = (
        "SELECT target, manifest FROM reference JOIN manifest part ON part.repository = reference.repository "
        "AND part.digest = target WHERE reference.repository = ?"
    )
    for target, parent in c.rows(sql, repository):
        parents.setdefault(target, []).append(Digest(parent))
    sql = "SELECT digest, pushed_at, subject FROM manifest WHERE repository = ? ORDER BY pushed_at, digest"
    manifests = [
        ManifestFact(
            Digest(digest), pushed_at, tuple(named.get(digest, ())), tuple(parents.get(digest, ())),
            Digest(subject) if subject else None,
        )
        for digest, pushed_at, subject in c.rows(sql, repository)
    ]  # fmt: skip
    return tags, manifests


def schedule(c: Connection, name: str, now_s: float) -> None:
    """Once within the next day, at the repository's own time of day; nothing if that is so already."""
    at_s = zlib.crc32(name.encode()) % DAY_S
    jobs.add_once(c, JOB, name, {}, now_s, due_at=now_s + (at_s - now_s) % DAY_S)


def schedule_now(c: Connection, name: str, now_s: float) -> None:
    """Beside that, also where the rules are not enabled."""
    jobs.add(c, JOB, name, {"once": True}, now_s)


def schedule_all(c: Connection, after: int, now_s: float) -> int | None:
    """Some of those with enabled rules; where to go on, None at the end."""
    sql = (
        "SELECT id, name FROM retention JOIN repository ON id = repository WHERE is_enabled = 1 AND id > ? "
        f"ORDER BY id LIMIT {_SCHEDULED_AT_ONCE}"
    )
    found = c.rows(sql, after)
    for _, name in found:
        schedule(c, str(name), now_s)
    return int(found[-1][0]) if len(found) == _SCHEDULED_AT_ONCE else None


async def schedule_enabled(database: Database) -> None:
    """At the start of a hub: a daily job that got lost is there again."""
    after: int | None = 0
    while after is not None:
        after = await database.write(schedule_all, after, time.time())


def _load(c: Connection, name: str) -> tuple[int, Policy] | None:
    repository = records.repository_id(c, name)
    found = policy(c, repository) if repository is not None else None
    return (repository, found) if repository is not None and found else None


def _note(c: Connection, name: str, tags: int, manifests: int, now_s: float) -> None:
    repository = records.repository_id(c, name)
    if repository is None:
        return
    c.run("UPDATE retention SET ran_at = ? WHERE repository = ?", now_s, repository)
    if tags or manifests:
        audit.write(c, now_s, audit.HUB, "retention.apply", name, repository=name, tags=tags, manifests=manifests)


class Retainer:
    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    async def run(self, job: Job) -> None:
        """Apply the rules of one repository. Raises Retry if there is more to delete than fits into a turn."""
        name, once = job.subject, bool(job.payload.get("once"))
        found = await self._database.read(_load, name)
        if found is None or not (found[1].is_enabled or once):
            return
        repository, rules = found
        tags, manifests = await self._database.scan(facts, repository)
        now_s = time.time()
        plan = await finish_in_thread(retention.plan, rules.rules, tags, manifests, now_s)
        still = _is_ruled(rules.text, once)
        gone_tags, gone_manifests, left = await self._apply(name, plan, tags, manifests, now_s + _RUN_S, still)
        await self._database.write(_note, name, gone_tags, gone_manifests, time.time())
        if left:
            raise Retry(f"{left} more to delete", 1.0)
        if not once:
            await self._database.write(schedule, name, time.time())

    async def _apply(
        self,
        name: str,
        plan: Plan,
        tags: list[TagFact],
        manifests: list[ManifestFact],
        until_s: float,
        still: Condition,
    ) -> tuple[int, int, int]:
        """How many tags and manifests went, and how many were not got at. A whole goes before its parts, and an image before what refers
        to it: so round by round, as long as there is something that can go."""
        subjects = retention.belonging(tags, manifests)
        conditions: dict[str, tuple[Condition, ...]] = {one.digest: (still, _is_dispensable(one)) for one in manifests}
        for tag in tags:
            conditions[tag.name] = (still, _is_tag(tag), _is_gone(subjects.get(tag.name)))
        gone_tags = gone_manifests = 0
        waiting: list[str | Digest] = [decision.tag for decision in plan.deleted_tags]
        waiting += [decision.digest for decision in plan.deleted_manifests]
        while waiting:
            kept: list[str | Digest] = []
            for number, reference in enumerate(waiting):
                if time.time() > until_s:
                    return gone_tags, gone_manifests, len(waiting) - number + len(kept)
                if not await self._delete(name, reference, conditions[reference]):
                    kept.append(reference)
                elif isinstance(reference, Digest):
                    gone_manifests += 1
                else:
                    gone_tags += 1
            if len(kept) == len(waiting):
                break
            waiting = kept
        return gone_tags, gone_manifests, 0

    async def _delete(self, name: str, reference: str | Digest, conditions: Sequence[Condition]) -> bool:
        def provided(c: Connection, repository: int) -> bool:
            return all(holds(c, repository) for holds in conditions)

        try:
            await self._storage.delete_manifest(CALLER, name, reference, provided=provided)
        except Refusal as error:
            if error.code not in ("MANIFEST_UNKNOWN", "DENIED"):  # it has changed, or is immutable: then it stays
                raise
            return False
        return True


def _is_ruled(text: str, once: bool) -> Condition:
    """The rules are still these, and (but for once) enabled."""

    def holds(c: Connection, repository: int) -> bool:
        sql = "SELECT 1 FROM retention WHERE repository = ? AND rules = ? AND is_enabled >= ?"
        return bool(c.rows(sql, repository, text, int(not once)))

    return holds


def _is_gone(digest: Digest | None) -> Condition:
    """What a tag belongs to, if it belongs to something."""

    def holds(c: Connection, repository: int) -> bool:
        sql = "SELECT 1 FROM manifest WHERE repository = ? AND digest = ?"
        return digest is None or not c.rows(sql, repository, digest)

    return holds


def _is_tag(fact: TagFact) -> Condition:
    """Nobody has pushed it again."""

    def holds(c: Connection, repository: int) -> bool:
        sql = "SELECT 1 FROM tag WHERE repository = ? AND name = ? AND digest = ? AND pushed_at = ?"
        return bool(c.rows(sql, repository, fact.name, fact.digest, fact.pushed_at))

    return holds


def _is_dispensable(fact: ManifestFact) -> Condition:
    """Nobody has pushed it again; no tag names it, no index lists it, and what it refers to is gone."""

    def holds(c: Connection, repository: int) -> bool:
        sql = "SELECT 1 FROM manifest WHERE repository = ? AND digest = ? AND pushed_at = ?"
        return bool(c.rows(sql, repository, fact.digest, fact.pushed_at)) and not garbage.is_needed(
            c, garbage.MANIFEST, repository, fact.digest
        )

    return holds
