"""Routes about what has happened (of a repository, an account, everything), and for the site's admins, what it stores and works at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from naru.hub.api import workings
from naru.hub.api.account import SIZE
from naru.hub.api.fields import Field, Number, time_text
from naru.hub.api.repositories import REPOSITORY
from naru.hub.api.routes import Call, Page, Route
from naru.hub.services import repos, site
from naru.oci.image import Json


async def audit(call: Call) -> Page:
    found = await call.hub.read(call.who, repos.audit_of, call.place, call.query.get("before"), call.limit + 1)
    page = found[: call.limit]
    following = {"before": str(page[-1].id)} if len(found) > call.limit else None
    return Page([workings.audit_entry(one) for one in page], following=following)


async def counts(call: Call) -> Json:
    return asdict(await call.hub.database.scan(site.counts, call.who))


async def storage(call: Call) -> Json:
    found = await call.hub.database.scan(site.stored, call.who)
    largest = await call.hub.database.scan(site.largest, call.who)
    backlog = found.backlog
    return {
        **found.counts, "reviews": backlog.reviews, "reviews_due": backlog.due, "discarded": backlog.discarded,
        "oldest_due_at": time_text(backlog.oldest_due_at),
        "largest": [{"namespace": name, "bytes": size, "repositories": count} for name, size, count in largest],
    }  # fmt: skip


async def explain(call: Call) -> Json:
    return workings.explanation(await call.hub.read(call.who, site.explain, call.path["digest"]))


async def jobs(call: Call) -> Json:
    counts, waiting = await call.hub.read(call.who, site.work)
    shown = [
        {
            "kind": one.kind, "subject": one.subject, "attempts": one.attempts, "error": one.error,
            "due_at": time_text(one.due_at),
        }
        for one in waiting
    ]  # fmt: skip
    return {"counts": counts, "waiting": shown}


async def replace_signing_key(call: Call) -> None:
    await call.hub.do(call.who, site.replace_signing_key)
    await call.hub.authority.look()


_QUERY = {"before": Field(Number(), "The entry to go on before"), **SIZE}


def _audits() -> Iterator[Route]:
    for where, whose in ((REPOSITORY, "a repository"), ("/accounts/{account}", "an account and all that is its"), ("", "everything, for admins")):  # fmt: skip
        yield Route("GET", f"{where}/audit", audit, f"What has happened to {whose}, the newest first", workings.AUDIT, query=_QUERY, pages="cursor")  # fmt: skip


ROUTES = (
    *_audits(),
    Route("GET", "/counts", counts, "How much there is of everything", workings.COUNTS, login=False),
    Route("GET", "/admin/storage", storage, "What is stored, and what waits to be collected", workings.STORAGE),
    Route("GET", "/admin/explain/{digest}", explain, "Why the bytes of a digest are kept", workings.EXPLANATION),
    Route("GET", "/admin/jobs", jobs, "What is being worked at", workings.JOBS),
    Route(
        "POST",
        "/admin/signing-key",
        replace_signing_key,
        "A new key for tokens; all that were given out end",
        status=204,
    ),
)
