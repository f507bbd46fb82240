"""The queue: leases, trying again, and that long work does not stand in the way of short."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from peer import with_tables
from shelf import until

from naru.hub import jobs
from naru.hub.jobs import Handler, Job, Retry, Workers
from naru.registry.database import Database


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
        await database.write(jobs.renew, job.id, now_s + 500)
        assert await database.write(jobs.lease, ("a",), now_s + 1000) is None
        again = await database.write(jobs.lease, ("a",), now_s + 2000)
        assert again is not None and (again.id, again.attempts) == (job.id, 1)
        await database.write(jobs.add_once, "a", "", {}, now_s)
        await database.write(jobs.add_once, "a", "", {}, now_s)
        assert await database.read(jobs.counts) == {"a": 2}  # the one that has begun, and one more
