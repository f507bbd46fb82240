"""Routes about repositories, and what is in them: tags and manifests."""

from __future__ import annotations

import asyncio

from naru.errors import InvalidArgument
from naru.hub.api import shapes
from naru.hub.api.account import NUMBERED, paged
from naru.hub.api.fields import Field, Flag, ListOf, Number, Text
from naru.hub.api.routes import Call, Page, Route
from naru.hub.catalog import readme
from naru.hub.catalog.repositories import CATEGORIES, README_LIMIT_BYTES, SUMMARY_LIMIT, Query
from naru.hub.people.permissions import Level
from naru.hub.services import lookups, repos
from naru.oci.digest import Digest
from naru.oci.image import Json
from naru.registry.access import Caller
from naru.registry.routes import parse_reference


async def search(call: Call) -> Page:
    given = call.query
    starred_by = 0
    if given.get("starred"):
        starred_by = call.who.principal.account or -1  # nobody has starred nothing
    query = Query(
        given.get("q", ""), given.get("namespace", ""), given.get("category", ""), given.get("platform", ""),
        given.get("badge", ""), starred_by, given["sort"],
    )  # fmt: skip
    found, total = await call.hub.read(call.who, lookups.search, query, call.offset, call.limit)
    return Page([shapes.repository(*one) for one in found], total)


async def facets(call: Call) -> Json:
    found = await call.hub.database.scan(lookups.facets, call.who)
    return {kind: [{"name": name, "count": count} for name, count in counts] for kind, counts in found.items()}


async def create(call: Call) -> Json:
    body, name = call.body, call.body["name"]
    private, summary = body.get("is_private"), body.get("summary", "")
    await call.hub.do(call.who, repos.create, name, is_private=private, summary=summary)
    return shapes.full_repository(await call.hub.read(call.who, lookups.repository, name))


async def show(call: Call) -> Json:
    return shapes.full_repository(await call.hub.read(call.who, lookups.repository, call.repository))


async def update(call: Call) -> Json:
    await call.hub.do(call.who, repos.update, call.repository, call.body)
    return await show(call)


async def delete(call: Call) -> None:
    await call.hub.do(call.who, repos.delete, call.repository)


async def get_readme(call: Call) -> Json:
    text, html = await call.hub.read(call.who, lookups.readme, call.repository)
    return {"readme": text, "html": html}


async def set_readme(call: Call) -> Json:
    await call.hub.read(call.who, lookups.can_write, call.repository)  # before the work
    text = call.body["readme"]
    html = await asyncio.to_thread(readme.render, text)
    await call.hub.do(call.who, repos.update, call.repository, {"readme": text, "readme_html": html})
    return {"readme": text, "html": html}


async def grants(call: Call) -> Page:
    found = await call.hub.read(call.who, repos.grants, call.repository)
    return paged(call, found, lambda one: {"kind": one[0], "holder": one[1], "permission": one[2].name.lower()})


async def set_grant(call: Call) -> None:
    await _grant(call, Level.parse(call.body["permission"]))


async def remove_grant(call: Call) -> None:
    await _grant(call, Level.NONE)


async def _grant(call: Call, level: Level) -> None:
    await call.hub.do(call.who, repos.grant, call.repository, call.path["kind"], call.path["holder"], level)


async def star(call: Call) -> None:
    await call.hub.do(call.who, repos.star, call.repository, starred=True)


async def unstar(call: Call) -> None:
    await call.hub.do(call.who, repos.star, call.repository, starred=False)


async def pulls(call: Call) -> Json:
    days, tag = call.query["days"], call.query.get("tag")
    found = await call.hub.read(call.who, lookups.pulls, call.repository, days, tag)
    return {"days": [{"day": shapes.day_text(day), "count": count} for day, count in found]}


# what is in them


async def tags(call: Call) -> Page:
    found, total = await call.hub.read(
        call.who, repos.tags, call.repository, containing=call.query.get("q", ""), sort=call.query["sort"],
        offset=call.offset, limit=call.limit,
    )  # fmt: skip
    return Page([shapes.tag(one) for one in found], total)


async def show_tag(call: Call) -> Json:
    return shapes.tag(await call.hub.read(call.who, repos.tag, call.repository, call.path["tag"]))


async def delete_tag(call: Call) -> None:
    await call.hub.read(call.who, repos.tag, call.repository, call.path["tag"])
    await _delete(call, call.path["tag"])


async def show_manifest(call: Call) -> Json:
    reference = parse_reference(call.path["reference"])
    return shapes.manifest(await call.hub.read(call.who, lookups.manifest, call.repository, reference))


async def delete_manifest(call: Call) -> None:
    digest = parse_reference(call.path["reference"])
    if not isinstance(digest, Digest):
        raise InvalidArgument("reference: must be a digest; a tag is deleted as one")
    await call.hub.read(call.who, lookups.manifest, call.repository, digest)
    await _delete(call, digest)


async def _delete(call: Call, reference: Digest | str) -> None:
    """By the registry's own rules. Raises Forbidden, and Refusal DENIED for a tag that is immutable."""
    await call.hub.read(call.who, lookups.can_delete, call.repository)
    caller = Caller(call.who.principal.name, address=call.who.address)
    await call.hub.registry.storage.delete_manifest(caller, call.repository, reference)
    call.hub.workers.wake()


_SEARCH = {
    "q": Field(Text(200), "Words that are in the name or the summary"),
    "namespace": Field(Text(100)),
    "category": Field(Text(100)),
    "platform": Field(Text(100), "As linux/arm64, or a part of one"),
    "badge": Field(Text(choices=("official", "verified"))),
    "starred": Field(Flag(), "Only those one has starred"),
    "sort": Field(Text(choices=("best", "pulls", "stars", "updated", "name")), default="best"),
    **NUMBERED,
}
_SUMMARY = Field(Text(SUMMARY_LIMIT))
_CREATE = {
    "name": Field(Text(255, 1), "NAMESPACE/NAME", must=True),
    "is_private": Field(Flag(), "If it is not said: as the namespace's account has it"),
    "summary": _SUMMARY,
}
_UPDATE = {
    "summary": _SUMMARY,
    "categories": Field(ListOf(Text(choices=CATEGORIES), most=3)),
    "is_private": Field(Flag()),
    "immutable": Field(Text(6000), "Patterns of tags that can be neither moved nor deleted, with spaces between them"),
}
_TAGS = {
    "q": Field(Text(128), "Text that is in the name"),
    "sort": Field(Text(choices=("name", "-name", "pushed", "-pushed")), default="pushed"),
    **NUMBERED,
}
_PULLS = {"days": Field(Number(1, 366, clamped=True), "The last so many", default=30), "tag": Field(Text(128))}
_README = {"readme": Field(Text(README_LIMIT_BYTES), "Markdown", must=True)}
_LEVEL = {"permission": Field(Text(choices=("read", "write", "admin")), must=True)}
REPOSITORY = "/repositories/{namespace}/{name}"
_R = REPOSITORY

ROUTES = (
    Route("GET", "/repositories", search, "Search what one may see", shapes.REPOSITORY, query=_SEARCH, login=False, pages="numbered"),
    Route("GET", "/repositories/facets", facets, "How many repositories there are of each category and platform", shapes.FACETS, login=False),
    Route("POST", "/repositories", create, "A new, empty repository", shapes.FULL_REPOSITORY, 201, body=_CREATE),
    Route("GET", _R, show, "A repository", shapes.FULL_REPOSITORY, login=False),
    Route("PATCH", _R, update, "Change it", shapes.FULL_REPOSITORY, body=_UPDATE),
    Route("DELETE", _R, delete, "Delete it, with everything in it", status=204),
    Route("GET", f"{_R}/readme", get_readme, "Its README, as written and as HTML", shapes.README, login=False),
    Route("PUT", f"{_R}/readme", set_readme, "Replace its README", shapes.README, body=_README),
    Route("GET", f"{_R}/grants", grants, "Who was given permission", shapes.GRANT, query=NUMBERED, pages="numbered"),
    Route("PUT", f"{_R}/grants/{{kind}}/{{holder}}", set_grant, "Give an account, or a team, permission", status=204, body=_LEVEL),
    Route("DELETE", f"{_R}/grants/{{kind}}/{{holder}}", remove_grant, "Take it away", status=204),
    Route("PUT", f"{_R}/star", star, "Star it", status=204),
    Route("DELETE", f"{_R}/star", unstar, "Take one's star away", status=204),
    Route("GET", f"{_R}/pulls", pulls, "Pulls by day, in UTC; days without any are left out", shapes.PULLS, query=_PULLS, login=False),
    Route("GET", f"{_R}/tags", tags, "Its tags", shapes.TAG, query=_TAGS, login=False, pages="numbered"),
    Route("GET", f"{_R}/tags/{{tag}}", show_tag, "A tag", shapes.TAG, login=False),
    Route("DELETE", f"{_R}/tags/{{tag}}", delete_tag, "Delete a tag", status=204),
    Route("GET", f"{_R}/manifests/{{reference}}", show_manifest, "A manifest, by tag or digest", shapes.MANIFEST, login=False),
    Route("DELETE", f"{_R}/manifests/{{reference}}", delete_manifest, "Delete a manifest by digest, with its tags", status=204),
)  # fmt: skip
