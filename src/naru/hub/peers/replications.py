"""Replication rules: what is copied to or from which other registry, and when. Functions of a Connection.

replication   id → name, direction, remote, username, password (sealed), source, destination, tags, trigger, is_enabled, ran_at, result

`source` is a glob of repositories: this hub's for a rule that pushes, the other registry's for one that pulls. What is copied keeps its
name, or has its first part replaced by `destination`. Copying itself is `replicate`'s.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from naru.errors import Conflict, InvalidArgument, NotFound
from naru.hub import jobs
from naru.hub.catalog.tagpatterns import TagPattern
from naru.hub.places import Place
from naru.registry.database import Connection, Row, one

PUSH, PULL = "push", "pull"
MANUAL, ON_PUSH, DAILY = "manual", "push", "daily"
RULE_JOB, REPOSITORY_JOB = "replicate", "replicate-repository"
_GLOB = re.compile(r"[a-z0-9._/*?\[\]!-]{1,255}")
_DESTINATION = re.compile(r"(?:[a-z0-9]+(?:[._/-][a-z0-9]+)*)?")
_MOST = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """`tags`: pattern, "" for all of them. `ran_at` and `result`: of the last time it was gone through."""

    id: int
    name: str
    direction: str
    remote: str
    username: str
    password: str = field(repr=False)
    source: str
    destination: str
    tags: str
    trigger: str
    is_enabled: bool
    created_at: float
    ran_at: float | None
    result: str

    @property
    def place(self) -> Place:
        return Place(self.remote, self.username, self.password)

    def takes(self, repository: str) -> bool:
        return fnmatch.fnmatchcase(repository, self.source)

    def wanted(self, tags: Iterable[str]) -> list[str]:
        """Those of these tags that it takes."""
        if not self.tags:
            return list(tags)
        pattern = TagPattern.parse(self.tags)
        return [tag for tag in tags if pattern.matches(tag)]

    def target(self, repository: str) -> str:
        """What it is called where it is copied to."""
        return f"{self.destination}/{repository.partition('/')[2] or repository}" if self.destination else repository


_COLUMNS = 'id, name, direction, remote, username, password, source, destination, tags, "trigger", is_enabled, created_at, ran_at, result'


def _rule(c: Connection, row: Row) -> Rule:
    values = list(row)
    values[5], values[10] = c.seals.open(values[5]), bool(values[10])
    return Rule(*values)


def create(
    c: Connection,
    name: str,
    direction: str,
    place: Place,
    source: str,
    now_s: float,
    *,
    destination: str = "",
    tags: str = "",
    trigger: str = MANUAL,
) -> Rule:
    """The caller has checked the URL. Raises InvalidArgument, naming the field; Conflict."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidArgument("name: must be 1 to 100 characters")
    if direction not in (PUSH, PULL):
        raise InvalidArgument(f"direction {direction[:50]!r}: must be push or pull")
    if trigger not in (MANUAL, ON_PUSH, DAILY):
        raise InvalidArgument(f"trigger {trigger[:50]!r}: must be manual, push or daily")
    if trigger == ON_PUSH and direction == PULL:
        raise InvalidArgument("trigger push: the other registry does not tell of its pushes; take daily")
    if not _GLOB.fullmatch(source):
        raise InvalidArgument("source: must be a name of repositories, in which * and ? may be")
    if not _DESTINATION.fullmatch(destination) or len(destination) > 200:
        raise InvalidArgument("destination: must be a namespace, or empty")
    if tags:
        TagPattern.parse(tags)
    if len(every(c)) >= _MOST:
        raise Conflict(f"there are {_MOST} rules: delete some first")
    made = c.run(
        "INSERT INTO replication (name, direction, remote, username, password, source, destination, tags, \"trigger\", is_enabled, "
        "created_at, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, '') ON CONFLICT DO NOTHING",
        name, direction, place.url, place.username, c.seals.seal(place.password), source, destination, tags, trigger, now_s,
    )  # fmt: skip
    if not made:
        raise Conflict(f"replication {name!r} exists")
    return get(c, name)


def get(c: Connection, name: str) -> Rule:
    """Raises NotFound."""
    found = one(c.rows(f"SELECT {_COLUMNS} FROM replication WHERE name = ?", name))
    if found is None:
        raise NotFound(f"replication {name[:100]}: not found")
    return _rule(c, found)


def by_id(c: Connection, rule: int) -> Rule | None:
    found = one(c.rows(f"SELECT {_COLUMNS} FROM replication WHERE id = ?", rule))
    return _rule(c, found) if found else None


def every(c: Connection) -> list[Rule]:
    return [_rule(c, row) for row in c.rows(f"SELECT {_COLUMNS} FROM replication ORDER BY name LIMIT {_MOST}")]


def enabled(c: Connection, trigger: str) -> list[Rule]:
    sql = f'SELECT {_COLUMNS} FROM replication WHERE is_enabled = 1 AND "trigger" = ? ORDER BY id LIMIT {_MOST}'
    return [_rule(c, row) for row in c.rows(sql, trigger)]


def set_enabled(c: Connection, rule: int, is_enabled: bool) -> None:
    c.run("UPDATE replication SET is_enabled = ? WHERE id = ?", int(is_enabled), rule)


def delete(c: Connection, rule: int) -> None:
    """What it has begun ends where it is."""
    c.run("DELETE FROM replication WHERE id = ?", rule)


def note(c: Connection, rule: int, result: str, now_s: float) -> None:
    c.run("UPDATE replication SET ran_at = ?, result = ? WHERE id = ?", now_s, result[:1000], rule)


def run_now(c: Connection, rule: Rule, now_s: float) -> None:
    jobs.add(c, RULE_JOB, str(rule.id), {"once": True}, now_s)


def schedule(c: Connection, rule: Rule, now_s: float, after_s: float = 0.0) -> None:
    """The daily round; nothing if there is one that waits."""
    if rule.trigger == DAILY and rule.is_enabled:
        jobs.add_once(c, RULE_JOB, str(rule.id), {}, now_s, due_at=now_s + after_s)


def schedule_all(c: Connection, now_s: float) -> None:
    """At the start of a hub: a daily round that got lost is there again."""
    for rule in enabled(c, DAILY):
        due_at = (rule.ran_at or 0.0) + 86400.0
        schedule(c, rule, now_s, max(due_at - now_s, 60.0))


def add_repository(c: Connection, rule: int, repository: str, tags: Sequence[str] | None, now_s: float) -> None:
    """Copy it; all tags that the rule takes (None), or these of them."""
    if tags is None:
        jobs.add_once(c, REPOSITORY_JOB, f"{rule}:{repository}", {"rule": rule, "repository": repository}, now_s)
    for tag in tags or ():
        payload = {"rule": rule, "repository": repository, "tags": [tag]}
        jobs.add_once(c, REPOSITORY_JOB, f"{rule}:{repository}:{tag}", payload, now_s)


def on_push(c: Connection, repository: str, tags: Sequence[str], now_s: float) -> None:
    """In the transaction of a push: whatever happens to this process, it will be copied."""
    for rule in enabled(c, ON_PUSH) if tags else ():
        if rule.takes(repository) and (taken := rule.wanted(tags)):
            add_repository(c, rule.id, repository, taken, now_s)
