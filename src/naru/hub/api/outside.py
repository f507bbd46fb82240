"""Routes about other servers that the hub works with, for its admins: upstreams of pull-through caches, replication, scanners."""

from __future__ import annotations

from naru.hub.api import workings
from naru.hub.api.account import NUMBERED, paged
from naru.hub.api.fields import Field, Flag, Number, Text
from naru.hub.api.routes import Call, Page, Route
from naru.hub.catalog.upstreams import FRESH_S
from naru.hub.peers.replications import DAILY, MANUAL, ON_PUSH, PULL, PUSH
from naru.hub.services import policies
from naru.oci.image import Json


async def upstreams(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, policies.list_upstreams), workings.upstream)


async def upstream(call: Call) -> Json:
    return workings.upstream(await call.hub.read(call.who, policies.upstream_of, call.path["account"]))


async def set_upstream(call: Call) -> Json:
    body = call.body
    made = await call.hub.do(
        call.who, policies.set_upstream, call.hub.outbound, call.path["account"], body["url"], username=body.get("username", ""),
        password=body.get("password"), fresh_s=float(body["fresh_s"]),
    )  # fmt: skip
    return workings.upstream(made)


async def remove_upstream(call: Call) -> None:
    await call.hub.do(call.who, policies.remove_upstream, call.path["account"])


async def replications(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, policies.list_replications), workings.replication)


async def create_replication(call: Call) -> Json:
    body = call.body
    made = await call.hub.do(
        call.who, policies.create_replication, call.hub.outbound, body["name"], body["direction"], body["url"], body["source"],
        username=body.get("username", ""), password=body.get("password", ""), destination=body.get("destination", ""),
        tags=body.get("tags", ""), trigger=body["trigger"],
    )  # fmt: skip
    return workings.replication(made)


async def update_replication(call: Call) -> Json:
    enabled = call.body["is_enabled"]
    rule = await call.hub.do(call.who, policies.enable_replication, call.path["rule"], is_enabled=enabled)
    return workings.replication(rule)


async def delete_replication(call: Call) -> None:
    await call.hub.do(call.who, policies.delete_replication, call.path["rule"])


async def run_replication(call: Call) -> None:
    await call.hub.do(call.who, policies.run_replication, call.path["rule"])


async def scanners(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, policies.list_scanners), workings.scanner)


async def add_scanner(call: Call) -> Json:
    body = call.body
    authorization = body.get("authorization", "")
    made = await call.hub.do(
        call.who, policies.add_scanner, call.hub.outbound, body["name"], body["url"], authorization
    )
    return workings.scanner(made)


async def remove_scanner(call: Call) -> None:
    await call.hub.do(call.who, policies.remove_scanner, call.path["scanner"])


async def set_default_scanner(call: Call) -> None:
    await call.hub.do(call.who, policies.set_default_scanner, call.body["name"])


_NAME, _URL, _TEXT = Field(Text(100, 1), must=True), Field(Text(2048, 1), must=True), Field(Text(4000))
_UPSTREAM = {
    "url": _URL,
    "username": _TEXT,
    "password": Field(Text(4000), "If it is not given: as it was"),
    "fresh_s": Field(Number(0, 30 * 86400), "Seconds for which a tag is not looked at again", default=int(FRESH_S)),
}
_REPLICATION = {
    "name": _NAME,
    "direction": Field(Text(choices=(PUSH, PULL)), must=True),
    "url": _URL,
    "username": _TEXT,
    "password": _TEXT,
    "source": Field(Text(255, 1), "Glob of the repositories' names", must=True),
    "destination": Field(Text(200), "What replaces the first part of their names"),
    "tags": Field(Text(500), "Pattern; empty: all"),
    "trigger": Field(Text(choices=(MANUAL, ON_PUSH, DAILY)), default=MANUAL),
}
_SCANNER = {"name": _NAME, "url": _URL, "authorization": Field(Text(4000), "The header's value")}
_DEFAULT = {"name": Field(Text(100), "Empty: what is pushed is not scanned by itself", must=True)}
_UP, _REP, _SCAN = "/admin/upstreams", "/admin/replications", "/admin/scanners"

ROUTES = (
    Route("GET", _UP, upstreams, "Namespaces that are copies of other registries", workings.UPSTREAM, query=NUMBERED, pages="numbered"),
    Route("GET", f"{_UP}/{{account}}", upstream, "Of what a namespace is a copy", workings.UPSTREAM),
    Route("PUT", f"{_UP}/{{account}}", set_upstream, "Make a namespace a copy of another registry", workings.UPSTREAM, body=_UPSTREAM),
    Route("DELETE", f"{_UP}/{{account}}", remove_upstream, "Let it be no copy any more; what was copied stays", status=204),
    Route("GET", _REP, replications, "What is copied to and from other registries", workings.REPLICATION, query=NUMBERED, pages="numbered"),
    Route("POST", _REP, create_replication, "A new rule", workings.REPLICATION, 201, body=_REPLICATION),
    Route("PATCH", f"{_REP}/{{rule}}", update_replication, "Stop it, or let it go on", workings.REPLICATION, body={"is_enabled": Field(Flag(), must=True)}),
    Route("DELETE", f"{_REP}/{{rule}}", delete_replication, "Delete a rule", status=204),
    Route("POST", f"{_REP}/{{rule}}/run", run_replication, "Copy now, in the background", status=204),
    Route("GET", _SCAN, scanners, "Scanners that images can be looked at by", workings.SCANNER, query=NUMBERED, pages="numbered"),
    Route("POST", _SCAN, add_scanner, "A new scanner; the first one scans whatever is pushed", workings.SCANNER, 201, body=_SCANNER),
    Route("DELETE", f"{_SCAN}/{{scanner}}", remove_scanner, "Remove a scanner, with what it has found", status=204),
    Route("PUT", "/admin/default-scanner", set_default_scanner, "Say which one scans whatever is pushed", status=204, body=_DEFAULT),
)  # fmt: skip
