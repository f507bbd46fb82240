"""PostgreSQL as a Database: a pool of connections, each used by a thread for as long as one function takes.

Writing functions run at isolation level SERIALIZABLE and are run again when the server finds two that cannot both have been alone
(PostgreSQL manual, 13.2.3): what is right with SQLite's one writer is right here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from naru.errors import Conflict, Unavailable
from naru.linux.threads import finish_in_thread
from naru.registry.database import Connection, Row
from naru.registry.seals import Seals

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE = 10
_WAIT_S = 10.0
_TRIES = 12


@lru_cache(1024)
def _placeholders(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


class PostgresConnection:
    dialect = "postgresql"
    for_claim = " FOR UPDATE SKIP LOCKED"

    def __init__(self, connection: psycopg.Connection[Row], seals: Seals) -> None:
        self._connection = connection
        self.seals = seals

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        return self._execute(sql, parameters).fetchall()

    def run(self, sql: str, *parameters: Any) -> int:
        return self._execute(sql, parameters).rowcount

    def _execute(self, sql: str, parameters: tuple[Any, ...]) -> psycopg.Cursor[Row]:
        try:
            return self._connection.execute(_placeholders(sql).encode(), parameters or None, prepare=True)
        except errors.IntegrityError as error:
            raise Conflict(str(error).splitlines()[0]) from error


class Postgres:
    shared = True

    def __init__(self, url: str, seals: Seals) -> None:
        """Raises Unavailable if nobody answers there."""
        self._seals = seals
        self.url = "postgresql+psycopg://" + url.partition("://")[2]
        self._readers = ConnectionPool(url, min_size=1, max_size=_AT_ONCE, open=False, configure=_for_reading)
        self._writers = ConnectionPool(url, min_size=1, max_size=_AT_ONCE, open=False, configure=_for_writing)
        try:
            for pool in (self._readers, self._writers):
                pool.open(wait=True, timeout=_WAIT_S)
        except PoolTimeout as error:
            self.close()
            raise Unavailable(f"database {_without_password(url)}: {error}") from error

    async def read(self, ask: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def in_thread() -> T:
            with self._readers.connection() as connection:
                return ask(PostgresConnection(connection, self._seals), *args, **kwargs)

        return await _told(in_thread)

    scan = read

    async def write(self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def once() -> T:
            with self._writers.connection() as connection:  # commits, or rolls back if it raises
                return change(PostgresConnection(connection, self._seals), *args, **kwargs)

        return await _told(lambda: _again(once))

    note = write

    def close(self) -> None:
        for pool in (self._readers, self._writers):
            pool.close()


async def _told(work: Callable[[], T]) -> T:
    try:
        return await finish_in_thread(work)
    except (psycopg.Error, PoolTimeout) as error:
        raise Unavailable(f"database: {error}") from error


def _again(once: Callable[[], T]) -> T:
    """Raises what `once` does; after so many tries also SerializationFailure."""
    for attempt in range(_TRIES):
        try:
            return once()
        except (errors.SerializationFailure, errors.DeadlockDetected):
            if attempt == _TRIES - 1:
                raise
            time.sleep(random.uniform(0, 0.005 * 2 ** min(attempt, 6)))
    raise AssertionError


def _for_reading(connection: psycopg.Connection[Row]) -> None:
    connection.autocommit = True


def _for_writing(connection: psycopg.Connection[Row]) -> None:
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
