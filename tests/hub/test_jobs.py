"""The queue: leases, trying again, and that long work does not stand in the way of short."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from peer import with_tables
from shelf import until

from naru.errors import Unavailable
from naru.hub import jobs
from naru.hub.jobs import Handler, Job, Retry, Workers
from naru.registry.database import Connection, Database


async def add(database: Database, kind: str, subject: str = "", due_in_s: float = 0.0) -> None:
    now_s = time.time()
    await database.write(jobs.add, kind, subject, {"a": 1}, now_s, due_at=now_s + due_in_s)


async def test_what_fails_is_tried_again_and_what_breaks_is_given_up(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        seen: list[int] = []

        async def fails(job: Job) -> None:
            seen.append(job.attempts)
            if job.attempts < 2:
                raise Retry("not now", 0.0)

        async def breaks(job: Job) -> None:
            raise ZeroDivisionError

        async def never(job: Job) -> None:
            raise Retry("no", None)

        workers = Workers(database, {"fails": fails, "breaks": breaks, "never": never})
        for kind in ("fails", "breaks", "never"):
            await add(database, kind)
        await add(database, "fails", "later", 1000.0)
        await add(database, "nobody's")
        while await workers.step():
            pass
        assert seen == [0, 1, 2]
        left = {(job.kind, job.subject) for job in await database.read(jobs.waiting)}
        assert left == {("fails", "later"), ("nobody's", "")}


async def test_long_work_leaves_workers_to_short_work(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        gate, busy, done = asyncio.Event(), asyncio.Semaphore(0), asyncio.Event()
        at_it = most = 0

        async def slow(job: Job) -> None:
            nonlocal at_it, most
            at_it += 1
            most = max(most, at_it)
            busy.release()
            await gate.wait()
            at_it -= 1

        async def quick(job: Job) -> None:
            done.set()

        async def all_done() -> bool:
            return not await database.read(jobs.counts)

        handlers: dict[str, Handler] = {"slow": slow, "quick": quick}
        workers = Workers(database, handlers, ("slow",))
        for _ in range(6):
            await add(database, "slow")
        running = asyncio.create_task(workers.run())
        try:
            async with asyncio.timeout(10):
                await busy.acquire()
                await busy.acquire()
                await add(database, "quick")
                workers.wake()
                await done.wait()  # though the others wait for the gate
                gate.set()
                await until(all_done)
            assert most == 2
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_lease_ends_and_can_be_renewed(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        await add(database, "a")
        now_s = time.time()
        job = await database.write(jobs.lease, ("a",), now_s)
        assert job is not None and await database.write(jobs.lease, ("a",), now_s) is None
        await database.write(jobs.renew, job, now_s + 500)
        assert await database.write(jobs.lease, ("a",), now_s + 1000) is None
        again = await database.write(jobs.lease, ("a",), now_s + 2000)
        assert again is not None and (again.id, again.attempts) == (job.id, 1)
        await database.write(jobs.add_once, "a", "", {}, now_s)
        await database.write(jobs.add_once, "a", "", {}, now_s)
        assert await database.read(jobs.counts) == {"a": 2}  # the one that has begun, and one more


async def test_what_is_not_available_is_tried_again(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:

        async def away(job: Job) -> None:
            raise Unavailable("database: it is restarting")

        workers = Workers(database, {"away": away})
        await add(database, "away")
        assert await workers.step() and not await workers.step()
        (job,) = await database.read(jobs.waiting)
        assert (job.attempts, job.error) == (1, "database: it is restarting") and 5 < job.due_at - time.time() <= 10
        await database.write(lambda c: c.run("UPDATE job SET attempts = 49, due_at = 0"))
        assert await workers.step()  # but not for ever
        assert await database.read(jobs.waiting) == []
    assert [jobs.backoff_s(5.0, attempts, 600.0) for attempts in (0, 1, 2, 7, 5000)] == [5, 10, 20, 600, 600]


async def test_whose_lease_is_over_has_nothing_to_say(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        await add(database, "a")
        now_s = time.time()
        slept = await database.write(jobs.lease, ("a",), now_s)
        mine = await database.write(jobs.lease, ("a",), now_s + 1000)
        assert slept is not None and mine is not None and slept.id == mine.id
        await database.write(jobs.finish, slept)
        await database.write(jobs.put_off, slept, 0.0, "late")
        await database.write(jobs.renew, slept, now_s + 5000)
        assert await database.write(jobs.lease, ("a",), now_s + 1500) is None  # still mine
        await database.write(jobs.put_off, mine, now_s + 1500, "again")
        assert await database.write(jobs.lease, ("a",), now_s + 1500) is not None


async def test_workers_outlast_a_database_in_trouble(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        done = asyncio.Event()

        async def quick(job: Job) -> None:
            done.set()

        await database.write(lambda c: c.run("ALTER TABLE job RENAME TO elsewhere"))
        running = asyncio.create_task(Workers(database, {"quick": quick}).run())
        try:
            await asyncio.sleep(0.1)
            assert not running.done()
            await database.write(lambda c: c.run("ALTER TABLE elsewhere RENAME TO job"))
            await add(database, "quick")
            await asyncio.wait_for(done.wait(), 10)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_hub_that_stops_gives_its_jobs_back(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        begun = asyncio.Event()

        async def long(job: Job) -> None:
            begun.set()
            await asyncio.Event().wait()

        await add(database, "long")
        running = asyncio.create_task(Workers(database, {"long": long}).run())
        await asyncio.wait_for(begun.wait(), 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()
        again = await database.write(jobs.lease, ("long",), time.time())
        assert again is not None and (again.attempts, again.error) == (1, "the hub was stopped")


async def test_a_worker_that_is_stopped_while_its_lease_is_renewed_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_LEASE_S", 0.04)
    async with with_tables(tmp_path) as database:
        slow, begun, go_on = threading.Event(), asyncio.Event(), asyncio.Event()

        async def handler(job: Job) -> None:
            begun.set()
            await go_on.wait()

        def hold(_: Connection) -> None:
            slow.wait(10)

        await add(database, "a")
        step = asyncio.create_task(Workers(database, {"a": handler}).step())
        await begun.wait()
        holding = asyncio.create_task(database.write(hold))  # the one writer is busy: a renewal waits for it
        await asyncio.sleep(0.05)
        go_on.set()  # the handler ends, and its worker waits for the renewal
        await asyncio.sleep(0.05)
        step.cancel()
        await asyncio.sleep(0)
        slow.set()
        await asyncio.gather(step, holding, return_exceptions=True)
        assert step.cancelled()


async def test_anew_is_at_once_and_as_if_nothing_had_been_tried(tmp_path: Path) -> None:
    async with with_tables(tmp_path) as database:
        await add(database, "a", "x")
        now_s = time.time()
        job = await database.write(jobs.lease, ("a",), now_s)
        assert job is not None
        await database.write(jobs.put_off, job, now_s + 5000, "not now")
        await database.write(jobs.add_anew, "a", "x", {"b": 2}, now_s)
        (waiting,) = await database.read(jobs.waiting)
        assert (waiting.id, waiting.attempts, waiting.due_at, waiting.payload) == (job.id, 0, now_s, {"b": 2})
        await database.write(jobs.lease, ("a",), now_s)
        await database.write(jobs.add_anew, "a", "x", {}, now_s)  # one that has begun is another
        assert await database.read(jobs.counts) == {"a": 2}
