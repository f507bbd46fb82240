"""Work that is done after the answer: a queue in the database, which every instance works at.

    job   id → kind, subject, payload, due_at, leased_until, attempts, error

A worker leases a job, and renews the lease while it is at it; if it dies, another takes the job up when the lease is over. `attempts`
tells whose lease it is: one that slept through its own has nothing to say any more. Handlers are named by kind, may therefore run twice,
and say when to try again by raising; what ends because the database or the store is not available is tried again as well. Some take hours:
there are workers who leave these alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from naru.errors import NaruError, Unavailable
from naru.registry.database import Connection, Database, Row, marks

log = logging.getLogger("naru.hub")

_LEASE_S = 600.0
_IDLE_S = 1.0
_AT_ONCE = 4
_OF_SLOW = 2  # of these
_TRIES = 50  # while something is not available: about two days
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """`attempts`: those before this one."""

    id: int
    kind: str
    subject: str
    payload: Payload
    attempts: int
    error: str
    due_at: float


class Retry(Exception):
    """Not done: try again after so many seconds; None: never."""

    def __init__(self, reason: str, after_s: float | None) -> None:
        super().__init__(reason)
        self.after_s = after_s


Handler = Callable[[Job], Awaitable[None]]


def backoff_s(first_s: float, attempts: int, most_s: float) -> float:
    """Twice as long each time, from the first on; however many there were."""
    return float(min(first_s * 2 ** min(attempts, 30), most_s))


def add(c: Connection, kind: str, subject: str, payload: Payload, now_s: float, *, due_at: float | None = None) -> None:
    c.run(
        "INSERT INTO job (kind, subject, payload, due_at, leased_until, attempts, error, created_at) VALUES (?, ?, ?, ?, 0, 0, '', ?)",
        kind, subject, json.dumps(payload), due_at or now_s, now_s,
    )  # fmt: skip


def add_once(
    c: Connection, kind: str, subject: str, payload: Payload, now_s: float, *, due_at: float | None = None
) -> None:
    """Unless there is one of this kind about this subject that has not begun."""
    if not c.rows("SELECT 1 FROM job WHERE kind = ? AND subject = ? AND leased_until = 0 LIMIT 1", kind, subject):
        add(c, kind, subject, payload, now_s, due_at=due_at)


def add_anew(c: Connection, kind: str, subject: str, payload: Payload, now_s: float) -> None:
    """At once, and as if nothing had been tried yet: the one that waits is that one, if there is one."""
    sql = "UPDATE job SET due_at = ?, attempts = 0, payload = ? WHERE kind = ? AND subject = ? AND leased_until = 0"
    if not c.run(sql, now_s, json.dumps(payload), kind, subject):
        add(c, kind, subject, payload, now_s)


def lease(c: Connection, kinds: Sequence[str], now_s: float) -> Job | None:
    found = c.rows(
        "SELECT id, kind, subject, payload, attempts, error, due_at FROM job WHERE due_at <= ? AND leased_until < ? "
        f"AND kind IN ({marks(kinds)}) ORDER BY due_at LIMIT 1{c.for_claim}",
        now_s, now_s, *kinds,
    )  # fmt: skip
    if not found:
        return None
    job = _job(found[0])
    c.run("UPDATE job SET leased_until = ?, attempts = attempts + 1 WHERE id = ?", now_s + _LEASE_S, job.id)
    return job


def _job(row: Row) -> Job:
    values = list(row)
    values[3] = json.loads(values[3])
    return Job(*values)


_MINE = "id = ? AND attempts = ?"


def _lease_of(job: Job) -> tuple[int, int]:
    return job.id, job.attempts + 1


def renew(c: Connection, job: Job, now_s: float) -> None:
    """It takes longer."""
    c.run(f"UPDATE job SET leased_until = ? WHERE {_MINE}", now_s + _LEASE_S, *_lease_of(job))


def finish(c: Connection, job: Job) -> None:
    c.run(f"DELETE FROM job WHERE {_MINE}", *_lease_of(job))


def put_off(c: Connection, job: Job, due_at: float, error: str) -> None:
    sql = f"UPDATE job SET due_at = ?, leased_until = 0, error = ? WHERE {_MINE}"
    c.run(sql, due_at, error[:1000], *_lease_of(job))


def waiting(c: Connection, limit: int = 100) -> list[Job]:
    sql = "SELECT id, kind, subject, payload, attempts, error, due_at FROM job ORDER BY due_at LIMIT ?"
    return [_job(row) for row in c.rows(sql, limit)]


def counts(c: Connection) -> dict[str, int]:
    return {
        str(kind): int(count) for kind, count in c.rows("SELECT kind, count(*) FROM job GROUP BY kind ORDER BY kind")
    }


class Workers:
    """`slow`: the kinds of which two are done at a time, at most."""

    def __init__(self, database: Database, handlers: Mapping[str, Handler], slow: Collection[str] = ()) -> None:
        self._database = database
        self._handlers = dict(handlers)
        self._quick = tuple(kind for kind in handlers if kind not in slow)
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """There may be something to do."""
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(_AT_ONCE):
                group.create_task(self._work(tuple(self._handlers) if number < _OF_SLOW else self._quick))

    async def _work(self, kinds: Sequence[str]) -> None:
        while True:
            try:
                worked = await self.step(kinds)
            except Exception as error:  # whatever is the matter with the database: the next job may be spared
                log.error("jobs: %s", error, exc_info=not isinstance(error, NaruError))
                worked = False
            if not worked:
                self._awake.clear()
                try:
                    async with asyncio.timeout(_IDLE_S):
                        await self._awake.wait()
                except TimeoutError:
                    continue

    async def step(self, kinds: Sequence[str] = ()) -> bool:
        """Do one job that is due, of these kinds (or any); False if none is."""
        kinds = kinds or tuple(self._handlers)
        if not await self._database.read(_any_due, kinds, time.time()):
            return False
        job = await self._database.write(lease, kinds, time.time())
        if job is None:
            return False
        try:
            again = await self._outcome(job)
        except asyncio.CancelledError:
            with suppress(NaruError):  # its lease will end by itself
                await self._database.note(put_off, job, time.time(), "the hub was stopped")
            raise
        if again is None:
            await self._database.write(finish, job)
        else:
            after_s, why = again
            await self._database.write(put_off, job, time.time() + after_s, why)
        return True

    async def _outcome(self, job: Job) -> tuple[float, str] | None:
        """Do it. After how long to do it again, and why; None: never."""
        what = f"job {job.kind} of {job.subject}"
        try:
            async with self._leased(job):
                await self._handlers[job.kind](job)
        except Retry as again:
            log.info("%s: %s", what, again)
            return None if again.after_s is None else (again.after_s, str(again))
        except Unavailable as error:
            log.error("%s: %s", what, error)
            return (backoff_s(10.0, job.attempts, 3600.0), str(error)) if job.attempts + 1 < _TRIES else None
        except NaruError as error:
            log.error("%s: %s", what, error)
        except Exception:  # the root of a job: one that is broken must not stop the others
            log.exception(what)
        return None

    @asynccontextmanager
    async def _leased(self, job: Job) -> AsyncIterator[None]:
        """Nobody else takes it up meanwhile."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(_LEASE_S / 4)
                with suppress(NaruError):  # there are three more times
                    await self._database.note(renew, job, time.time())

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)  # its end, and not ours, if we are cancelled too


def _any_due(c: Connection, kinds: Sequence[str], now_s: float) -> bool:
    sql = f"SELECT 1 FROM job WHERE due_at <= ? AND leased_until < ? AND kind IN ({marks(kinds)}) LIMIT 1"
    return bool(c.rows(sql, now_s, now_s, *kinds))
