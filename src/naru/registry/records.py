"""What the registry knows about its bytes: repositories, links, manifests, tags. One SQLite file, no bytes in it.

    registry.db
     ├── repository   id → name
     ├── link         (repository, digest)               a blob that this repository may give out
     ├── manifest     (repository, digest) → media type, size, subject, artifact type, annotations
     └── tag          (repository, name) → digest        always of a manifest of the same repository

WAL, synced on every commit: what a client was told is stored survives a power cut. Point reads take microseconds and
run where they are made; a lock makes every call safe from threads too.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from naru.errors import Internal
from naru.oci.digest import Digest

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE link (repository INTEGER NOT NULL REFERENCES repository, digest TEXT NOT NULL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE INDEX link_digest ON link (digest);
CREATE TABLE manifest (repository INTEGER NOT NULL REFERENCES repository, digest TEXT NOT NULL, media_type TEXT NOT NULL, size_bytes INTEGER NOT NULL, subject TEXT, artifact_type TEXT NOT NULL, annotations TEXT NOT NULL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE INDEX manifest_digest ON manifest (digest);
CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;
CREATE TABLE tag (repository INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (repository, name), FOREIGN KEY (repository, digest) REFERENCES manifest ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX tag_digest ON tag (repository, digest);
"""
_DESCRIPTION = "org.opencontainers.image.description"
_OF = "(SELECT id FROM repository WHERE name = ?)"


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    digest: Digest
    media_type: str
    size_bytes: int
    subject: Digest | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


class Records:
    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
        try:
            for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
                self._connection.execute(f"PRAGMA {pragma}")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise Internal(
                    f"{path} has schema {version}, newer than this naru's {SCHEMA_VERSION}: use a newer naru"
                )
            if version == 0:
                script = f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                self._connection.executescript(script)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise Internal(f"{path}: {error}") from error
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else reads or writes meanwhile; for a decision about the store that depends on what is recorded."""
        with self._lock:
            yield

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    # repositories and blobs

    def has_repository(self, name: str) -> bool:
        return bool(self._rows("SELECT 1 FROM repository WHERE name = ?", name))

    def repositories(self, after: str, limit: int, *, containing: str = "") -> list[str]:
        """Names, sorted, of repositories that hold a manifest."""
        sql = (
            "SELECT name FROM repository WHERE name > ? AND instr(name, ?) > 0 "
            "AND EXISTS (SELECT 1 FROM manifest WHERE repository = repository.id) ORDER BY name LIMIT ?"
        )
        return [name for (name,) in self._rows(sql, after, containing, limit)]

    def description(self, name: str) -> str:
        """What the image tagged `latest`, or else the last of all tags, says of itself in its annotations."""
        sql = (
            f"SELECT annotations FROM tag JOIN manifest USING (repository, digest) WHERE repository = {_OF} "
            "ORDER BY tag.name = 'latest' DESC, tag.name DESC LIMIT 1"
        )
        found = self._rows(sql, name)
        return str(json.loads(found[0][0]).get(_DESCRIPTION, "")) if found else ""

    def counts(self) -> dict[str, int]:
        """How many there are of each thing."""
        sql = (
            "SELECT (SELECT count(DISTINCT repository) FROM manifest), (SELECT count(*) FROM manifest), "
            "(SELECT count(*) FROM tag), (SELECT count(DISTINCT digest) FROM link)"
        )
        return dict(zip(("repositories", "manifests", "tags", "blobs"), self._rows(sql)[0], strict=True))

    def link(self, name: str, digest: Digest) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO repository (name) VALUES (?)", (name,))
            connection.execute(f"INSERT OR IGNORE INTO link (repository, digest) VALUES ({_OF}, ?)", (name, digest))

    def is_linked(self, name: str, digest: Digest) -> bool:
        return bool(self._rows(f"SELECT 1 FROM link WHERE repository = {_OF} AND digest = ?", name, digest))

    def linked_in(self, digest: Digest) -> list[str]:
        sql = "SELECT name FROM link JOIN repository ON repository.id = link.repository WHERE digest = ? ORDER BY name"
        return [name for (name,) in self._rows(sql, digest)]

    def unlink(self, name: str, digest: Digest) -> bool:
        """True if it was linked."""
        with self._transaction() as connection:
            sql = f"DELETE FROM link WHERE repository = {_OF} AND digest = ?"
            return connection.execute(sql, (name, digest)).rowcount > 0

    def is_referenced(self, digest: Digest) -> bool:
        """True while any repository has it as a blob or as a manifest."""
        sql = "SELECT 1 FROM link WHERE digest = ? UNION ALL SELECT 1 FROM manifest WHERE digest = ? LIMIT 1"
        return bool(self._rows(sql, digest, digest))

    # manifests and tags

    def put_manifest(self, name: str, record: ManifestRecord, tags: Sequence[str]) -> None:
        values = (
            name, record.digest, record.media_type, record.size_bytes, record.subject, record.artifact_type,
            json.dumps(dict(record.annotations)),
        )  # fmt: skip
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO repository (name) VALUES (?)", (name,))
            connection.execute(
                "INSERT INTO manifest (repository, digest, media_type, size_bytes, subject, artifact_type, annotations) "
                f"VALUES ({_OF}, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET media_type = excluded.media_type, "
                "subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations",
                values,
            )
            for tag in tags:
                connection.execute(
                    f"INSERT INTO tag (repository, name, digest) VALUES ({_OF}, ?, ?) "
                    "ON CONFLICT DO UPDATE SET digest = excluded.digest",
                    (name, tag, record.digest),
                )

    def manifest(self, name: str, reference: Digest | str) -> ManifestRecord | None:
        by_tag = f"(SELECT digest FROM tag WHERE repository = {_OF} AND name = ?)"
        which, parameters = ("?", (reference,)) if isinstance(reference, Digest) else (by_tag, (name, reference))
        found = self._rows(f"{_SELECT} WHERE repository = {_OF} AND digest = {which}", name, *parameters)
        return _record(found[0]) if found else None

    def delete_manifest(self, name: str, digest: Digest) -> bool:
        """The manifest and every tag of it are gone when this returns True."""
        with self._transaction() as connection:
            sql = f"DELETE FROM manifest WHERE repository = {_OF} AND digest = ?"
            return connection.execute(sql, (name, digest)).rowcount > 0

    def delete_tag(self, name: str, tag: str) -> bool:
        with self._transaction() as connection:
            sql = f"DELETE FROM tag WHERE repository = {_OF} AND name = ?"
            return connection.execute(sql, (name, tag)).rowcount > 0

    def tags(self, name: str, after: str, limit: int) -> list[str]:
        sql = f"SELECT name FROM tag WHERE repository = {_OF} AND name > ? ORDER BY name LIMIT ?"
        return [tag for (tag,) in self._rows(sql, name, after, limit)]

    def referrers(
        self, name: str, subject: Digest, artifact_type: str | None, after: str, limit: int
    ) -> list[ManifestRecord]:
        where = f"WHERE repository = {_OF} AND subject = ? AND digest > ?"
        parameters: list[Any] = [name, subject, after]
        if artifact_type is not None:
            where += " AND artifact_type = ?"
            parameters.append(artifact_type)
        return [_record(row) for row in self._rows(f"{_SELECT} {where} ORDER BY digest LIMIT ?", *parameters, limit)]


_SELECT = "SELECT digest, media_type, size_bytes, subject, artifact_type, annotations FROM manifest"


def _record(row: tuple[Any, ...]) -> ManifestRecord:
    digest, media_type, size_bytes, subject, artifact_type, annotations = row
    return ManifestRecord(
        Digest(digest),
        media_type,
        size_bytes,
        Digest(subject) if subject else None,
        artifact_type,
        json.loads(annotations),
    )
