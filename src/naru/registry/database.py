"""Where registry and hub keep what they know, and who may touch it when: one Database, on SQLite or PostgreSQL.

What is asked of it is a plain function of a Connection, `def tags(c: Connection, repository: str) -> list[str]`, in SQL that both
engines understand; a Database decides where such a function runs, and as part of what:

- `await database.read(tags, "library/alpine")`: one look at what has been committed;
- `await database.write(put_tag, ...)`: a transaction as if nobody else were there (SQLite has one writer; PostgreSQL serializes, and
  a function may be run again). It is committed, and synced, when `write` returns; if the function raises, nothing happened. So it
  must do nothing but talk to its Connection;
- `await database.scan(count_all)`: a read that may take long, in a thread.

Parameters are written `?`. Tables are made by Alembic: see `migrate`.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sized
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from naru.errors import Conflict, Internal, InvalidArgument, Unavailable
from naru.linux.threads import outlast
from naru.registry.seals import Seals

P = ParamSpec("P")
T = TypeVar("T")
Row = tuple[Any, ...]

_BATCH = 64  # transactions that share a sync
_WAIT_S = 10.0  # for another process that writes
_NO_SEALS = Seals()


class Connection(Protocol):
    dialect: str  # "sqlite" or "postgresql"
    for_claim: str  # what a SELECT of rows to work on ends with, for workers not to wait for one another
    seals: Seals  # for columns that keep secrets

    def rows(self, sql: str, *parameters: Any) -> list[Row]: ...

    def run(self, sql: str, *parameters: Any) -> int:
        """The number of rows that were changed. Raises Conflict where a constraint forbids it."""


class Database(Protocol):
    url: str  # as SQLAlchemy writes them, for migrations
    shared: bool  # other processes may be using it

    async def read(self, ask: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def scan(self, ask: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def write(self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def note(self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `write`, of what may be lost with the machine's power (not with the process)."""

    def close(self) -> None: ...


def one(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None


def marks(values: Sized) -> str:
    """`?, ?, ?` for an IN of these values."""
    return ", ".join("?" * len(values))


class SqliteConnection:
    dialect = "sqlite"
    for_claim = ""

    def __init__(self, path: str, seals: Seals) -> None:
        self.seals = seals
        self._connection = sqlite3.connect(
            path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL", "cache_size = -16384"):
            self._connection.execute(f"PRAGMA {pragma}")

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.IntegrityError as error:
            raise Conflict(str(error)) from error

    def run(self, sql: str, *parameters: Any) -> int:
        try:
            return self._connection.execute(sql, parameters).rowcount
        except sqlite3.IntegrityError as error:
            raise Conflict(str(error)) from error

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        self._connection.close()


class Sqlite:
    """One file, WAL, a writer thread that syncs once for all who write at the same time; reads take microseconds and run inline.

    Belongs to the event loop that reads from it.
    """

    shared = False

    def __init__(self, path: str, seals: Seals) -> None:
        """Raises Internal for a file that is no database."""
        self.url = f"sqlite:///{os.path.abspath(path)}"
        self._path, self._seals = path, seals
        try:
            self._reader = SqliteConnection(path, seals)
            self._writer = SqliteConnection(path, seals)
        except sqlite3.DatabaseError as error:
            raise Internal(f"{path}: {error}") from error
        self._queue: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="database")
        self._thread.start()

    async def read(self, ask: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return ask(self._reader, *args, **kwargs)

    async def scan(self, ask: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def in_thread() -> T:
            connection = SqliteConnection(self._path, self._seals)
            try:
                return ask(connection, *args, **kwargs)
            finally:
                connection.close()

        return await asyncio.to_thread(in_thread)

    async def write(self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._submit(lambda c: change(c, *args, **kwargs), durable=True)

    async def note(self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._submit(lambda c: change(c, *args, **kwargs), durable=False)

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    async def _submit(self, work: Callable[[Connection], T], *, durable: bool) -> T:
        """Also a caller who is cancelled waits: what it asked for has happened, or not, when it goes on."""
        change = _Change(work, durable, asyncio.get_running_loop())
        self._queue.put(change)
        await outlast(change.future)
        result: T = change.future.result()
        return result

    def _work(self) -> None:
        ending = False
        while not ending:
            batch: list[_Change] = []
            change = self._queue.get()
            while change is not None:
                batch.append(change)
                if len(batch) == _BATCH or self._queue.empty():
                    break
                change = self._queue.get()
            ending = change is None
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Change]) -> None:
        outcomes: list[tuple[Any, BaseException | None]]
        try:
            synced = "FULL" if any(change.durable for change in batch) else "NORMAL"
            self._writer.run(f"PRAGMA synchronous = {synced}")
            self._writer.run("BEGIN IMMEDIATE")
            outcomes = [self._try(change.work) for change in batch]
            self._writer.run("COMMIT")
        except BaseException as error:  # nothing happened, and everybody is told
            if self._writer.in_transaction:
                self._writer.run("ROLLBACK")
            outcomes = [(None, error)] * len(batch)
        for change, (result, failure) in zip(batch, outcomes, strict=True):
            change.loop.call_soon_threadsafe(change.settle, result, failure)

    def _try(self, work: Callable[[Connection], Any]) -> tuple[Any, BaseException | None]:
        self._writer.run("SAVEPOINT change")
        try:
            result, failure = work(self._writer), None
        except BaseException as error:
            result, failure = None, error
            self._writer.run("ROLLBACK TO change")
        self._writer.run("RELEASE change")
        return result, failure


class _Change:
    def __init__(self, work: Callable[[Connection], Any], durable: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.durable = durable
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def settle(self, result: Any, failure: BaseException | None) -> None:
        if isinstance(failure, sqlite3.Error):
            self.future.set_exception(Unavailable(f"database: {failure}"))
        elif failure is not None:
            self.future.set_exception(failure)
        else:
            self.future.set_result(result)


def open_database(url: str, seals: Seals = _NO_SEALS) -> Database:
    """A path of a SQLite file, or `postgresql://...`. Raises Internal, Unavailable, InvalidArgument.

    A registry alone keeps no secrets in its tables, and needs no `seals`.
    """
    if "://" not in url:
        return Sqlite(url, seals)
    if url.startswith(("postgresql://", "postgres://")):
        from naru.registry.postgres import Postgres  # noqa: PLC0415 - psycopg is for those who have a server

        return Postgres(url, seals)
    raise InvalidArgument(f"database {url.partition(':')[0]}: is none of SQLite (a path) and postgresql://")
