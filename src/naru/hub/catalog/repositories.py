"""Repositories as people see them: whose, for whom, what it is about, how often pulled. Functions of a Connection.

repository     (the registry's)
 └── profile       repository → namespace, is_private, summary, README, immutable tags, stars, pulls
      ├── permission   (repository, kind of holder, holder) → level
      ├── category     (repository, name)
      ├── platform     (repository, "linux/amd64")     of the images that were pushed
      ├── star         (repository, account)
      └── pull_day     (repository, tag, day) → count
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naru.errors import Conflict, InvalidArgument, NotFound
from naru.hub.catalog.tagpatterns import parse_several
from naru.hub.people import accounts
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import Level, Principal, RepositoryFacts
from naru.registry import records
from naru.registry.database import Connection, Row, marks, one

SUMMARY_LIMIT = 100  # characters; Docker Hub's
README_LIMIT_BYTES = 512 << 10
CATEGORIES = (
    "API management", "Content management", "Data science", "Databases & storage", "Developer tools", "Integration & delivery",
    "Internet of things", "Languages & frameworks", "Machine learning & AI", "Message queues", "Monitoring & observability",
    "Networking", "Operating systems", "Security", "Web analytics", "Web servers",
)  # fmt: skip
_CATEGORIES_MOST = 3
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Profile:
    id: int
    name: str
    namespace: int
    is_private: bool
    summary: str
    immutable: str  # patterns of tags that cannot be moved or deleted; "": none
    stars: int
    pulls: int
    updated_at: float
    created_at: float
    badge: str

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]


_COLUMNS = (
    "repository.id, repository.name, profile.namespace, profile.is_private, profile.summary, profile.immutable, profile.stars, "
    "profile.pulls, profile.updated_at, repository.created_at, account.badge"
)
_SEEN = "FROM profile JOIN repository ON repository.id = profile.repository"  # what `readable` is a condition on
_FROM = f"{_SEEN} JOIN account ON account.id = profile.namespace"


def _profile(row: Row) -> Profile:
    values = list(row)
    values[3] = bool(values[3])
    return Profile(*values)


def find(c: Connection, name: str) -> Profile | None:
    found = one(c.rows(f"SELECT {_COLUMNS} {_FROM} WHERE repository.name = ?", name))
    return _profile(found) if found else None


def by_id(c: Connection, repository: int) -> Profile | None:
    found = one(c.rows(f"SELECT {_COLUMNS} {_FROM} WHERE repository.id = ?", repository))
    return _profile(found) if found else None


def get(c: Connection, name: str) -> Profile:
    """Raises NotFound."""
    found = find(c, name)
    if found is None:
        raise NotFound(f"repository {name[:200]}: not found")
    return found


def facts(c: Connection, name: str) -> RepositoryFacts | None:
    """What a decision about it needs."""
    profile = find(c, name)
    if profile is None:
        return None
    return RepositoryFacts(name, profile.namespace, profile.is_private, grants(c, profile.id))


def spelled(name: str) -> str:
    """`busybox` is short for `library/busybox`, as on docker.io: also for clients that do not know it of this host."""
    return name if "/" in name else f"library/{name}"


def namespace_of(c: Connection, name: str) -> Account | None:
    """The account whose repository this is, or would be; None for a name with one part, or of nobody."""
    owner, slash, _ = name.partition("/")
    return accounts.find(c, owner) if slash else None


def add(c: Connection, repository: int, namespace: Account, now_s: float, *, is_private: bool | None = None) -> None:
    """The profile of a repository that has just been made."""
    private = namespace.is_private if is_private is None else is_private
    c.run(
        "INSERT INTO profile (repository, namespace, is_private, summary, readme, readme_html, immutable, stars, pulls, updated_at) "
        "VALUES (?, ?, ?, '', '', '', '', 0, 0, ?)",
        repository, namespace.id, int(private), now_s,
    )  # fmt: skip


def create(c: Connection, name: str, now_s: float, *, is_private: bool | None = None) -> Profile:
    """An empty one. Raises Conflict, NotFound for a namespace that is nobody's."""
    namespace = namespace_of(c, name)
    if namespace is None:
        raise NotFound(f"namespace of {name[:200]!r}: there is no such account")
    if records.has_repository(c, name):
        raise Conflict(f"repository {name} exists")
    add(c, records.ensure_repository(c, name, now_s), namespace, now_s, is_private=is_private)
    return get(c, name)


def delete(c: Connection, profile: Profile, now_s: float) -> None:
    """With everything in it: its blobs are linked nowhere any more, and what nobody else has is on its way out."""
    for (digest,) in c.rows("SELECT digest FROM link WHERE repository = ?", profile.id):
        records.unlink(c, profile.id, digest, now_s)
    c.run("DELETE FROM repository WHERE id = ?", profile.id)


def update(c: Connection, repository: int, now_s: float, **values: Any) -> None:
    """`summary`, `readme` with `readme_html`, `is_private`, `immutable`. Raises InvalidArgument."""
    assert values and values.keys() <= {"summary", "readme", "readme_html", "is_private", "immutable"}
    if len(values.get("summary", "")) > SUMMARY_LIMIT:
        raise InvalidArgument(f"summary: longer than {SUMMARY_LIMIT} characters")
    if len(values.get("readme", "").encode()) > README_LIMIT_BYTES:
        raise InvalidArgument(f"README: larger than {README_LIMIT_BYTES >> 10} KiB")
    if values.get("immutable"):
        parse_several(values["immutable"])
    columns = ", ".join(f"{name} = ?" for name in values)
    given = [int(value) if isinstance(value, bool) else value for value in values.values()]
    c.run(f"UPDATE profile SET {columns}, updated_at = ? WHERE repository = ?", *given, now_s, repository)


def touch(c: Connection, repository: int, now_s: float) -> None:
    """Something in it has changed."""
    c.run("UPDATE profile SET updated_at = ? WHERE repository = ?", now_s, repository)


def readme(c: Connection, repository: int) -> tuple[str, str]:
    """As it was written, and as HTML."""
    found = one(c.rows("SELECT readme, readme_html FROM profile WHERE repository = ?", repository))
    return (str(found[0]), str(found[1])) if found else ("", "")


# who may


def grants(c: Connection, repository: int) -> Mapping[tuple[str, int], Level]:
    rows = c.rows("SELECT holder_kind, holder, level FROM permission WHERE repository = ?", repository)
    return {(kind, holder): Level.parse(level) for kind, holder, level in rows}


def set_grant(c: Connection, repository: int, kind: str, holder: int, level: Level) -> None:
    """Level.NONE takes it away. `kind`: account, team."""
    c.run("DELETE FROM permission WHERE repository = ? AND holder_kind = ? AND holder = ?", repository, kind, holder)
    if level is not Level.NONE:
        c.run(
            "INSERT INTO permission (repository, holder_kind, holder, level) VALUES (?, ?, ?, ?)",
            repository, kind, holder, level.name.lower(),
        )  # fmt: skip


def named_grants(c: Connection, repository: int) -> list[tuple[str, str, Level]]:
    """(kind, name, level) of everybody who was given something."""
    sql = (
        "SELECT 'account', name, level FROM permission JOIN account ON account.id = holder "
        "WHERE repository = ? AND holder_kind = 'account' UNION ALL "
        "SELECT 'team', name, level FROM permission JOIN team ON team.id = holder WHERE repository = ? AND holder_kind = 'team' "
        "ORDER BY 1, 2"
    )
    return [(kind, name, Level.parse(level)) for kind, name, level in c.rows(sql, repository, repository)]


def readable(principal: Principal) -> tuple[str, list[Any]]:
    """A condition, with its parameters, for what somebody may see; the same as `permissions.allowed` says one by one."""
    if principal.reach.public_only:
        return "profile.is_private = 0", []
    if principal.reach.grants is not None:
        globs = [glob for glob, actions in principal.reach.grants.items() if "pull" in actions]
        granted = " OR repository.name LIKE ? ESCAPE '\\'" * len(globs)
        return f"(profile.is_private = 0{granted})", [glob.replace("_", "\\_").replace("*", "%") for glob in globs]
    if principal.is_admin:
        return "1 = 1", []
    namespaces = [principal.account, *(o for o, role in principal.roles.items() if role in ("owner", "editor"))]
    teams = sorted(principal.teams)
    condition = (
        f"(profile.is_private = 0 OR profile.namespace IN ({marks(namespaces)}) OR EXISTS (SELECT 1 FROM permission "
        "WHERE permission.repository = profile.repository AND ((holder_kind = 'account' AND holder = ?)"
    )
    parameters: list[Any] = [*namespaces, principal.account]
    if teams:
        condition += f" OR (holder_kind = 'team' AND holder IN ({marks(teams)}))"
        parameters += teams
    return condition + ")))", parameters


def public_among(c: Connection, names: Sequence[str]) -> set[str]:
    if not names:
        return set()
    sql = f"SELECT repository.name {_FROM} WHERE profile.is_private = 0 AND repository.name IN ({marks(names)})"
    return {str(name) for (name,) in c.rows(sql, *names)}


# finding


@dataclass(frozen=True, slots=True)
class Query:
    """`sort`: best, pulls, stars, updated, name. `badge`: official, verified. `platform`: "linux/arm64", or a part of one."""

    text: str = ""
    namespace: str = ""
    category: str = ""
    platform: str = ""
    badge: str = ""
    starred_by: int = 0
    sort: str = "best"


_SORTS = {
    "pulls": "profile.pulls DESC, repository.name",
    "stars": "profile.stars DESC, repository.name",
    "updated": "profile.updated_at DESC, repository.name",
    "name": "repository.name",
}
# a name that is what was asked for comes first, then those of badges, then by use
_BEST = (
    "CASE WHEN repository.name = ? OR repository.name = ? THEN 0 ELSE 1 END, "
    "CASE WHEN profile.namespace IN (SELECT id FROM account WHERE badge = 'official') THEN 0 "
    "WHEN profile.namespace IN (SELECT id FROM account WHERE badge = 'verified') THEN 1 ELSE 2 END, "
    "profile.stars * 100 + profile.pulls DESC, repository.name"
)


def search(c: Connection, principal: Principal, query: Query, offset: int, limit: int) -> tuple[list[Profile], int]:
    """What the principal may see of what fits, and how many there are of that. Raises InvalidArgument for an unknown sort."""
    where, parameters = readable(principal)
    for word in query.text.lower().split()[:5]:
        where += " AND (repository.name LIKE ? ESCAPE '\\' OR lower(profile.summary) LIKE ? ESCAPE '\\')"
        parameters += [records.like(word), records.like(word)]
    for value, condition in (
        (query.namespace, "profile.namespace IN (SELECT id FROM account WHERE name = ?)"),
        (query.badge, "profile.namespace IN (SELECT id FROM account WHERE badge = ?)"),
        (query.category, "profile.repository IN (SELECT k.repository FROM category k WHERE k.name = ?)"),
        (query.starred_by, "profile.repository IN (SELECT s.repository FROM star s WHERE s.account = ?)"),
    ):
        if value:
            where += f" AND {condition}"
            parameters.append(value)
    if query.platform:
        where += " AND EXISTS (SELECT 1 FROM platform p WHERE p.repository = profile.repository AND p.name LIKE ? ESCAPE '\\')"
        parameters.append(records.like(query.platform))
    (total,) = c.rows(f"SELECT count(*) {_SEEN} WHERE {where}", *parameters)[0]
    if query.sort == "best":
        order, more = _BEST, [query.text.lower(), f"library/{query.text.lower()}"]
    elif query.sort in _SORTS:
        order, more = _SORTS[query.sort], []
    else:
        raise InvalidArgument(f"sort {query.sort[:50]!r}: must be one of best, {', '.join(_SORTS)}")
    sql = f"SELECT repository.id {_SEEN} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"
    found = [row[0] for row in c.rows(sql, *parameters, *more, limit, offset)]  # to sort whole rows takes twice as long
    rows = c.rows(f"SELECT {_COLUMNS} {_FROM} WHERE repository.id IN ({marks(found)})", *found) if found else []
    return sorted(map(_profile, rows), key=lambda one: found.index(one.id)), int(total)


def facets(c: Connection, principal: Principal) -> dict[str, list[tuple[str, int]]]:
    """How many repositories there are of each category, and for each platform, of what the principal may see."""
    where, parameters = readable(principal)
    found = {}
    for kind in ("category", "platform"):
        sql = (
            f"SELECT k.name, count(*) {_SEEN} JOIN {kind} k ON k.repository = profile.repository WHERE {where} "
            "GROUP BY k.name ORDER BY 2 DESC, 1 LIMIT 20"
        )
        found[kind] = [(str(name), int(count)) for name, count in c.rows(sql, *parameters)]
    return found


def set_categories(c: Connection, repository: int, names: Sequence[str]) -> None:
    """Raises InvalidArgument."""
    wanted = list(dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in CATEGORIES]:
        raise InvalidArgument(f"category {unknown[0][:50]!r}: must be one of {', '.join(CATEGORIES)}")
    if len(wanted) > _CATEGORIES_MOST:
        raise InvalidArgument(f"categories: at most {_CATEGORIES_MOST}")
    c.run("DELETE FROM category WHERE repository = ?", repository)
    for name in wanted:
        c.run("INSERT INTO category (repository, name) VALUES (?, ?)", repository, name)


def categories(c: Connection, repository: int) -> list[str]:
    return [str(name) for (name,) in c.rows("SELECT name FROM category WHERE repository = ? ORDER BY name", repository)]


def platforms(c: Connection, repository: int) -> list[str]:
    return [str(name) for (name,) in c.rows("SELECT name FROM platform WHERE repository = ? ORDER BY name", repository)]


# stars and pulls


def set_star(c: Connection, repository: int, account: int, starred: bool, now_s: float) -> None:
    if starred:
        sql = "INSERT INTO star (repository, account, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        changed = c.run(sql, repository, account, now_s)
    else:
        changed = -c.run("DELETE FROM star WHERE repository = ? AND account = ?", repository, account)
    if changed:
        c.run("UPDATE profile SET stars = stars + ? WHERE repository = ?", changed, repository)


def is_starred(c: Connection, repository: int, account: int) -> bool:
    return bool(c.rows("SELECT 1 FROM star WHERE repository = ? AND account = ?", repository, account))


def count_pulls(c: Connection, pulls: Iterable[tuple[str, str, int, int]]) -> None:
    """Add (repository, tag, day, count); a tag of "" is a pull by digest. Repositories that are gone count nothing."""
    for name, tag, day, count in pulls:
        found = records.repository_id(c, name)
        if found is None or not c.run("UPDATE profile SET pulls = pulls + ? WHERE repository = ?", count, found):
            continue
        c.run(
            "INSERT INTO pull_day (repository, tag, day, count) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (repository, tag, day) DO UPDATE SET count = pull_day.count + excluded.count",
            found, tag, day, count,
        )  # fmt: skip


def pulls_by_day(c: Connection, repository: int, since_day: int, tag: str | None = None) -> list[tuple[int, int]]:
    """(day since 1970, count), of all tags or one."""
    more, parameters = (" AND tag = ?", [tag]) if tag is not None else ("", [])
    sql = f"SELECT day, sum(count) FROM pull_day WHERE repository = ? AND day >= ?{more} GROUP BY day ORDER BY day"
    return [(int(day), int(count)) for day, count in c.rows(sql, repository, since_day, *parameters)]


def last_pull_days(c: Connection, repository: int) -> dict[str, int]:
    """Tag → the day it was last pulled on."""
    sql = "SELECT tag, max(day) FROM pull_day WHERE repository = ? GROUP BY tag"
    return {str(tag): int(day) for tag, day in c.rows(sql, repository)}


# room


def used_bytes(c: Connection, namespace: int) -> int:
    """Of all blobs that its repositories link, each digest once."""
    sql = (
        "SELECT coalesce(sum(size_bytes), 0) FROM blob WHERE digest IN "
        "(SELECT digest FROM link JOIN profile ON profile.repository = link.repository WHERE namespace = ?)"
    )
    return int(c.rows(sql, namespace)[0][0])


def has_blob(c: Connection, namespace: int, digest: str) -> bool:
    sql = "SELECT 1 FROM link JOIN profile ON profile.repository = link.repository WHERE digest = ? AND namespace = ? LIMIT 1"
    return bool(c.rows(sql, digest, namespace))
