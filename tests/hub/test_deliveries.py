"""Webhooks as they are delivered: what receivers answer, and what is kept of that."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from handmade import Answer, RawServer, Seen, reply
from peer import peering, with_tables

from naru.hub import jobs
from naru.hub.jobs import Workers
from naru.hub.outbound import Outbound
from naru.hub.peers import deliveries
from naru.hub.peers.deliveries import Deliverer, Delivery, Webhook
from naru.hub.people import accounts
from naru.hub.server import Settings
from naru.registry.database import Connection, Database

MIB = 1 << 20


def hook(c: Connection, url: str, name: str = "ci") -> Webhook:
    now_s = time.time()
    account = accounts.find(c, "ann") or accounts.create(c, "ann", accounts.USER, now_s)
    return deliveries.create(c, account.id, None, name, url, ["push"], now_s, secret="shared")


@asynccontextmanager
async def delivering(folder: Path) -> AsyncIterator[tuple[Database, Workers]]:
    outbound = Outbound(True)
    async with with_tables(folder) as database:
        try:
            yield database, Workers(database, {deliveries.JOB: Deliverer(database, outbound).run})
        finally:
            await outbound.close()


async def answered(folder: Path, answer: Answer) -> Delivery:
    """What is kept of one delivery to a receiver that answers so."""
    async with RawServer(lambda _: answer) as server, delivering(folder) as (database, workers):
        made = await database.write(hook, server.url)
        await database.write(deliveries.ping, made, "ann", time.time())
        assert await workers.step()
        (found,) = await database.read(deliveries.of_webhook, made.id)
        return found


async def test_a_long_answer_is_an_answer(tmp_path: Path) -> None:
    found = await answered(tmp_path, reply(200, b"a" * MIB))
    assert (found.status, found.attempts, len(found.answer)) == (deliveries.DELIVERED, 1, 1000)
    assert found.answer.startswith("200 X\naaa")


async def test_one_that_says_yes_and_breaks_off_has_said_yes(tmp_path: Path) -> None:
    found = await answered(tmp_path, reply(200, b"so", content_length="100"))
    assert (found.status, found.answer) == (deliveries.DELIVERED, "200 X")


async def test_what_no_database_takes_is_not_kept(tmp_path: Path) -> None:
    found = await answered(tmp_path, b"HTTP/1.1 500 so \xff\r\nContent-Length: 9\r\n\r\na\x00b\xff\x1b[2Jc")
    assert found.status == deliveries.WAITING and found.finished_at is None
    assert all(one.isprintable() or one == "\n" for one in found.answer) and "a b" in found.answer


async def test_each_webhook_keeps_its_own_history(tmp_path: Path) -> None:
    async with delivering(tmp_path) as (database, _):
        quiet = await database.write(hook, "http://127.0.0.1:9/", "quiet")
        busy = await database.write(hook, "http://127.0.0.1:9/", "busy")

        def deliver(c: Connection) -> None:
            deliveries.ping(c, quiet, "ann", 0.0)
            c.run("UPDATE delivery SET status = 'delivered'")
            for _ in range(250):
                deliveries.ping(c, busy, "ann", 0.0)
                c.run("UPDATE delivery SET status = 'delivered'")
            deliveries.ping(c, quiet, "ann", 0.0)

        await database.write(deliver)
        assert len(await database.read(deliveries.of_webhook, quiet.id, 1000)) == 2
        assert len(await database.read(deliveries.of_webhook, busy.id, 1000)) == 200


async def test_once_more_means_now(tmp_path: Path) -> None:
    statuses = [500, 500, 200]

    def answer(_: Seen) -> Answer:
        return reply(statuses.pop(0))

    async with RawServer(answer) as server, delivering(tmp_path) as (database, workers):
        made = await database.write(hook, server.url)
        await database.write(deliveries.ping, made, "ann", time.time())
        assert await workers.step() and not await workers.step()  # it waits to be tried again
        (found,) = await database.read(deliveries.of_webhook, made.id)
        await database.write(deliveries.redeliver, found.id, time.time())
        assert await workers.step() and not await workers.step()
        await database.write(deliveries.redeliver, found.id, time.time())
        assert await workers.step()
        (found,) = await database.read(deliveries.of_webhook, made.id)
        assert (found.status, found.attempts) == (deliveries.DELIVERED, 3)
        assert await database.read(jobs.counts) == {}


async def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    async with delivering(tmp_path) as (database, _):
        assert "shared" not in repr(await database.write(hook, "http://127.0.0.1:9/"))


async def test_a_repository_is_where_its_page_is(hub_settings: Settings) -> None:
    """In what is sent, since whoever gets it is elsewhere."""
    for url, expected in (("https://hub.example/", "https://hub.example/r/ann/app"), ("", "/r/ann/app")):
        async with peering(dataclasses.replace(hub_settings, url=url)) as peer:
            if url:
                ann = await peer.user("ann")
                await peer.hub.database.write(hook, "http://127.0.0.1:9/")
            await peer.push("ann/app", "v1", ann)
            (webhook,) = await peer.hub.database.read(lambda c: deliveries.of_namespace(c, accounts.get(c, "ann").id))
            sent, *_ = await peer.hub.database.read(deliveries.of_webhook, webhook.id)
            assert json.loads(sent.body)["repository"]["url"] == expected
