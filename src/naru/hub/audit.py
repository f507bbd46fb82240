"""The audit log: who did what, to what, from where. Rows are written in the transaction of what they tell of, and never changed.

audit   id → at, actor, action, namespace, repository, object, detail, address
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from naru.registry.database import Connection


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is behind a change: the account's name ("" for nobody known, "naru" for the hub itself), and the address it came from."""

    name: str
    address: str = ""


HUB = Actor("naru")


@dataclass(frozen=True, slots=True)
class Entry:
    id: int
    at: float
    actor: str
    action: str
    namespace: str | None
    repository: str | None
    object: str
    detail: dict[str, Any]
    address: str


def write(
    c: Connection,
    now_s: float,
    actor: Actor,
    action: str,
    object: str = "",
    *,
    namespace: str | None = None,
    repository: str | None = None,
    **detail: Any,
) -> None:
    """`action` is `subject.verb`, as in "tag.push"; a repository's name names its namespace too."""
    if repository is not None and namespace is None:
        namespace = repository.partition("/")[0]
    c.run(
        "INSERT INTO audit (at, actor, action, namespace, repository, object, detail, address) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        now_s, actor.name, action, namespace, repository, object, json.dumps(detail), actor.address,
    )  # fmt: skip


def read(
    c: Connection,
    *,
    namespace: str | None = None,
    repository: str | None = None,
    action: str | None = None,
    since_s: float | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Entry]:
    """The newest first; `before` is the id of the last one of the page before."""
    where, parameters = "1 = 1", list[Any]()
    given = {"namespace =": namespace, "repository =": repository, "action =": action, "at >=": since_s, "id <": before}
    for condition, value in given.items():
        if value is not None:
            where += f" AND {condition} ?"
            parameters.append(value)
    columns = "id, at, actor, action, namespace, repository, object, detail, address"
    rows = c.rows(f"SELECT {columns} FROM audit WHERE {where} ORDER BY id DESC LIMIT ?", *parameters, limit)
    entries = []
    for row in rows:
        values = list(row)
        values[7] = json.loads(values[7])
        entries.append(Entry(*values))
    return entries
