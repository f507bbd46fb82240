"""What the API answers about what goes on: policies, webhooks, the audit log, storage, work. See `shapes`."""

from __future__ import annotations

from naru.hub.api.fields import Anything, Flag, ListOf, Number, OrNull, Record, Text, Time, Type, time_text
from naru.hub.audit import Entry
from naru.hub.catalog.upstreams import Upstream
from naru.hub.peers.deliveries import EVENTS, FORMATS, Delivery, Webhook
from naru.hub.peers.replications import Rule
from naru.hub.peers.scans import Scan, ScannerRecord
from naru.hub.policies.retention import Plan
from naru.oci.image import Json
from naru.registry.garbage import Explanation

_TEXT, _TIME, _FLAG, _NUMBER = Text(10_000), Time(), Flag(), Number()
_WORDS = ListOf(_TEXT)

RETENTION = Record("Retention", {"rules": Anything("array"), "is_enabled": _FLAG, "ran_at": OrNull(_TIME)})
WEBHOOK = Record(
    "Webhook",
    {
        "id": _NUMBER, "name": _TEXT, "url": _TEXT, "events": ListOf(Text(choices=EVENTS)), "format": Text(choices=FORMATS),
        "is_active": _FLAG, "created_at": _TIME,
    },
)  # fmt: skip
NEW_WEBHOOK = Record("NewWebhook", {**WEBHOOK.fields, "secret": _TEXT})
DELIVERY = Record(
    "Delivery",
    {
        "id": _NUMBER, "event": _TEXT, "body": Text(1 << 20), "attempts": _NUMBER, "status": _TEXT, "answer": _TEXT,
        "created_at": _TIME, "finished_at": OrNull(_TIME),
    },
)  # fmt: skip
AUDIT = Record(
    "AuditEntry",
    {
        "id": _NUMBER, "at": _TIME, "actor": _TEXT, "action": _TEXT, "namespace": OrNull(_TEXT), "repository": OrNull(_TEXT),
        "object": _TEXT, "detail": Anything(), "address": _TEXT,
    },
)  # fmt: skip
COUNTS = Record("Counts", {"repositories": _NUMBER, "tags": _NUMBER, "pulls": _NUMBER, "accounts": _NUMBER})
_SHARE = Record("Share", {"namespace": _TEXT, "bytes": _NUMBER, "repositories": _NUMBER})
STORAGE = Record(
    "Storage",
    {
        "repositories": _NUMBER, "manifests": _NUMBER, "tags": _NUMBER, "blobs": _NUMBER, "blob_bytes": _NUMBER, "reviews": _NUMBER,
        "reviews_due": _NUMBER, "discarded": _NUMBER, "oldest_due_at": OrNull(_TIME), "largest": ListOf(_SHARE),
    },
)  # fmt: skip
_HOLDING = Record(
    "Holding",
    {
        "repository": _TEXT, "kind": _TEXT, "tags": _WORDS, "manifests": _WORDS, "due_at": OrNull(_TIME), "event": _TEXT,
    },
)  # fmt: skip
EXPLANATION = Record(
    "Explanation", {"digest": _TEXT, "size_bytes": OrNull(_NUMBER), "holdings": ListOf(_HOLDING, most=1 << 20)}
)
JOB = Record("Job", {"kind": _TEXT, "subject": _TEXT, "attempts": _NUMBER, "error": _TEXT, "due_at": _TIME})
JOBS = Record("Jobs", {"counts": Anything(), "waiting": ListOf(JOB)})

_DECISION = Record("Decision", {"what": _TEXT, "reason": _TEXT})
PLAN = Record(
    "RetentionPlan",
    {
        name: ListOf(_DECISION, most=1 << 20)
        for name in ("kept_tags", "deleted_tags", "kept_manifests", "deleted_manifests")
    },
)
_SCAN: dict[str, Type] = {
    "digest": _TEXT, "scanner": _TEXT, "status": _TEXT, "severity": _TEXT, "counts": Anything(), "message": _TEXT,
    "started_at": _TIME, "finished_at": OrNull(_TIME),
}  # fmt: skip
SCAN = Record("Scan", _SCAN)
SCAN_REPORT = Record("ScanReport", {**_SCAN, "report": OrNull(Anything()), "sbom": OrNull(Anything())})
SCANNING = Record("Scanning", {"digests": _WORDS})
UPSTREAM = Record("Upstream", {"namespace": _TEXT, "url": _TEXT, "username": _TEXT, "fresh_s": _NUMBER})
REPLICATION = Record(
    "Replication",
    {
        "name": _TEXT, "direction": _TEXT, "url": _TEXT, "username": _TEXT, "source": _TEXT, "destination": _TEXT, "tags": _TEXT,
        "trigger": _TEXT, "is_enabled": _FLAG, "created_at": _TIME, "ran_at": OrNull(_TIME), "result": _TEXT,
    },
)  # fmt: skip
SCANNER = Record("Scanner", {"name": _TEXT, "url": _TEXT, "is_default": _FLAG, "created_at": _TIME})


def plan(one: Plan) -> Json:
    tags = {"kept_tags": one.kept, "deleted_tags": one.deleted_tags}
    manifests = {"kept_manifests": one.kept_manifests, "deleted_manifests": one.deleted_manifests}
    return {
        **{name: [{"what": each.tag, "reason": each.reason} for each in found] for name, found in tags.items()},
        **{name: [{"what": each.digest, "reason": each.reason} for each in found] for name, found in manifests.items()},
    }


def scan(one: Scan) -> Json:
    return {
        "digest": one.digest, "scanner": one.scanner, "status": one.status, "severity": one.severity, "counts": dict(one.counts),
        "message": one.message, "started_at": time_text(one.started_at), "finished_at": time_text(one.finished_at),
    }  # fmt: skip


def upstream(one: Upstream) -> Json:
    """Without its password, as those below without theirs: what is given to the hub stays there."""
    return {"namespace": one.name, "url": one.url, "username": one.username, "fresh_s": round(one.fresh_s)}


def replication(one: Rule) -> Json:
    return {
        "name": one.name, "direction": one.direction, "url": one.remote, "username": one.username, "source": one.source,
        "destination": one.destination, "tags": one.tags, "trigger": one.trigger, "is_enabled": one.is_enabled,
        "created_at": time_text(one.created_at), "ran_at": time_text(one.ran_at), "result": one.result,
    }  # fmt: skip


def scanner(one: ScannerRecord) -> Json:
    created = time_text(one.created_at)
    return {"name": one.name, "url": one.url, "is_default": one.is_default, "created_at": created}


def webhook(one: Webhook) -> Json:
    """Without its secret, which is shown once."""
    return {
        "id": one.id, "name": one.name, "url": one.url, "events": list(one.events), "format": one.format,
        "is_active": one.is_active, "created_at": time_text(one.created_at),
    }  # fmt: skip


def delivery(one: Delivery) -> Json:
    return {
        "id": one.id, "event": one.event, "body": one.body, "attempts": one.attempts, "status": one.status, "answer": one.answer,
        "created_at": time_text(one.created_at), "finished_at": time_text(one.finished_at),
    }  # fmt: skip


def audit_entry(one: Entry) -> Json:
    return {
        "id": one.id, "at": time_text(one.at), "actor": one.actor, "action": one.action, "namespace": one.namespace,
        "repository": one.repository, "object": one.object, "detail": one.detail, "address": one.address,
    }  # fmt: skip


def explanation(one: Explanation) -> Json:
    holdings = [
        {
            "repository": each.repository, "kind": each.kind, "tags": list(each.tags), "manifests": list(each.manifests),
            "due_at": time_text(each.due_at), "event": each.event,
        }
        for each in one.holdings
    ]  # fmt: skip
    return {"digest": one.digest, "size_bytes": one.size_bytes, "holdings": holdings}
