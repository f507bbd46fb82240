"""Namespaces that are copies of other registries: which, of what, and what is known to be fresh. Functions of a Connection.

upstream   namespace → url, username, password (sealed), fresh_s
cached     (repository, tag) → checked_at      when it was last seen that the upstream's tag names the same

`dockerhub/library/alpine` is `library/alpine` of the upstream of namespace `dockerhub`. What is in such a namespace is seen by whom the
namespace's own setting lets see it, whatever the upstream says of who may: it was fetched with the hub's credentials.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from naru.errors import NotFound
from naru.hub.places import DOCKER_HUB, Place
from naru.oci.digest import Digest
from naru.registry import records
from naru.registry.database import Connection, Row, one
from naru.registry.records import ManifestRecord

FRESH_S = 300.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """`fresh_s`: for how long a tag that was looked at is not looked at again."""

    namespace: int
    name: str
    url: str
    username: str
    password: str = field(repr=False)
    fresh_s: float

    @property
    def place(self) -> Place:
        return Place(self.url, self.username, self.password)

    def path(self, repository: str) -> str:
        """What the repository is called there. Docker Hub's own images need no `library/`, as in docker."""
        path = repository.partition("/")[2]
        return f"library/{path}" if self.url == DOCKER_HUB and "/" not in path else path


_COLUMNS = "namespace, name, url, username, upstream.password, fresh_s"
_FROM = "FROM upstream JOIN account ON account.id = namespace"


def every(c: Connection) -> list[Upstream]:
    return [_upstream(c, row) for row in c.rows(f"SELECT {_COLUMNS} {_FROM} ORDER BY name LIMIT 1000")]


def by_name(c: Connection, namespace: str) -> Upstream | None:
    found = one(c.rows(f"SELECT {_COLUMNS} {_FROM} WHERE name = ?", namespace))
    return _upstream(c, found) if found else None


def _upstream(c: Connection, row: Row) -> Upstream:
    namespace, name, url, username, password, fresh_s = row
    return Upstream(namespace, name, url, username, c.seals.open(password), fresh_s)


def find(c: Connection, namespace: int) -> Upstream | None:
    found = one(c.rows(f"SELECT {_COLUMNS} {_FROM} WHERE namespace = ?", namespace))
    return _upstream(c, found) if found else None


def get(c: Connection, namespace: int) -> Upstream:
    """Raises NotFound."""
    found = find(c, namespace)
    if found is None:
        raise NotFound("the namespace is no copy of another registry")
    return found


def put(c: Connection, namespace: int, place: Place, fresh_s: float) -> None:
    c.run(
        "INSERT INTO upstream (namespace, url, username, password, fresh_s) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (namespace) DO UPDATE SET url = excluded.url, username = excluded.username, password = excluded.password, "
        "fresh_s = excluded.fresh_s",
        namespace, place.url, place.username, c.seals.seal(place.password), fresh_s,
    )  # fmt: skip


def remove(c: Connection, namespace: int) -> bool:
    """What has been copied stays, and nothing is fetched any more."""
    return c.run("DELETE FROM upstream WHERE namespace = ?", namespace) > 0


def own(c: Connection, name: str, reference: str) -> tuple[ManifestRecord | None, float]:
    """What is there under a tag, and when it was last checked."""
    sql = "SELECT checked_at FROM cached JOIN repository ON id = repository WHERE name = ? AND reference = ?"
    found = one(c.rows(sql, name, reference))
    return records.manifest(c, name, reference), float(found[0]) if found else 0.0


def checked(c: Connection, name: str, reference: str, now_s: float) -> None:
    repository = records.repository_id(c, name)
    if repository is not None:
        c.run(
            "INSERT INTO cached (repository, reference, checked_at) VALUES (?, ?, ?) "
            "ON CONFLICT (repository, reference) DO UPDATE SET checked_at = excluded.checked_at",
            repository, reference, now_s,
        )  # fmt: skip


def manifests_with(c: Connection, name: str, digest: str) -> list[tuple[bytes, str]]:
    """Some manifests (their bytes, and media types) of the repository that refer to a blob."""
    sql = (
        "SELECT payload, media_type FROM reference r JOIN manifest m ON m.repository = r.repository AND m.digest = r.manifest "
        "JOIN repository ON repository.id = r.repository WHERE repository.name = ? AND target = ? ORDER BY r.manifest LIMIT 5"
    )
    return [(bytes(payload), str(media_type)) for payload, media_type in c.rows(sql, name, digest)]


def unseen_with(c: Connection, name: str, digest: str) -> list[ManifestRecord]:
    """Some manifests that refer to a blob, and of which no platform is known: because their config was not there, perhaps."""
    sql = (
        "SELECT r.manifest FROM reference r JOIN repository ON repository.id = r.repository WHERE repository.name = ? AND target = ? "
        "AND NOT EXISTS (SELECT 1 FROM image i WHERE i.repository = r.repository AND i.digest = r.manifest) LIMIT 20"
    )
    found = [records.manifest(c, name, Digest(manifest)) for (manifest,) in c.rows(sql, name, digest)]
    return [record for record in found if record is not None]
