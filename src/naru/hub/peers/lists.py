"""The lists of a copy: tags and referrers are asked of what it copies, since what has been fetched so far is a fraction of it.

One question there for one here, and nothing is kept: a page of tags with the same `n` and `last`, all referrers of a digest (or those in
the tag that stands for them where a registry has no referrers: distribution-spec "Referrers Tag Schema").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from aiohttp import web

from naru.hub.peers.remotes import Remote
from naru.oci.image import OCI_INDEX
from naru.registry.context import Context, json_answer
from naru.registry.routes import parse_digest, parse_page

_TAGS_PAGE = 1000
_Ask = Callable[[Remote, str, Context], Awaitable[web.Response]]


async def _tags(remote: Remote, path: str, context: Context) -> web.Response:
    page = parse_page(context.query("n"), context.query("last"), _TAGS_PAGE)
    found, last = await remote.tags_page(path, page.limit, page.after)
    repository = context.route.repository
    headers = {}
    if (
        not page.limit
    ):  # there are registries that give all then; there has been a question, whether there is such a repository
        found = []
    elif last:
        query = urlencode({"n": page.limit, "last": last})
        headers["Link"] = f'</v2/{repository}/tags/list?{query}>; rel="next"'
    return json_answer({"name": repository, "tags": found}, headers=headers)


async def _referrers(remote: Remote, path: str, context: Context) -> web.Response:
    artifact_type = context.query("artifactType")
    found = [
        one.to_json()
        for one in await remote.referrers(path, parse_digest(context.route.item))
        if artifact_type in (None, "", one.artifact_type)
    ]
    headers = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
    return json_answer(index, content_type=OCI_INDEX, headers=headers)


# endpoint of the registry → how it is asked elsewhere; both raise as a Remote's verbs
LISTS: dict[str, _Ask] = {"tags": _tags, "referrers": _referrers}
