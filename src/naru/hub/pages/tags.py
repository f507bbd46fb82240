"""The tags of a repository, and what one of them, or a digest, names."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from naru.hub import browse
from naru.hub.catalog import repositories
from naru.hub.catalog.repositories import DAY_S
from naru.hub.pages.repository import CHART_DAYS, Head, head, page_of_tags
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.peers import scans
from naru.hub.people.permissions import Level
from naru.hub.services import policies, repos
from naru.hub.services.who import on_repository
from naru.oci.digest import Digest

PAGE = 25
SORTS = ("pushed", "-pushed", "name", "-name")


async def tags(visit: Visit) -> web.Response:
    name = visit.part("name")
    top = await head(visit, name)
    page, containing, sort = visit.page_number(), visit.asked("q").strip(), visit.asked("sort", "pushed")
    found, total = await page_of_tags(
        visit, top["repository"], containing=containing, sort=sort, offset=(page - 1) * PAGE, limit=PAGE
    )
    return await visit.page(
        "tags.html", tab="tags", tags=found, total=total, number=page, size=PAGE, containing=containing, sort=sort,
        sorts=SORTS, **top,
    )  # fmt: skip


async def delete(visit: Visit) -> web.Response:
    name, tag = visit.part("name"), visit.part("tag")
    await visit.hub.read(visit.who, on_repository, name, Level.WRITE)
    await visit.hub.registry.storage.delete_manifest(visit.caller, name, tag)
    visit.hub.workers.wake()
    return visit.go(f"/r/{name}/-/tags", "done.tag.deleted")


async def delete_manifest(visit: Visit) -> web.Response:
    name, digest = visit.part("name"), Digest.parse(visit.part("digest"))
    await visit.hub.read(visit.who, on_repository, name, Level.WRITE)
    await visit.hub.registry.storage.delete_manifest(visit.caller, name, digest)
    visit.hub.workers.wake()
    return visit.go(f"/r/{name}/-/tags", "done.manifest.deleted")


async def scan(visit: Visit) -> web.Response:
    name, tag_ = visit.part("name"), visit.part("tag")
    await visit.hub.do(visit.who, policies.scan_now, name, tag_)
    return visit.go(f"/r/{name}/-/tags/{quote(tag_)}", "done.scan")


async def scan_manifest(visit: Visit) -> web.Response:
    name, digest = visit.part("name"), visit.part("digest")
    await visit.hub.do(visit.who, policies.scan_now, name, digest)
    return visit.go(f"/r/{name}/-/manifests/{digest}", "done.scan")


async def _may_scan(visit: Visit, top: Head) -> bool:
    """There is something to press the button for."""
    return top["may_write"] and await visit.hub.database.read(scans.default_scanner) is not None


async def tag(visit: Visit) -> web.Response:
    name, tag_ = visit.part("name"), visit.part("tag")
    top = await head(visit, name)
    detail = await browse.detail(visit.hub, visit.who, name, tag_, visit.asked("platform"))
    shown = await visit.hub.read(visit.who, repos.tag, name, tag_)
    may_scan = await _may_scan(visit, top)
    today = int(visit.who.now_s) // DAY_S
    profile = top["repository"]
    pulls = await visit.hub.database.read(repositories.pulls_by_day, profile.id, today - CHART_DAYS + 1, tag_)
    return await visit.page(
        "tag.html", tab="tags", detail=detail, tag=shown, may_scan=may_scan, pulls=pulls, today=today, days=CHART_DAYS,
        here_path=f"/r/{name}/-/tags/{quote(tag_)}", **top,
    )  # fmt: skip


async def manifest(visit: Visit) -> web.Response:
    """By digest: what has no tag, or not any more."""
    name, digest = visit.part("name"), visit.part("digest")
    top = await head(visit, name)
    detail = await browse.detail(visit.hub, visit.who, name, digest, visit.asked("platform"))
    return await visit.page(
        "tag.html", tab="tags", detail=detail, tag=None, may_scan=await _may_scan(visit, top), pulls=[], today=0, days=0,
        here_path=f"/r/{name}/-/manifests/{detail.digest}", **top,
    )  # fmt: skip


ROUTES = (
    Route("GET", "/r/{name:.+?}/-/tags", tags),
    Route("GET", "/r/{name:.+?}/-/tags/{tag:[^:/]+}", tag),
    Route("POST", "/r/{name:.+?}/-/tags/{tag:[^:/]+}/delete", delete),
    Route("POST", "/r/{name:.+?}/-/tags/{tag:[^:/]+}/scan", scan),
    Route("GET", "/r/{name:.+?}/-/manifests/{digest:[a-z0-9]+:[0-9a-f]+}", manifest),
    Route("POST", "/r/{name:.+?}/-/manifests/{digest:[a-z0-9]+:[0-9a-f]+}/delete", delete_manifest),
    Route("POST", "/r/{name:.+?}/-/manifests/{digest:[a-z0-9]+:[0-9a-f]+}/scan", scan_manifest),
)
