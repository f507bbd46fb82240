"""Handlers of manifests, tags, referrers and the catalog (distribution-spec "Pull", "Push", "Content Discovery")."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from naru.oci.digest import Digest
from naru.oci.image import MANIFEST_LIMIT_BYTES, OCI_INDEX
from naru.registry.context import Context, json_answer, read_limited
from naru.registry.routes import Page, check_tag, parse_digest, parse_page, parse_reference

_TAGS_PAGE = 1000
_CATALOG_PAGE = 100
_REFERRERS_PAGE = 500


async def get(context: Context) -> web.StreamResponse:
    repository, reference = context.route.repository, parse_reference(context.route.item)
    raw = b""
    if context.request.method == "HEAD":
        record = await context.storage.manifest(repository, reference)
    else:
        record, raw = await context.storage.read_manifest(repository, reference)
    headers = {
        "Content-Type": record.media_type,
        "Docker-Content-Digest": record.digest,
        "ETag": f'"{record.digest}"',
    }
    if context.request.method == "HEAD":
        return web.Response(headers={**headers, "Content-Length": str(record.size_bytes)})
    if any(tag.value == record.digest for tag in context.request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=raw, headers=headers)


async def put(context: Context) -> web.StreamResponse:
    repository, reference = context.route.repository, parse_reference(context.route.item)
    media_type = context.request.headers.get("Content-Type", "").partition(";")[0].strip()
    tags = [check_tag(tag) for tag in context.request.query.getall("tag", [])]
    raw = await read_limited(context.request, MANIFEST_LIMIT_BYTES, "MANIFEST_INVALID")
    record = await context.storage.put_manifest(context.caller, repository, reference, media_type, raw, tags)
    headers = {
        "Location": f"/v2/{repository}/manifests/{record.digest}",
        "Docker-Content-Digest": record.digest,
    }
    if record.subject is not None:
        headers["OCI-Subject"] = record.subject
    response = web.Response(status=201, headers=headers)
    for tag in tags:  # distribution-spec main, "Pushing manifests": `?tag=` may be repeated
        response.headers.add("OCI-Tag", tag)
    return response


async def delete(context: Context) -> web.StreamResponse:
    await context.storage.delete_manifest(context.caller, context.route.repository, parse_reference(context.route.item))
    return web.Response(status=202)


async def tags(context: Context) -> web.StreamResponse:
    repository = context.route.repository
    page = parse_page(context.query("n"), context.query("last"), _TAGS_PAGE)
    await context.storage.check_repository(repository)
    found = await context.storage.tags(repository, page.after, page.limit + 1)
    headers = _link(f"/v2/{repository}/tags/list", page, found)
    return json_answer({"name": repository, "tags": found[: page.limit]}, headers=headers)


async def catalog(context: Context) -> web.StreamResponse:
    """Only what the caller may pull."""
    page = parse_page(context.query("n"), context.query("last"), _CATALOG_PAGE)
    found = await context.pullable(page.after, page.limit + 1)
    return json_answer({"repositories": found[: page.limit]}, headers=_link("/v2/_catalog", page, found))


def _link(path: str, page: Page, found: list[str]) -> dict[str, str]:
    """The Link header if `found`, which holds one more than the page if there is one, goes on after it."""
    if not page.limit or len(found) <= page.limit:
        return {}
    query = urlencode({"n": page.limit, "last": found[page.limit - 1]})
    return {"Link": f'<{path}?{query}>; rel="next"'}


async def referrers(context: Context) -> web.StreamResponse:
    repository, subject = context.route.repository, parse_digest(context.route.item)
    artifact_type, after = context.query("artifactType") or None, context.query("last") or ""
    index, following = await context.storage.referrers(repository, subject, artifact_type, after, _REFERRERS_PAGE)
    headers = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
    if following:
        query = urlencode({"last": following, **({"artifactType": artifact_type} if artifact_type else {})})
        headers["Link"] = f'<{_referrers_path(repository, subject)}?{query}>; rel="next"'
    return json_answer(index, content_type=OCI_INDEX, headers=headers)


def _referrers_path(repository: str, subject: Digest) -> str:
    return f"/v2/{repository}/referrers/{subject}"
