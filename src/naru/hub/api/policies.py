"""Routes about the rules that a hub keeps by itself in a repository: retention, and scans."""

from __future__ import annotations

import json

from naru.hub.api import workings
from naru.hub.api.account import NUMBERED, paged
from naru.hub.api.fields import Anything, Field, Flag, OrNull, Text, time_text
from naru.hub.api.repositories import REPOSITORY
from naru.hub.api.routes import Call, Page, Route
from naru.hub.services import policies, repos
from naru.oci.image import Json


async def get_retention(call: Call) -> Json:
    rules, is_enabled, ran_at = await call.hub.read(call.who, repos.get_retention, call.repository)
    return {"rules": rules, "is_enabled": is_enabled, "ran_at": time_text(ran_at)}


async def set_retention(call: Call) -> Json:
    rules, is_enabled = call.body["rules"], call.body["is_enabled"]
    await call.hub.do(call.who, repos.set_retention, call.repository, rules, is_enabled=is_enabled)
    return await get_retention(call)


async def plan_retention(call: Call) -> Json:
    rules = call.body.get("rules")
    return workings.plan(await call.hub.database.scan(policies.retention_plan, call.who, call.repository, rules))


async def run_retention(call: Call) -> None:
    await call.hub.do(call.who, policies.retain_now, call.repository)


async def scan(call: Call) -> Json:
    reference, scanner = call.path["reference"], call.body.get("scanner", "")
    started = await call.hub.do(call.who, policies.scan_now, call.repository, reference, scanner=scanner)
    return {"digests": list(started.digests)}


async def scans(call: Call) -> Page:
    found = await call.hub.read(call.who, policies.scans_of, call.repository, call.path["reference"])
    return paged(call, found, workings.scan)


async def report(call: Call) -> Json:
    found = await call.hub.read(call.who, policies.scan_report, call.repository, call.path["reference"])
    texts = {"report": found.report, "sbom": found.sbom}
    return {**workings.scan(found), **{name: json.loads(text) if text else None for name, text in texts.items()}}


_RULES = 'As [{"tags": "*-dev", "keep_latest": 10}, {"untagged_days": 30}]'
_RETENTION = {"rules": Field(Anything("array"), _RULES, must=True), "is_enabled": Field(Flag(), must=True)}
_PLAN = {"rules": Field(OrNull(Anything("array")), "Other rules than those that are set")}
_SCANNER = {"scanner": Field(Text(100), "Another scanner than the default one")}
_RETAIN, _SCANS = f"{REPOSITORY}/retention", f"{REPOSITORY}/manifests/{{reference}}/scans"

ROUTES = (
    Route("GET", _RETAIN, get_retention, "Which tags are kept", workings.RETENTION),
    Route("PUT", _RETAIN, set_retention, "Say which tags are kept", workings.RETENTION, body=_RETENTION),
    Route("POST", f"{_RETAIN}/plan", plan_retention, "What the rules would do now", workings.PLAN, body=_PLAN),
    Route("POST", f"{_RETAIN}/run", run_retention, "Apply the rules now, in the background", status=204),
    Route("GET", _SCANS, scans, "What scanners say of an image", workings.SCAN, query=NUMBERED, login=False, pages="numbered"),
    Route("POST", _SCANS, scan, "Scan it", workings.SCANNING, 202, body=_SCANNER),
    Route("GET", f"{_SCANS}/report", report, "The whole report, and the SBOM", workings.SCAN_REPORT, login=False),
)  # fmt: skip
