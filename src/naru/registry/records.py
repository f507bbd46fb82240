"""What the registry knows about its bytes: repositories, blobs, manifests, tags. Functions of a Connection; no bytes of blobs in it.

repository   id → name
 ├── link        (repository, digest)             a blob that this repository may give out
 ├── manifest    (repository, digest) → bytes, media type, size, subject, artifact type, annotations
 │    └── reference   (repository, manifest, target)   a blob it needs, or a manifest it lists
 ├── tag         (repository, name) → digest      always of a manifest of the same repository
 └── review      (kind, repository, digest) → due what may be garbage by then: see garbage
blob         digest → key, size                   where the store has the bytes: each digest once
discarded    key                                  objects whose bytes are to be deleted
upload       id → repository, owner, state        see uploads
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from naru.oci.digest import Digest
from naru.registry.database import Connection, Row, one

_DESCRIPTION = "org.opencontainers.image.description"
_OF = "(SELECT id FROM repository WHERE name = ?)"


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """`total_bytes`: with config and layers, each once; `references`: the blobs it needs, or the manifests it lists."""

    digest: Digest
    media_type: str
    size_bytes: int
    total_bytes: int = 0
    subject: Digest | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    pushed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Blob:
    digest: Digest
    key: str
    size_bytes: int


# repositories


def repository_id(c: Connection, name: str) -> int | None:
    found = one(c.rows("SELECT id FROM repository WHERE name = ?", name))
    return int(found[0]) if found else None


def ensure_repository(c: Connection, name: str, now_s: float) -> int:
    """Its id; it is made if it is not there."""
    c.run("INSERT INTO repository (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, now_s)
    found = repository_id(c, name)
    assert found is not None
    return found


def has_repository(c: Connection, name: str) -> bool:
    return repository_id(c, name) is not None


def repositories(c: Connection, after: str, limit: int, containing: str = "") -> list[str]:
    """Names, sorted, of repositories that hold a manifest."""
    sql = (
        "SELECT name FROM repository WHERE name > ? AND name LIKE ? ESCAPE '\\' "
        "AND EXISTS (SELECT 1 FROM manifest WHERE repository = repository.id) ORDER BY name LIMIT ?"
    )
    return [name for (name,) in c.rows(sql, after, like(containing), limit)]


def like(text: str) -> str:
    """A LIKE pattern (with ESCAPE '\\') of what contains the text."""
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def description(c: Connection, name: str) -> str:
    """What the image tagged `latest`, or else the last of all tags, says of itself in its annotations."""
    sql = (
        "SELECT annotations FROM tag JOIN manifest ON manifest.repository = tag.repository AND manifest.digest = tag.digest "
        f"WHERE tag.repository = {_OF} ORDER BY tag.name = 'latest' DESC, tag.name DESC LIMIT 1"
    )
    found = one(c.rows(sql, name))
    return str(json.loads(found[0]).get(_DESCRIPTION, "")) if found else ""


def counts(c: Connection) -> dict[str, int]:
    """How many there are of each thing."""
    sql = (
        "SELECT (SELECT count(DISTINCT repository) FROM manifest), (SELECT count(*) FROM manifest), "
        "(SELECT count(*) FROM tag), (SELECT count(*) FROM blob), (SELECT coalesce(sum(size_bytes), 0) FROM blob)"
    )
    names = ("repositories", "manifests", "tags", "blobs", "blob_bytes")
    return dict(zip(names, map(int, c.rows(sql)[0]), strict=True))


# blobs


def add_blob(c: Connection, blob: Blob) -> bool:
    """False if its digest is there already, with a key of its own."""
    sql = "INSERT INTO blob (digest, key, size_bytes) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING"
    return c.run(sql, blob.digest, blob.key, blob.size_bytes) > 0


def link(c: Connection, repository: int, digest: Digest) -> None:
    sql = "INSERT INTO link (repository, digest) VALUES (?, ?) ON CONFLICT (repository, digest) DO NOTHING"
    c.run(sql, repository, digest)


def blob(c: Connection, name: str, digest: Digest) -> Blob | None:
    """If the repository may give it out."""
    sql = f"SELECT key, size_bytes FROM link JOIN blob USING (digest) WHERE repository = {_OF} AND digest = ?"
    found = one(c.rows(sql, name, digest))
    return Blob(digest, *found) if found else None


def linked_in(c: Connection, digest: Digest, limit: int) -> list[str]:
    sql = "SELECT name FROM link JOIN repository ON repository.id = link.repository WHERE digest = ? ORDER BY name LIMIT ?"
    return [name for (name,) in c.rows(sql, digest, limit)]


def unlink(c: Connection, repository: int, digest: Digest, now_s: float) -> bool:
    """True if it was linked. Bytes that no repository has any more are on their way out."""
    if not c.run("DELETE FROM link WHERE repository = ? AND digest = ?", repository, digest):
        return False
    if not c.rows("SELECT 1 FROM link WHERE digest = ? LIMIT 1", digest):
        discard(c, str(c.rows("SELECT key FROM blob WHERE digest = ?", digest)[0][0]), now_s)
        c.run("DELETE FROM blob WHERE digest = ?", digest)
    return True


def discard(c: Connection, key: str, now_s: float) -> None:
    c.run("INSERT INTO discarded (key, since_at) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", key, now_s)


def discarded(c: Connection, limit: int) -> list[str]:
    return [str(key) for (key,) in c.rows("SELECT key FROM discarded ORDER BY since_at LIMIT ?", limit)]


def forget_discarded(c: Connection, keys: Sequence[str]) -> None:
    for key in keys:
        c.run("DELETE FROM discarded WHERE key = ?", key)


def missing(c: Connection, repository: int, digests: Sequence[Digest]) -> list[Digest]:
    """Of these blobs, those that the repository does not have."""
    return [
        one for one in digests if not c.rows("SELECT 1 FROM link WHERE repository = ? AND digest = ?", repository, one)
    ]


# manifests and tags


def put_manifest(
    c: Connection, repository: int, record: ManifestRecord, payload: bytes, references: Sequence[Digest]
) -> None:
    values = (
        repository, record.digest, record.media_type, record.size_bytes, record.total_bytes, record.subject,
        record.artifact_type, json.dumps(dict(record.annotations)), record.pushed_at, payload,
    )  # fmt: skip
    c.run(
        "INSERT INTO manifest (repository, digest, media_type, size_bytes, total_bytes, subject, artifact_type, annotations, "
        "pushed_at, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (repository, digest) DO UPDATE SET "
        "media_type = excluded.media_type, subject = excluded.subject, artifact_type = excluded.artifact_type, "
        "annotations = excluded.annotations, total_bytes = excluded.total_bytes, pushed_at = excluded.pushed_at",
        *values,
    )
    for target in dict.fromkeys(references):
        c.run(
            "INSERT INTO reference (repository, manifest, target) VALUES (?, ?, ?) "
            "ON CONFLICT (repository, manifest, target) DO NOTHING",
            repository, record.digest, target,
        )  # fmt: skip


def put_tag(c: Connection, repository: int, name: str, digest: Digest, now_s: float) -> Digest | None:
    """What it named before, if that is something else."""
    before = one(c.rows("SELECT digest FROM tag WHERE repository = ? AND name = ?", repository, name))
    c.run(
        "INSERT INTO tag (repository, name, digest, pushed_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest, pushed_at = excluded.pushed_at",
        repository, name, digest, now_s,
    )  # fmt: skip
    return Digest(before[0]) if before and before[0] != digest else None


def manifest(c: Connection, name: str, reference: Digest | str) -> ManifestRecord | None:
    found = one(_manifest(c, _RECORD, name, reference))
    return _record(found) if found else None


def manifest_with_payload(c: Connection, name: str, reference: Digest | str) -> tuple[ManifestRecord, bytes] | None:
    found = one(_manifest(c, f"{_RECORD}, payload", name, reference))
    return (_record(found[:-1]), bytes(found[-1])) if found else None


def _manifest(c: Connection, columns: str, name: str, reference: Digest | str) -> list[Row]:
    by_tag = f"(SELECT digest FROM tag WHERE repository = {_OF} AND name = ?)"
    which, parameters = ("?", (reference,)) if isinstance(reference, Digest) else (by_tag, (name, reference))
    sql = f"SELECT {columns} FROM manifest WHERE repository = {_OF} AND digest = {which}"
    return c.rows(sql, name, *parameters)


def delete_manifest(c: Connection, repository: int, digest: Digest) -> bool:
    """With its tags, and what says that it refers to something. False if it was not there."""
    return c.run("DELETE FROM manifest WHERE repository = ? AND digest = ?", repository, digest) > 0


def tags_of(c: Connection, repository: int, digest: Digest) -> list[str]:
    sql = "SELECT name FROM tag WHERE repository = ? AND digest = ? ORDER BY name"
    return [str(name) for (name,) in c.rows(sql, repository, digest)]


def references_of(c: Connection, repository: int, digest: Digest) -> list[Digest]:
    sql = "SELECT target FROM reference WHERE repository = ? AND manifest = ?"
    return [Digest(target) for (target,) in c.rows(sql, repository, digest)]


def delete_tag(c: Connection, repository: int, tag: str) -> Digest | None:
    """What it named, if it was there."""
    found = one(c.rows("SELECT digest FROM tag WHERE repository = ? AND name = ?", repository, tag))
    c.run("DELETE FROM tag WHERE repository = ? AND name = ?", repository, tag)
    return Digest(found[0]) if found else None


def tags(c: Connection, name: str, after: str, limit: int) -> list[str]:
    sql = f"SELECT name FROM tag WHERE repository = {_OF} AND name > ? ORDER BY name LIMIT ?"
    return [tag for (tag,) in c.rows(sql, name, after, limit)]


def referrers(
    c: Connection, name: str, subject: Digest, artifact_type: str | None, after: str, limit: int
) -> list[ManifestRecord]:
    where = f"WHERE repository = {_OF} AND subject = ? AND digest > ?"
    parameters: list[Any] = [name, subject, after]
    if artifact_type is not None:
        where += " AND artifact_type = ?"
        parameters.append(artifact_type)
    sql = f"SELECT {_RECORD} FROM manifest {where} ORDER BY digest LIMIT ?"
    return [_record(row) for row in c.rows(sql, *parameters, limit)]


_RECORD = "digest, media_type, size_bytes, total_bytes, subject, artifact_type, annotations, pushed_at"


def _record(row: Row) -> ManifestRecord:
    digest, media_type, size_bytes, total_bytes, subject, artifact_type, annotations, pushed_at = row
    return ManifestRecord(
        Digest(digest), media_type, size_bytes, total_bytes, Digest(subject) if subject else None, artifact_type,
        json.loads(annotations), pushed_at,
    )  # fmt: skip
