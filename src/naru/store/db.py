"""The engine's one database: schema, migrations, transactions.

    naru.db
     ├── meta         key → value                         schema version
     ├── lease        id → created_ns                     protects blobs of a running pull or build from collection
     ├── lease_blob   (lease, digest)
     ├── snapshot     chain_id → dir, parent, size        committed layers, each once
     ├── active       key → dir, parent chain             writable snapshots: containers and running build steps
     ├── image_name   reference → descriptor, time        tags: the roots of everything in content/
     ├── image_parent digest → digest                     what an image was committed on
     ├── container    id → name, record                   record: JSON of containers.records.Container
     ├── network      id → name, record
     ├── endpoint     (network, container) → record       addresses in use: what IPAM rebuilds itself from
     ├── volume       name → record
     └── build_cache  key → image config diff, chain, …   results of build steps

Records are JSON text in our own words, written and read by the folder that owns them; Docker's names do not occur here.
SQLite in WAL mode. `durable` transactions are synced before they return, others when `wait_durable` does: what was acknowledged
survives a power cut.
The others survive a crash of the process, and are for facts that the kernel or the disk can tell again.
A database that cannot be read is put aside as `naru.db.damaged-<n>` and a new one begun: it is never a reason not to start.
On a full disk, transactions that begin with an UPDATE or a DELETE are done in the room of the reserve; those that add
something are refused.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from naru.errors import Internal, Unsupported
from naru.linux.threads import finish_in_thread
from naru.store.reserve import Reserve

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE lease (id TEXT PRIMARY KEY, created_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lease_blob (lease TEXT NOT NULL REFERENCES lease ON DELETE CASCADE, digest TEXT NOT NULL, PRIMARY KEY (lease, digest)) WITHOUT ROWID;
CREATE TABLE snapshot (chain_id TEXT PRIMARY KEY, dir INTEGER NOT NULL UNIQUE, parent TEXT, diff_id TEXT NOT NULL, size_bytes INTEGER NOT NULL, created_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX snapshot_parent ON snapshot (parent);
CREATE TABLE active (key TEXT PRIMARY KEY, dir INTEGER NOT NULL UNIQUE, parent TEXT) WITHOUT ROWID;
CREATE INDEX active_parent ON active (parent);
CREATE TABLE image_name (reference TEXT PRIMARY KEY, digest TEXT NOT NULL, descriptor TEXT NOT NULL, created_ns INTEGER NOT NULL, updated_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX image_name_digest ON image_name (digest);
CREATE TABLE container (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE endpoint (network TEXT NOT NULL, container TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (network, container)) WITHOUT ROWID;
CREATE INDEX endpoint_container ON endpoint (container);
CREATE TABLE volume (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE build_cache (key TEXT PRIMARY KEY, parent TEXT, chain_id TEXT, record TEXT NOT NULL, created_ns INTEGER NOT NULL, used_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX build_cache_parent ON build_cache (parent);
"""

# Each entry brings the schema from its index to the next version.
_MIGRATIONS: list[str] = [
    _SCHEMA,
    "CREATE TABLE image_parent (digest TEXT PRIMARY KEY, parent TEXT NOT NULL) WITHOUT ROWID;",
]
# Primary result codes (https://www.sqlite.org/rescode.html) that tell of the disk, not of what is in the file.
_DISK = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
}  # fmt: skip
_FULL_BYTES = 1 << 16  # less room than this, and an error of the disk means that it is full
_ADDING = ("INSERT", "REPLACE")


class Database:
    """Calls are short and run where they are made; a lock makes them safe from threads too. Raises Internal when the disk is
    full."""

    def __init__(self, path: str, reserve: Reserve | None = None) -> None:
        self.path = path
        self.damaged: str | None = None  # where an unreadable predecessor was put aside
        self._reserve = reserve
        self._lock = threading.RLock()
        self._syncing = asyncio.Lock()
        self._next_sync: asyncio.Future[None] | None = None  # has not begun yet
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DISK:
                self._put_aside()
            elif reserve is None or not reserve.give_up():
                raise Internal(f"{path}: {error}") from error
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("quick_check failed")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _migrate(connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise Unsupported(
                f"naru.db has schema {version}, newer than this naru's {SCHEMA_VERSION}: use a newer naru"
            )
        for step in range(version, SCHEMA_VERSION):
            connection.executescript(f"BEGIN IMMEDIATE; {_MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;")

    def _put_aside(self) -> None:
        number = 1
        while os.path.exists(f"{self.path}.damaged-{number}"):
            number += 1
        self.damaged = f"{self.path}.damaged-{number}"
        os.rename(self.path, self.damaged)
        for suffix in ("-wal", "-shm"):
            if os.path.exists(self.path + suffix):
                os.rename(self.path + suffix, self.damaged + suffix)

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, *parameters: Any) -> tuple[Any, ...] | None:
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(sql, parameters).fetchone()
            return found

    def write(self, sql: str, *parameters: Any, durable: bool = False) -> int:
        """One statement in a transaction of its own; returns the number of rows it changed."""
        return self.write_each(sql, [parameters], durable=durable)

    def write_each(self, sql: str, rows: Sequence[tuple[Any, ...]], *, durable: bool = False) -> int:
        """The statement with each of these parameters, in one transaction; returns the number of rows changed together."""
        if len(rows) == 1 and not durable:
            # Alone it is a transaction by itself: one call and not three, each of which waits for the GIL
            with self._lock:
                self._check_room(sql)
                try:
                    return self._connection.execute(sql, rows[0]).rowcount
                except sqlite3.OperationalError as error:
                    if not self._is_full(error):
                        raise
        with self.transaction(durable=durable) as execute:
            return sum(execute(sql, *row) for row in rows)

    async def wait_durable(self) -> None:
        """Everything written until now survives a power cut when this returns. One sync does for all who wait for the next. Raises
        Internal."""
        if self._next_sync is None:
            self._next_sync = asyncio.ensure_future(self._sync())
        await asyncio.shield(self._next_sync)

    async def _sync(self) -> None:
        async with self._syncing:
            self._next_sync = None  # what is written from now on it may miss
            try:
                await finish_in_thread(self._sync_log)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise self._no_space() from error
                raise Internal(f"sync {self.path}-wal: {error.strerror}") from error

    def _sync_log(self) -> None:
        log = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(log)
        finally:
            os.close(log)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Callable[..., int]]:
        """Yields execute(sql, *parameters) → rows changed. All or nothing; do not await inside."""
        done: list[tuple[str, tuple[Any, ...]]] = []

        def execute(sql: str, *parameters: Any) -> int:
            if not done:
                self._check_room(sql)
            count = self._do(done, sql, parameters)
            done.append((sql, parameters))
            return count

        with self._lock:
            if durable:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield execute
                    self._do(done, "COMMIT")
                except BaseException:
                    self._roll_back()
                    raise
            finally:
                if durable:
                    self._connection.execute("PRAGMA synchronous = NORMAL")

    def _check_room(self, sql: str) -> None:
        """Nothing is added while the reserve is in use. Raises Internal."""
        if sql.startswith(_ADDING) and self._reserve is not None and not self._reserve.take_back():
            raise self._no_space()

    def _do(self, done: list[tuple[str, tuple[Any, ...]]], sql: str, parameters: tuple[Any, ...] = ()) -> int:
        """The statement; if the disk turns out to be full, in the room of the reserve, after all that was done before."""
        try:
            return self._connection.execute(sql, parameters).rowcount
        except sqlite3.OperationalError as error:
            if not self._is_full(error):
                raise
            first = done[0][0] if done else sql
            if first.startswith(_ADDING) or self._reserve is None or not self._reserve.give_up(f"{self.path}-wal"):
                raise self._no_space() from error
        self._roll_back()
        self._connection.execute("BEGIN IMMEDIATE")
        for each in done:
            self._connection.execute(*each)
        return self._connection.execute(sql, parameters).rowcount

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # SQLite may have done it by itself
            self._connection.execute("ROLLBACK")

    def _is_full(self, error: sqlite3.Error) -> bool:
        if _code(error) != sqlite3.SQLITE_IOERR:
            return _code(error) == sqlite3.SQLITE_FULL
        room = os.statvfs(os.path.dirname(self.path))
        return room.f_bavail * room.f_frsize < _FULL_BYTES

    def _no_space(self) -> Internal:
        return Internal(f"write {self.path}: {os.strerror(errno.ENOSPC).lower()}")


def _code(error: sqlite3.Error) -> int:
    """The primary one; SQLITE_CORRUPT for errors that are not SQLite's."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
