"""Services that only look: what the API answers about accounts, repositories and manifests, beyond what the others return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naru.errors import Forbidden, NotFound, Unauthenticated
from naru.hub.catalog import repositories
from naru.hub.catalog.images import Image
from naru.hub.catalog.repositories import DAY_S, Profile, Query
from naru.hub.people import accounts
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import Level, allowed, scope_of
from naru.hub.services.who import Who, level_on, on_repository, user, visible
from naru.oci.digest import Digest
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.records import ManifestRecord


@dataclass(frozen=True, slots=True)
class Me:
    """`name` is that of the account, or `ACCOUNT+ROBOT`; `token` (0: a password) is what they came with, `scope` its, "" for a robot's."""

    account: Account
    name: str
    token: int
    scope: str
    organizations: tuple[tuple[Account, str], ...]


def whoami(c: Connection, who: Who) -> Me:
    """Also for robots. Raises Unauthenticated."""
    principal = who.principal
    account = accounts.by_id(c, principal.account)
    if account is None:
        raise Unauthenticated("authentication required")
    belongs = tuple(accounts.memberships(c, account.id)) if account.is_user and not principal.is_robot else ()
    return Me(account, principal.name, principal.credential, scope_of(principal.reach), belongs)


def organizations(c: Connection, who: Who) -> list[tuple[Account, str]]:
    """One's own, and one's role there."""
    return accounts.memberships(c, user(c, who).id)


def check_sign_up(c: Connection, who: Who, *, is_open: bool) -> None:
    """What `site.sign_up` says, before its caller hashes a password. Raises Forbidden."""
    if not is_open and accounts.has_people(c):
        raise Forbidden("people do not sign up by themselves here")


def search(
    c: Connection, who: Who, query: Query, offset: int, limit: int
) -> tuple[list[tuple[Profile, list[str], list[str]]], int]:
    """A page of repositories, each with its categories and platforms; and how many there are."""
    found, total = repositories.search(c, who.principal, query, offset, limit)
    return [(one, repositories.categories(c, one.id), repositories.platforms(c, one.id)) for one in found], total


def facets(c: Connection, who: Who) -> dict[str, list[tuple[str, int]]]:
    return repositories.facets(c, who.principal)


@dataclass(frozen=True, slots=True)
class Details:
    profile: Profile
    categories: list[str]
    platforms: list[str]
    is_starred: bool
    level: Level
    actions: frozenset[str]


def repository(c: Connection, who: Who, name: str) -> Details:
    """Raises NotFound."""
    profile = visible(c, who, name)
    facts = repositories.facts(c, name)
    assert facts is not None
    return Details(
        profile, repositories.categories(c, profile.id), repositories.platforms(c, profile.id),
        repositories.is_starred(c, profile.id, who.principal.account), level_on(c, who, name), allowed(who.principal, facts),
    )  # fmt: skip


def readme(c: Connection, who: Who, name: str) -> tuple[str, str]:
    """As it was written, and as HTML."""
    return repositories.readme(c, visible(c, who, name).id)


def pulls(c: Connection, who: Who, name: str, days: int, tag: str | None) -> list[tuple[int, int]]:
    """(day since 1970, count) of the last so many days, today included, those without any left out."""
    profile = visible(c, who, name)
    return repositories.pulls_by_day(c, profile.id, int(who.now_s // DAY_S) - days + 1, tag)


@dataclass(frozen=True, slots=True)
class Part:
    """One image that a tag or an index leads to; without `image` if nobody has looked into it (an artifact, or a push just now)."""

    digest: str
    size_bytes: int
    pushed_at: float
    image: Image | None


def parts(c: Connection, repository: int, digest: str) -> list[Part]:
    """Of an image itself, or of an index's children that are there."""
    sql = (
        "SELECT m.digest, m.total_bytes, m.pushed_at, i.os, i.architecture, i.variant, i.config, i.created FROM manifest m "
        "LEFT JOIN image i ON i.repository = m.repository AND i.digest = m.digest WHERE m.repository = ? AND "
        "(m.digest = ? OR m.digest IN (SELECT target FROM reference WHERE repository = ? AND manifest = ?)) ORDER BY m.digest LIMIT 200"
    )
    rows = c.rows(sql, repository, digest, repository, digest)
    found = [
        Part(digest, size, pushed_at, Image(*image) if image[0] is not None else None)
        for digest, size, pushed_at, *image in rows
    ]
    return [part for part in found if part.digest != digest] or found


@dataclass(frozen=True, slots=True)
class ManifestDetails:
    record: ManifestRecord
    payload: bytes
    tags: list[str]
    parts: list[Part]
    referrers: list[ManifestRecord]


def manifest(c: Connection, who: Who, name: str, reference: Digest | str) -> ManifestDetails:
    """By digest, or by the tag that names it. Raises NotFound."""
    profile = visible(c, who, name)
    found = records.manifest_with_payload(c, name, reference)
    if found is None:
        raise NotFound(f"manifest {reference[:200]} of {name}: not found")
    record, payload = found
    return ManifestDetails(
        record, payload, records.tags_of(c, profile.id, record.digest), parts(c, profile.id, record.digest),
        records.referrers(c, name, record.digest, None, "", 100),
    )  # fmt: skip


def tagged_parts(c: Connection, who: Who, name: str, digests: Sequence[str]) -> list[list[Part]]:
    """Those of each of a page's tags."""
    profile = visible(c, who, name)
    return [parts(c, profile.id, digest) for digest in digests]


def can_write(c: Connection, who: Who, name: str) -> Profile:
    """Raises NotFound, Forbidden."""
    return on_repository(c, who, name, Level.WRITE)


def can_delete(c: Connection, who: Who, name: str) -> Profile:
    """A repository whose tags and manifests they may delete; robots with that action too. Raises NotFound, Forbidden."""
    profile = visible(c, who, name)
    facts = repositories.facts(c, name)
    assert facts is not None
    if "delete" not in allowed(who.principal, facts):
        raise Forbidden(f"repository {name}: you may not delete there")
    return profile
