"""Copying repositories between this hub and another registry: the jobs of `replications`.

A rule's job goes through the repositories it takes, and leaves a job for each; that one copies tag after tag. An index comes after what it
lists, an image after its blobs, what refers to an image after it, and a tag last: what can be seen on the other side is whole. What is
there already is not copied again, so a job that broke off goes on where it was. Every digest is verified where it arrives.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naru.errors import InvalidArgument, NaruError, Unavailable
from naru.hub import audit
from naru.hub.catalog import repositories, upstreams
from naru.hub.jobs import Job, Retry, backoff_s
from naru.hub.peers import deliveries, replications
from naru.hub.peers.copying import Copy, Gone, PullCopy, PushCopy
from naru.hub.peers.remotes import Remote
from naru.hub.peers.replications import PULL, PUSH, Rule
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.errors import Refusal
from naru.registry.routes import check_name, check_tag
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads
from naru.remote.answers import Limited
from naru.remote.faults import Unreachable

log = logging.getLogger("naru.hub")

_PAGE = 500
_TRIES = 10
_IN_A_ROW = 3  # tags that could not be had
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one repository: how many tags were copied, how many were there already, and what went wrong with which."""

    copied: int
    there: int
    failed: dict[str, str]

    @property
    def text(self) -> str:
        text = f"{self.copied} tags copied, {self.there} were there"
        return text + (f", {len(self.failed)} failed: {next(iter(self.failed.values()))}" if self.failed else "")


class Replicator:
    def __init__(self, storage: Storage, uploads: Uploads, allow_private: bool) -> None:
        self._storage = storage
        self._uploads = uploads
        self._allow_private = allow_private

    async def run_rule(self, job: Job) -> None:
        """Find the repositories of a rule, and have them copied. Raises Retry if the other registry does not answer."""
        database = self._storage.database
        rule, once = await database.read(replications.by_id, int(job.subject)), bool(job.payload.get("once"))
        if rule is None or not (rule.is_enabled or once):
            return
        try:
            names = await self._repositories(rule)
        except NaruError as error:
            await database.write(replications.note, rule.id, f"repositories could not be listed: {error}", time.time())
            self._again(job, error)
            names = []
        for name in names:
            await database.write(replications.add_repository, rule.id, name, None, time.time())
        if names:
            await database.write(replications.note, rule.id, f"{len(names)} repositories", time.time())
        if not once:
            await database.write(replications.schedule, rule, time.time(), _DAY_S)

    async def _repositories(self, rule: Rule) -> list[str]:
        if rule.direction == PULL:
            if not set(rule.source) & set("*?["):
                return [rule.source]  # nobody need be allowed to see a catalog for that
            async with Remote(rule.place, self._allow_private) as remote:
                return [name for name in await remote.repositories() if rule.takes(name) and _is_name(name)]
        found: list[str] = []
        after = ""
        while names := await self._storage.repositories(after, _PAGE):
            found += [name for name in names if rule.takes(name)]
            after = names[-1]
        return found

    async def run_repository(self, job: Job) -> None:
        """Copy one. Raises Retry for what another registry may do better later."""
        database = self._storage.database
        name, wanted = str(job.payload["repository"]), job.payload.get("tags")
        rule = await database.read(replications.by_id, int(job.payload["rule"]))
        if rule is None or not rule.takes(name):
            return
        try:
            async with Remote(rule.place, self._allow_private) as remote:
                outcome, error = await self._copy(rule, remote, name, wanted)
        except NaruError as failure:
            outcome, error = Outcome(0, 0, {"": str(failure)}), failure
        again = isinstance(error, Unavailable) and job.attempts + 1 < _TRIES
        if outcome.copied or (outcome.failed and not again):
            local = name if rule.direction == PUSH else rule.target(name)
            await database.write(_tell, rule, local, name, outcome, time.time())
        result = f"{name}: {outcome.text}" + ("; to be tried again" if again else "")
        await database.write(replications.note, rule.id, result, time.time())
        if error is not None:
            self._again(job, error)

    async def _copy(
        self, rule: Rule, remote: Remote, name: str, wanted: Sequence[str] | None
    ) -> tuple[Outcome, NaruError | None]:
        """And what there is to try again, if there is."""
        target = rule.target(name)
        copy: Copy
        if rule.direction == PUSH:
            copy = PushCopy(self._storage, remote, name, rule)
        else:
            await self._storage.database.read(_check_target, target)
            copy = PullCopy(self._storage, self._uploads, remote, name, target)
        tags = wanted if wanted is not None else await copy.tags()
        copied = there = in_a_row = 0
        failed: dict[str, str] = {}
        worst: NaruError | None = None
        for tag in rule.wanted(tags):
            try:
                if await copy.tag(check_tag(tag)):
                    copied += 1
                else:
                    there += 1
                in_a_row = 0
            except NaruError as error:
                if isinstance(error, Gone) and wanted is not None:
                    continue  # deleted since it was pushed
                log.warning("replication %s: %s:%s: %s", rule.name, name, tag, error)
                failed[tag] = str(error)
                worst = error if worst is None or isinstance(error, Unavailable) else worst
                in_a_row += isinstance(error, Unavailable)
                if isinstance(error, (Unreachable, Limited)) or in_a_row >= _IN_A_ROW:
                    break  # the next tag would fare no better
        return Outcome(copied, there, failed), worst

    def _again(self, job: Job, error: NaruError) -> None:
        if isinstance(error, Unavailable) and job.attempts + 1 < _TRIES:
            raise Retry(str(error), backoff_s(10.0, job.attempts, 3600.0)) from error


def _is_name(name: str) -> bool:
    """The other registry says so, and its word goes into a path."""
    try:
        check_name(name)
    except Refusal:
        return False
    return True


def _check_target(c: Connection, name: str) -> None:
    """Raises InvalidArgument for a name that no repository here can have, or one in a copy of a registry."""
    try:
        check_name(name)
    except Refusal as error:
        raise InvalidArgument(f"destination: {error}") from error
    namespace = repositories.namespace_of(c, name)
    if namespace is None:
        raise InvalidArgument(f"destination {name}: the namespace is no account's")
    if upstreams.find(c, namespace.id) is not None:
        raise InvalidArgument(f"destination {name}: the namespace is a copy of another registry")


def _tell(c: Connection, rule: Rule, local: str, name: str, outcome: Outcome, now_s: float) -> None:
    detail: dict[str, Any] = {
        "direction": rule.direction, "remote": rule.remote, "copied": outcome.copied,
        "failed": dict(list(outcome.failed.items())[:20]),
    }  # fmt: skip
    action = "replication.fail" if outcome.failed else "replication.run"
    there = records.has_repository(c, local)
    audit.write(c, now_s, audit.HUB, action, rule.name, repository=local if there else None, source=name, **detail)
    if there:
        deliveries.publish(c, now_s, "replication", local, audit.HUB.name, rule=rule.name, **detail)
