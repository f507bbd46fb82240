"""Work that is done after the answer: a queue in the database, which every instance works at.

    job   id → kind, subject, payload, due_at, leased_until, attempts, error

A worker leases a job, and renews the lease while it is at it; if it dies, another takes the job up when the lease is over. Handlers are
named by kind, may therefore run twice, and say when to try again by raising. Some take hours: there are workers who leave these alone.
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

from naru.errors import NaruError
from naru.registry.database import Connection, Database, Row, marks

log = logging.getLogger("naru.hub")

_LEASE_S = 600.0
_IDLE_S = 1.0
_AT_ONCE = 4
_OF_SLOW = 2  # of these
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


def renew(c: Connection, job: int, now_s: float) -> None:
    """It takes longer."""
    c.run("UPDATE job SET leased_until = ? WHERE id = ?", now_s + _LEASE_S, job)


def finish(c: Connection, job: int) -> None:
    c.run("DELETE FROM job WHERE id = ?", job)


def put_off(c: Connection, job: int, due_at: float, error: str) -> None:
    c.run("UPDATE job SET due_at = ?, leased_until = 0, error = ? WHERE id = ?", due_at, error[:1000], job)


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
            except NaruError as error:
                log.error("jobs: %s", error)
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
            async with self._leased(job):
                await self._handlers[job.kind](job)
        except Retry as again:
            log.info("job %s of %s: %s", job.kind, job.subject, again)
            if again.after_s is not None:
                await self._database.write(put_off, job.id, time.time() + again.after_s, str(again))
                return True
        except NaruError as error:
            log.error("job %s of %s: %s", job.kind, job.subject, error)
        except Exception:  # the root of a job: one that is broken must not stop the others
            log.exception("job %s of %s", job.kind, job.subject)
        await self._database.write(finish, job.id)
        return True

    @asynccontextmanager
    async def _leased(self, job: Job) -> AsyncIterator[None]:
        """Nobody else takes it up meanwhile."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(_LEASE_S / 4)
                with suppress(NaruError):  # there are three more times
                    await self._database.note(renew, job.id, time.time())

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


def _any_due(c: Connection, kinds: Sequence[str], now_s: float) -> bool:
    sql = f"SELECT 1 FROM job WHERE due_at <= ? AND leased_until < ? AND kind IN ({marks(kinds)}) LIMIT 1"
    return bool(c.rows(sql, now_s, now_s, *kinds))
