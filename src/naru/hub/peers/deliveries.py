"""Webhooks: where events are sent, and how that went. The form of what is sent is `webhooks`', where it may go `webhooktargets`'.

webhook       id → namespace, repository (of all if null), url, secret (sealed), events
 └── delivery     id → event, body, attempts, status, answer      each one that was due; a job delivers it
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from naru.errors import Forbidden, InvalidArgument, NotFound, Unavailable
from naru.hub import address, jobs
from naru.hub.catalog import repositories
from naru.hub.jobs import Job, Retry
from naru.hub.outbound import Outbound, read_beginning
from naru.hub.peers import webhooks
from naru.hub.peers.webhooks import Event, HookRepository
from naru.registry.database import Connection, Database, Row, one

EVENTS = ("push", "delete", "scan", "replication", "ping")
FORMATS = ("naru", "docker-hub")
JOB = "deliver"
WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"
_ANSWER_CHARACTERS, _ANSWER_BYTES = 1000, 4000
_KEPT = 200  # deliveries of a webhook


@dataclass(frozen=True, slots=True)
class Webhook:
    id: int
    namespace: int
    repository: int | None
    name: str
    url: str
    secret: str = field(repr=False)
    events: tuple[str, ...]
    format: str
    is_active: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    id: int
    webhook: int
    event: str
    body: str
    attempts: int
    status: str
    answer: str
    created_at: float
    finished_at: float | None


_COLUMNS = "id, namespace, repository, name, url, secret, events, format, is_active, created_at"
_DELIVERY = "id, webhook, event, body, attempts, status, answer, created_at, finished_at"


def _webhook(c: Connection, row: Row) -> Webhook:
    values = list(row)
    values[5] = c.seals.open(values[5])
    values[6], values[8] = tuple(json.loads(values[6])), bool(values[8])
    return Webhook(*values)


def create(
    c: Connection,
    namespace: int,
    repository: int | None,
    name: str,
    url: str,
    events: Sequence[str],
    now_s: float,
    *,
    secret: str = "",
    format: str = "naru",
) -> Webhook:
    """The caller has checked the URL. Raises InvalidArgument."""
    if unknown := [event for event in events if event not in EVENTS] or (not events and ["none"]):
        raise InvalidArgument(f"event {unknown[0][:50]!r}: must be one of {', '.join(EVENTS)}")
    if format not in FORMATS:
        raise InvalidArgument(f"format {format[:50]!r}: must be one of {', '.join(FORMATS)}")
    ((made,),) = c.rows(
        "INSERT INTO webhook (namespace, repository, name, url, secret, events, format, is_active, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?) RETURNING id",
        namespace, repository, name[:100], url, c.seals.seal(secret or secrets.token_urlsafe(24)), json.dumps(list(events)), format, now_s,
    )  # fmt: skip
    return get(c, int(made))


def get(c: Connection, webhook: int) -> Webhook:
    """Raises NotFound."""
    found = one(c.rows(f"SELECT {_COLUMNS} FROM webhook WHERE id = ?", webhook))
    if found is None:
        raise NotFound(f"webhook {webhook}: not found")
    return _webhook(c, found)


def of_namespace(c: Connection, namespace: int) -> list[Webhook]:
    sql = f"SELECT {_COLUMNS} FROM webhook WHERE namespace = ? AND repository IS NULL ORDER BY id"
    return [_webhook(c, row) for row in c.rows(sql, namespace)]


def of_repository(c: Connection, repository: int) -> list[Webhook]:
    return [
        _webhook(c, row)
        for row in c.rows(f"SELECT {_COLUMNS} FROM webhook WHERE repository = ? ORDER BY id", repository)
    ]


def set_active(c: Connection, webhook: int, is_active: bool) -> None:
    c.run("UPDATE webhook SET is_active = ? WHERE id = ?", int(is_active), webhook)


def delete(c: Connection, webhook: int) -> None:
    c.run("DELETE FROM webhook WHERE id = ?", webhook)


def of_webhook(c: Connection, webhook: int, limit: int = 50) -> list[Delivery]:
    sql = f"SELECT {_DELIVERY} FROM delivery WHERE webhook = ? ORDER BY id DESC LIMIT ?"
    return [Delivery(*row) for row in c.rows(sql, webhook, limit)]


def publish(c: Connection, now_s: float, event: str, name: str, actor: str, **data: Any) -> None:
    """Something has happened to a repository: deliver it to whoever wants to know, after this transaction."""
    profile = repositories.get(c, name)
    sql = f"SELECT {_COLUMNS} FROM webhook WHERE is_active = 1 AND namespace = ? AND (repository IS NULL OR repository = ?)"
    for row in c.rows(sql, profile.namespace, profile.id):
        webhook = _webhook(c, row)
        if event in webhook.events:
            _deliver(c, webhook, profile, event, actor, now_s, data)


def ping(c: Connection, webhook: Webhook, actor: str, now_s: float) -> None:
    """Deliver something to see whether it arrives."""
    profile = None
    if webhook.repository is not None:
        profile = repositories.by_id(c, webhook.repository)
    _deliver(c, webhook, profile, "ping", actor, now_s, {"webhook": webhook.name})


def redeliver(c: Connection, delivery: int, now_s: float) -> None:
    """Once more, whatever became of it. Raises NotFound."""
    if not c.run("UPDATE delivery SET status = ?, finished_at = NULL WHERE id = ?", WAITING, delivery):
        raise NotFound(f"delivery {delivery}: not found")
    jobs.add_anew(c, JOB, str(delivery), {}, now_s)


def _deliver(
    c: Connection,
    webhook: Webhook,
    profile: repositories.Profile | None,
    event: str,
    actor: str,
    now_s: float,
    data: dict[str, Any],
) -> None:
    shown = None
    if profile is not None:
        owner, _, rest = profile.name.partition("/")
        shown = HookRepository(
            owner, rest, address.of_page(c, f"/r/{profile.name}"), profile.summary, "", profile.is_private, profile.badge == "official",
            profile.stars, profile.created_at,
        )  # fmt: skip
    if webhook.format == "docker-hub" and shown is not None and event == "push":
        payload = webhooks.docker_hub_push(shown, str(data.get("tag", "")), actor, now_s)
    else:
        payload = webhooks.envelope(Event(secrets.token_hex(16), event, now_s, actor, shown, data))
    ((made,),) = c.rows(
        "INSERT INTO delivery (webhook, event, body, attempts, status, answer, created_at) VALUES (?, ?, ?, 0, ?, '', ?) RETURNING id",
        webhook.id, event, webhooks.body(payload).decode(), WAITING, now_s,
    )  # fmt: skip
    too_many = "SELECT id FROM delivery WHERE webhook = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
    sql = f"DELETE FROM delivery WHERE webhook = ? AND status <> ? AND id <= ({too_many})"
    c.run(sql, webhook.id, WAITING, webhook.id, _KEPT)
    jobs.add(c, JOB, str(made), {}, now_s)


def _due(c: Connection, delivery: int) -> tuple[Delivery, Webhook] | None:
    found = one(c.rows(f"SELECT {_DELIVERY} FROM delivery WHERE id = ?", delivery))
    return (Delivery(*found), get(c, int(found[1]))) if found else None


def _note(c: Connection, delivery: int, status: str, answer: str, now_s: float) -> None:
    c.run(
        "UPDATE delivery SET attempts = attempts + 1, status = ?, answer = ?, finished_at = ? WHERE id = ?",
        status, answer, None if status == WAITING else now_s, delivery,
    )  # fmt: skip


class Deliverer:
    def __init__(self, database: Database, outbound: Outbound) -> None:
        self._database = database
        self._outbound = outbound

    async def run(self, job: Job) -> None:
        """Deliver one. Raises Retry until it has been tried for about a day."""
        found = await self._database.read(_due, int(job.subject))
        if found is None:
            return
        delivery, webhook = found
        now_s = time.time()
        data = delivery.body.encode()
        event = Event(str(delivery.id), delivery.event, now_s, "")
        sent = webhooks.headers(event, data, webhook.secret.encode(), now_s)
        answer, ok, refused = "", False, False
        try:
            async with self._outbound.request("POST", webhook.url, body=data, headers=sent) as response:
                answer, ok = f"{response.status} {response.reason}", 200 <= response.status < 300
                answer += "\n" + (await read_beginning(response, _ANSWER_BYTES)).decode(errors="replace")
        except Unavailable as error:  # one that has said that all is well may break off after that
            answer = answer if ok else str(error)
        except (Forbidden, InvalidArgument) as error:
            answer, refused = str(error), True
        wait_s = None if ok or refused else webhooks.next_attempt_s(job.attempts + 1, random.random())
        status = DELIVERED if ok else FAILED if wait_s is None else WAITING
        await self._database.write(_note, delivery.id, status, _shown(answer), time.time())
        if wait_s is not None:
            raise Retry(_shown(answer).partition("\n")[0], wait_s)


def _shown(answer: str) -> str:
    """Foreign text: without what databases do not take and terminals obey."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in answer[:_ANSWER_CHARACTERS])
