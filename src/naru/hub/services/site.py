"""Services about the whole site: its counts, whom it has, and for its admins what it stores and works at."""

from __future__ import annotations

from dataclasses import dataclass

from naru.errors import Forbidden
from naru.hub import jobs, signingkeys
from naru.hub.catalog import repositories
from naru.hub.jobs import Job
from naru.hub.people import accounts
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import Level, namespace_level
from naru.hub.services import people as people_services
from naru.hub.services.who import Who, admin, on_namespace
from naru.oci.digest import Digest
from naru.registry import garbage, records
from naru.registry.database import Connection
from naru.registry.garbage import Backlog, Explanation


@dataclass(frozen=True, slots=True)
class Counts:
    repositories: int
    tags: int
    pulls: int
    accounts: int


def counts(c: Connection, who: Who) -> Counts:
    """Of everything, private things included: it tells nothing of any one of them."""
    sql = "SELECT count(*), coalesce(sum(pulls), 0), (SELECT count(*) FROM tag), (SELECT count(*) FROM account) FROM profile"
    ((repositories_, pulls, tags, accounts_),) = c.rows(sql)
    return Counts(int(repositories_), int(tags), int(pulls), int(accounts_))


def sign_up(c: Connection, who: Who, name: str, email: str, password: str, full_name: str, *, is_open: bool) -> Account:
    """As `people.sign_up`. Where strangers are not to make accounts, the first one can all the same. Raises Forbidden."""
    if not is_open and accounts.has_people(c):
        raise Forbidden("people do not sign up by themselves here")
    return people_services.sign_up(c, who, name, email, password, full_name)


@dataclass(frozen=True, slots=True)
class Place:
    """An account as its page shows it. `used_bytes` and `organizations` are for those who manage it, else None and empty."""

    account: Account
    level: Level
    is_member: bool
    used_bytes: int | None
    organizations: tuple[tuple[Account, str], ...]


def place(c: Connection, who: Who, name: str) -> Place:
    """Raises NotFound."""
    account = accounts.get(c, name)
    level = namespace_level(who.principal, account.id)
    mine = level is Level.ADMIN
    found = tuple(accounts.memberships(c, account.id)) if mine and account.is_user else ()
    used = repositories.used_bytes(c, account.id) if mine else None
    member = account.id in who.principal.roles or who.principal.is_admin
    return Place(account, level, member, used, found)


def namespaces(c: Connection, who: Who) -> list[str]:
    """Where the caller may make repositories, their own first."""
    account = accounts.by_id(c, who.principal.account)
    if account is None:
        return []
    others = [one.name for one, role in accounts.memberships(c, account.id) if role in ("owner", "editor")]
    return [account.name, *others]


def manages(c: Connection, who: Who, name: str) -> Account:
    """An account whose admin the caller is. Raises NotFound, Forbidden."""
    return on_namespace(c, who, name, Level.ADMIN)


# for the site's admins


def people(c: Connection, who: Who, kind: str, containing: str, after: str, limit: int) -> list[Account]:
    admin(c, who)
    return accounts.list_accounts(c, kind, after, limit, containing)


@dataclass(frozen=True, slots=True)
class Stored:
    counts: dict[str, int]
    backlog: Backlog
    due: tuple[tuple[str, str, str, float, str], ...]  # kind, repository, digest, when, why: the next of the queue


def stored(c: Connection, who: Who) -> Stored:
    admin(c, who)
    sql = (
        "SELECT kind, repository.name, digest, due_at, event FROM review JOIN repository ON repository.id = review.repository "
        "ORDER BY due_at LIMIT 25"
    )
    return Stored(records.counts(c), garbage.backlog(c, who.now_s), tuple(tuple(row) for row in c.rows(sql)))


def largest(c: Connection, who: Who) -> list[tuple[str, int, int]]:
    """Namespaces by the bytes their repositories link: name, bytes, repositories."""
    admin(c, who)
    sql = (
        "SELECT account.name, sum(size_bytes), count(DISTINCT l.repository) FROM "
        "(SELECT DISTINCT namespace, link.repository, digest FROM link JOIN profile ON profile.repository = link.repository) l "
        "JOIN blob ON blob.digest = l.digest JOIN account ON account.id = l.namespace GROUP BY account.name ORDER BY 2 DESC LIMIT 10"
    )
    return [(str(name), int(size), int(count)) for name, size, count in c.rows(sql)]


def explain(c: Connection, who: Who, digest: str) -> Explanation:
    """Why these bytes are kept. Raises InvalidArgument."""
    admin(c, who)
    return garbage.explain(c, Digest.parse(digest.strip()))


def work(c: Connection, who: Who) -> tuple[dict[str, int], list[Job]]:
    admin(c, who)
    return jobs.counts(c), jobs.waiting(c, 100)


def replace_signing_key(c: Connection, who: Who) -> None:
    """Because it has become known, say: every token given out so far ends."""
    admin(c, who)
    signingkeys.replace(c, who.now_s)
    who.note(c, "signing_key.replace")


def check_admin(c: Connection, who: Who) -> None:
    admin(c, who)
