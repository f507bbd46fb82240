"""Scans: which scanners there are, what is to be scanned, and what they found. Functions of a Connection.

scanner   id → name, url, authorization (sealed), is_default      whatever is pushed is scanned by the default one
scan      (repository, digest) → scanner, status, severity, counts, report, sbom, request, message

A scan goes waiting → running (the scanner has given it an id) → finished, failed or unsupported: by the job of `scanning`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from naru.errors import Conflict, InvalidArgument, NotFound
from naru.hub import audit, jobs
from naru.hub.catalog import images
from naru.hub.peers import deliveries
from naru.hub.peers.scanner import Report
from naru.oci.digest import Digest
from naru.oci.image import MANIFESTS
from naru.registry import records
from naru.registry.database import Connection, Row, one
from naru.registry.records import ManifestRecord

JOB = "scan"
WAITING, RUNNING, FINISHED, FAILED, UNSUPPORTED = "waiting", "running", "finished", "failed", "unsupported"


@dataclass(frozen=True, slots=True)
class ScannerRecord:
    id: int
    name: str
    url: str
    authorization: str = field(repr=False)
    is_default: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class Scan:
    """`counts`: severity → how many. `report` and `sbom` are JSON, "" if there is none (yet); lists leave them out."""

    digest: str
    scanner: str
    status: str
    severity: str
    counts: Mapping[str, int]
    message: str
    started_at: float
    finished_at: float | None
    report: str = ""
    sbom: str = ""


_SCANNER = 'id, name, url, "authorization", is_default, created_at'


def _scanner(c: Connection, row: Row) -> ScannerRecord:
    values = list(row)
    values[3], values[4] = c.seals.open(values[3]), bool(values[4])
    return ScannerRecord(*values)


def scanners(c: Connection) -> list[ScannerRecord]:
    return [_scanner(c, row) for row in c.rows(f"SELECT {_SCANNER} FROM scanner ORDER BY name LIMIT 100")]


def scanner(c: Connection, name: str) -> ScannerRecord:
    """Raises NotFound."""
    found = one(c.rows(f"SELECT {_SCANNER} FROM scanner WHERE name = ?", name))
    if found is None:
        raise NotFound(f"scanner {name[:100]}: not found")
    return _scanner(c, found)


def default_scanner(c: Connection) -> ScannerRecord | None:
    found = one(c.rows(f"SELECT {_SCANNER} FROM scanner WHERE is_default = 1 LIMIT 1"))
    return _scanner(c, found) if found else None


def add_scanner(c: Connection, name: str, url: str, authorization: str, now_s: float) -> ScannerRecord:
    """The first one is the default. The caller has checked the URL. Raises InvalidArgument, Conflict."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidArgument("name: must be 1 to 100 characters")
    if not authorization.isprintable() or not authorization.isascii() or len(authorization) > 4000:
        raise InvalidArgument("authorization: must be the value of a header")
    first = int(default_scanner(c) is None)
    made = c.run(
        'INSERT INTO scanner (name, url, "authorization", is_default, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
        name, url, c.seals.seal(authorization), first, now_s,
    )  # fmt: skip
    if not made:
        raise Conflict(f"scanner {name!r} exists")
    return scanner(c, name)


def remove_scanner(c: Connection, scanner_id: int) -> None:
    """With what it has found."""
    c.run("DELETE FROM scanner WHERE id = ?", scanner_id)


def make_default(c: Connection, scanner_id: int | None) -> None:
    """None: nothing is scanned but what somebody asks for."""
    c.run("UPDATE scanner SET is_default = 0")
    if scanner_id is not None:
        c.run("UPDATE scanner SET is_default = 1 WHERE id = ?", scanner_id)


# scans

_SCAN = "scan.digest, scanner.name, status, severity, counts, message, started_at, finished_at"
_FROM = "FROM scan JOIN scanner ON scanner.id = scan.scanner"


def _scan(row: Row) -> Scan:
    values = list(row)
    values[4] = json.loads(values[4])
    return Scan(*values)


def find(c: Connection, repository: int, digest: str) -> Scan | None:
    """With its report."""
    found = one(c.rows(f"SELECT {_SCAN}, report, sbom {_FROM} WHERE repository = ? AND digest = ?", repository, digest))
    return _scan(found) if found else None


def of_image(c: Connection, repository: int, digest: str) -> list[Scan]:
    """Of a manifest, or of those an index lists."""
    sql = (
        f"SELECT {_SCAN} {_FROM} WHERE repository = ? AND (digest = ? OR digest IN "
        "(SELECT target FROM reference WHERE repository = ? AND manifest = ?)) ORDER BY digest LIMIT 100"
    )
    return [_scan(row) for row in c.rows(sql, repository, digest, repository, digest)]


def want(c: Connection, repository: int, name: str, record: ManifestRecord, now_s: float) -> None:
    """Of something that was pushed: have it scanned, if there is a scanner for all and it is an image."""
    if record.media_type not in MANIFESTS or record.artifact_type not in images.CONFIGS:
        return
    default = default_scanner(c)
    sql = "SELECT 1 FROM scan WHERE repository = ? AND digest = ?"
    if default is not None and not c.rows(sql, repository, record.digest):
        start(c, repository, name, record.digest, default.id, now_s)


def start(c: Connection, repository: int, name: str, digest: str, scanner_id: int, now_s: float) -> None:
    """Anew, whatever there was; what was found before is shown until there is something new."""
    c.run(
        "INSERT INTO scan (repository, digest, scanner, status, severity, counts, report, sbom, request, message, started_at) "
        "VALUES (?, ?, ?, ?, '', '{}', '', '', '', '', ?) ON CONFLICT (repository, digest) DO UPDATE SET "
        "scanner = excluded.scanner, status = excluded.status, request = '', message = '', started_at = excluded.started_at, "
        "finished_at = NULL",
        repository, digest, scanner_id, WAITING, now_s,
    )  # fmt: skip
    jobs.add_anew(c, JOB, f"{name}@{digest}", {"repository": name, "digest": digest}, now_s)


# for the job: each of these changes a scan only if it is still as the task says, since it may have been started anew meanwhile


@dataclass(frozen=True, slots=True)
class Task:
    """What a scanner is to be told, and how far it is."""

    repository: int
    name: str
    record: ManifestRecord
    tag: str
    scanner: ScannerRecord
    status: str
    request: str
    started_at: float


_STILL = "repository = ? AND digest = ? AND scanner = ? AND status = ? AND request = ? AND started_at = ?"


def _still(task: Task) -> tuple[Any, ...]:
    return task.repository, task.record.digest, task.scanner.id, task.status, task.request, task.started_at


def task(c: Connection, name: str, digest: Digest) -> Task | None:
    repository, record = records.repository_id(c, name), records.manifest(c, name, digest)
    if repository is None or record is None:
        return None
    sql = "SELECT scanner, status, request, started_at FROM scan WHERE repository = ? AND digest = ?"
    found = one(c.rows(sql, repository, digest))
    if found is None:
        return None
    by = _scanner(c, c.rows(f"SELECT {_SCANNER} FROM scanner WHERE id = ?", found[0])[0])
    tags = records.tags_of(c, repository, digest)
    return Task(repository, name, record, tags[0] if tags else "", by, str(found[1]), str(found[2]), float(found[3]))


def begun(c: Connection, task: Task, request: str, now_s: float) -> None:
    sql = f"UPDATE scan SET status = ?, request = ?, started_at = ? WHERE {_STILL}"
    c.run(sql, RUNNING, request, now_s, *_still(task))


def end(c: Connection, task: Task, status: str, message: str, now_s: float) -> None:
    sql = f"UPDATE scan SET status = ?, message = ?, request = '', finished_at = ? WHERE {_STILL}"
    if c.run(sql, status, message[:1000], now_s, *_still(task)):
        _tell(c, task, now_s)


def finish(c: Connection, task: Task, report: Report | None, sbom: str, message: str, now_s: float) -> None:
    """Without a report, but with an SBOM, nothing is said of vulnerabilities."""
    severity, counts, text = (report.severity, dict(report.counts), report.text) if report else ("", {}, "")
    changed = c.run(
        "UPDATE scan SET status = ?, severity = ?, counts = ?, report = ?, sbom = ?, message = ?, request = '', finished_at = ? "
        f"WHERE {_STILL}",
        FINISHED, severity, json.dumps(counts), text, sbom, message[:1000], now_s, *_still(task),
    )  # fmt: skip
    if changed:
        _tell(c, task, now_s)


def _tell(c: Connection, task: Task, now_s: float) -> None:
    own = (task.repository, task.record.digest)
    scan = _scan(c.rows(f"SELECT {_SCAN} {_FROM} WHERE repository = ? AND digest = ?", *own)[0])
    data = {"digest": scan.digest, "status": scan.status, "severity": scan.severity, "counts": dict(scan.counts)}
    deliveries.publish(c, now_s, "scan", task.name, audit.HUB.name, scanner=scan.scanner, message=scan.message, **data)
