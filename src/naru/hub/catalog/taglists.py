"""The tags of a repository as lists show them: a page at a time, however many there are. Functions of a Connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naru.errors import InvalidArgument
from naru.registry import records
from naru.registry.database import Connection, Row, marks


@dataclass(frozen=True, slots=True)
class Tag:
    """As lists show it. `platforms` of the image, or of those an index lists; `size_bytes` of all it needs, of an index's children
    too; `severity` of the newest scan."""

    name: str
    digest: str
    media_type: str
    artifact_type: str
    size_bytes: int
    pushed_at: float
    platforms: tuple[str, ...]
    last_pull_day: int | None
    severity: str


# ties by name the same way, as that is how the index has them
_SORTS = {
    "name": "name",
    "-name": "name DESC",
    "pushed": "pushed_at DESC, name DESC",
    "-pushed": "pushed_at, name",
}
SEVERITIES = ("", "Unknown", "None", "Negligible", "Low", "Medium", "High", "Critical")


def page(c: Connection, repository: int, containing: str, sort: str, offset: int, limit: int) -> list[Tag]:
    """Raises InvalidArgument for an unknown sort. The page is found in an index alone, and only its tags are looked at."""
    if sort not in _SORTS:
        raise InvalidArgument(f"sort {sort[:50]!r}: must be one of {', '.join(_SORTS)}")
    where, parameters = _where(repository, containing)
    sql = f"SELECT name FROM tag WHERE {where} ORDER BY {_SORTS[sort]} LIMIT ? OFFSET ?"
    return named(c, repository, [str(name) for (name,) in c.rows(sql, *parameters, limit, offset)])


def count(c: Connection, repository: int, containing: str = "") -> int:
    where, parameters = _where(repository, containing)
    return int(c.rows(f"SELECT count(*) FROM tag WHERE {where}", *parameters)[0][0])


def _where(repository: int, containing: str) -> tuple[str, list[Any]]:
    if not containing:
        return "repository = ?", [repository]
    return "repository = ? AND name LIKE ? ESCAPE '\\'", [repository, records.like(containing)]


def named(c: Connection, repository: int, names: Sequence[str]) -> list[Tag]:
    """Those of these that there are, in this order."""
    if not names:
        return []
    sql = (
        "SELECT tag.name, tag.digest, media_type, artifact_type, total_bytes, tag.pushed_at FROM tag "
        "JOIN manifest ON manifest.repository = tag.repository AND manifest.digest = tag.digest "
        f"WHERE tag.repository = ? AND tag.name IN ({marks(names)})"
    )
    rows = {str(row[0]): row for row in c.rows(sql, repository, *names)}
    digests = sorted({str(row[1]) for row in rows.values()})
    if not digests:
        return []
    parts = _parts(c, repository, digests)
    severities = _severities(c, repository, digests)
    days = _last_days(c, repository, names)
    return [
        _tag(rows[name], parts[str(rows[name][1])], severities.get(str(rows[name][1]), ()), days)
        for name in names
        if name in rows
    ]


_Parts = dict[str, tuple[str, int]]  # digest → platform ("" if it has none), bytes of all it needs


def _parts(c: Connection, repository: int, digests: Sequence[str]) -> dict[str, _Parts]:
    """Of each manifest: itself, and those it lists."""
    columns = "m.digest, i.os, i.architecture, i.variant, m.total_bytes"
    join = "LEFT JOIN image i ON i.repository = m.repository AND i.digest = m.digest"
    own = f"SELECT m.digest, {columns} FROM manifest m {join} WHERE m.repository = ? AND m.digest IN ({marks(digests)})"
    listed = (
        f"SELECT r.manifest, {columns} FROM reference r JOIN manifest m ON m.repository = r.repository AND m.digest = r.target {join} "
        f"WHERE r.repository = ? AND r.manifest IN ({marks(digests)})"
    )
    found: defaultdict[str, _Parts] = defaultdict(dict)
    for row in (*c.rows(own, repository, *digests), *c.rows(listed, repository, *digests)):
        platform = "/".join(filter(None, row[2:5])) if row[2] and row[2] != "unknown" else ""
        found[str(row[0])][str(row[1])] = (platform, int(row[5]))
    return found


def _severities(c: Connection, repository: int, digests: Sequence[str]) -> dict[str, list[str]]:
    """Of each manifest: those of the scans of itself, and of those it lists."""
    own = f"SELECT digest, severity FROM scan WHERE repository = ? AND status = 'finished' AND digest IN ({marks(digests)})"
    listed = (
        "SELECT r.manifest, severity FROM reference r JOIN scan ON scan.repository = r.repository AND scan.digest = r.target "
        f"WHERE r.repository = ? AND status = 'finished' AND r.manifest IN ({marks(digests)})"
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for digest, severity in (*c.rows(own, repository, *digests), *c.rows(listed, repository, *digests)):
        found[str(digest)].append(str(severity))
    return found


def _last_days(c: Connection, repository: int, names: Sequence[str]) -> dict[str, int]:
    sql = f"SELECT tag, max(day) FROM pull_day WHERE repository = ? AND tag IN ({marks(names)}) GROUP BY tag"
    return {str(tag): int(day) for tag, day in c.rows(sql, repository, *names)}


def _tag(row: Row, parts: _Parts, severities: Sequence[str], days: dict[str, int]) -> Tag:
    name, digest, media_type, artifact_type, size, pushed_at = row
    platforms = sorted({platform for platform, _ in parts.values() if platform})
    return Tag(
        name, digest, media_type, artifact_type, size if len(parts) < 2 else sum(size for _, size in parts.values()), pushed_at,
        tuple(platforms), days.get(name), worst(severities),
    )  # fmt: skip


def worst(severities: Sequence[str]) -> str:
    """ "" if nothing was scanned."""
    return max(severities, key=lambda one: SEVERITIES.index(one) if one in SEVERITIES else 1, default="")
