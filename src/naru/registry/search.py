"""The first version's search, which `docker search HOST/TERM` still asks registries for, and the ping before it."""

from __future__ import annotations

from aiohttp import web

from naru.registry import records
from naru.registry.context import Context, json_answer
from naru.registry.errors import Refusal

_DEFAULT, _MOST = 25, 100


async def ping(context: Context) -> web.StreamResponse:
    """Standalone: the daemon sends its user's password along, and asks no index for a token."""
    return json_answer({"standalone": True}, headers={"X-Docker-Registry-Standalone": "true"})


async def search(context: Context) -> web.StreamResponse:
    """Repositories whose name has the term in it, in the order of names; of those, what the caller may pull."""
    term, limit = (context.query("q") or "").strip().lower(), _limit(context.query("n"))
    found = await context.pullable("", limit, term)
    results = [
        {
            "name": name, "description": await context.storage.database.read(records.description, name), "star_count": 0,
            "is_official": False, "is_automated": False,
        }
        for name in found
    ]  # fmt: skip
    return json_answer({"query": term, "num_results": len(results), "results": results})


def _limit(text: str | None) -> int:
    """Raises Refusal PAGINATION_NUMBER_INVALID."""
    if text is None:
        return _DEFAULT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST):
        raise Refusal("PAGINATION_NUMBER_INVALID", f"Limit {text[:100]} is outside the range of [1, {_MOST}]")
    return int(text)
