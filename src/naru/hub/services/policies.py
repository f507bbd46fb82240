"""Services about what a hub does by itself: applying retention rules, copying from and to other registries, having images scanned.

What concerns other servers (upstreams, replication, scanners) is for the site's admins: it is the hub's own hand that reaches out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naru.errors import Conflict, InvalidArgument, NotFound
from naru.hub.catalog import upstreams
from naru.hub.catalog.upstreams import FRESH_S, Upstream
from naru.hub.outbound import Outbound
from naru.hub.peers import replications, scans
from naru.hub.peers.replications import Rule
from naru.hub.peers.scans import Scan, ScannerRecord
from naru.hub.people import accounts
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import Level
from naru.hub.places import Place, registry_url
from naru.hub.policies import retain, retention
from naru.hub.policies.retention import Plan
from naru.hub.services.who import Who, admin, on_repository, visible
from naru.registry import records
from naru.registry.database import Connection, one
from naru.registry.errors import Refusal
from naru.registry.routes import parse_reference

_FRESH_MOST_S = 30 * 86400.0
_SECRET_CHARACTERS = 4000

# retention


def retention_plan(c: Connection, who: Who, name: str, rules: Any = None) -> Plan:
    """What the rules (JSON; None: those that are set) would do now: nothing is changed. May take a while: for `Database.scan`.

    Raises InvalidArgument, naming the field; NotFound if none are set.
    """
    profile = on_repository(c, who, name, Level.ADMIN)
    if rules is not None:
        parsed = retention.parse_rules(rules)
    else:
        parsed = _policy(c, profile.id, name).rules
    tags, manifests = retain.facts(c, profile.id)
    return retention.plan(parsed, tags, manifests, who.now_s)


def retain_now(c: Connection, who: Who, name: str) -> None:
    """The rules that are set, enabled or not, are applied in the background. Raises NotFound if none are."""
    profile = on_repository(c, who, name, Level.ADMIN)
    _policy(c, profile.id, name)
    retain.schedule_now(c, name, who.now_s)
    who.note(c, "retention.run", name, repository=name)


def _policy(c: Connection, repository: int, name: str) -> retain.Policy:
    found = retain.policy(c, repository)
    if found is None:
        raise NotFound(f"repository {name} has no retention rules")
    return found


# namespaces that are copies of other registries


def set_upstream(
    c: Connection,
    who: Who,
    outbound: Outbound,
    namespace: str,
    url: str,
    *,
    username: str = "",
    password: str | None = None,
    fresh_s: float = FRESH_S,
) -> Upstream:
    """`password` None: as it was, if neither registry nor user change. What is seen of the copy is for whom its namespace's setting says.

    Raises InvalidArgument, Forbidden for a registry in the hub's own network, Conflict for a namespace that has repositories of its own.
    """
    admin(c, who)
    account = accounts.get(c, namespace)
    place = _place(outbound, url, username, password or "")
    if not 0 <= fresh_s <= _FRESH_MOST_S:
        raise InvalidArgument(f"fresh_s: must be 0 to {_FRESH_MOST_S:.0f}")
    before = upstreams.find(c, account.id)
    if before is None and _has_repositories(c, account):
        raise Conflict(f"{namespace} has repositories of its own: a copy of a registry begins with none")
    if password is None and before is not None and (before.url, before.username) == (place.url, place.username):
        place = before.place
    upstreams.put(c, account.id, place, fresh_s)
    who.note(c, "upstream.set", place.url, namespace=namespace, username=username, fresh_s=fresh_s)
    return upstreams.get(c, account.id)


def upstream_of(c: Connection, who: Who, namespace: str) -> Upstream:
    """Raises NotFound."""
    admin(c, who)
    return upstreams.get(c, accounts.get(c, namespace).id)


def list_upstreams(c: Connection, who: Who) -> list[Upstream]:
    admin(c, who)
    return upstreams.every(c)


def remove_upstream(c: Connection, who: Who, namespace: str) -> None:
    """What was copied stays. Raises NotFound."""
    admin(c, who)
    account = accounts.get(c, namespace)
    found = upstreams.get(c, account.id)
    upstreams.remove(c, account.id)
    who.note(c, "upstream.remove", found.url, namespace=namespace)


def _has_repositories(c: Connection, account: Account) -> bool:
    return one(c.rows("SELECT 1 FROM profile WHERE namespace = ? LIMIT 1", account.id)) is not None


def _place(outbound: Outbound, url: str, username: str, password: str) -> Place:
    """Raises InvalidArgument, Forbidden."""
    found = registry_url(url)
    outbound.check(found)
    if password and not username:
        raise InvalidArgument("password: without a username")
    for name, text in (("username", username), ("password", password)):
        if len(text) > _SECRET_CHARACTERS or not text.isprintable() or (name == "username" and ":" in text):
            raise InvalidArgument(f"{name}: must be printable, and not longer than {_SECRET_CHARACTERS} characters")
    return Place(found, username, password)


# replication


def create_replication(
    c: Connection,
    who: Who,
    outbound: Outbound,
    name: str,
    direction: str,
    url: str,
    source: str,
    *,
    username: str = "",
    password: str = "",
    destination: str = "",
    tags: str = "",
    trigger: str = replications.MANUAL,
) -> Rule:
    """Raises InvalidArgument, Forbidden, Conflict; NotFound for a rule that pulls into a namespace that is nobody's."""
    admin(c, who)
    place = _place(outbound, url, username, password)
    if direction == replications.PULL and destination:
        owner = accounts.get(c, destination.partition("/")[0])
        if upstreams.find(c, owner.id) is not None:
            raise Conflict(f"{owner.name} is a copy of another registry already")
    made = replications.create(
        c, name, direction, place, source, who.now_s, destination=destination, tags=tags, trigger=trigger
    )
    replications.schedule(c, made, who.now_s)
    who.note(c, "replication.create", name, direction=direction, remote=place.url, source=source, trigger=trigger)
    return made


def list_replications(c: Connection, who: Who) -> list[Rule]:
    admin(c, who)
    return replications.every(c)


def enable_replication(c: Connection, who: Who, name: str, *, is_enabled: bool) -> Rule:
    admin(c, who)
    replications.set_enabled(c, replications.get(c, name).id, is_enabled)
    changed = replications.get(c, name)
    replications.schedule(c, changed, who.now_s)
    who.note(c, "replication.update", name, is_enabled=is_enabled)
    return changed


def delete_replication(c: Connection, who: Who, name: str) -> None:
    admin(c, who)
    replications.delete(c, replications.get(c, name).id)
    who.note(c, "replication.delete", name)


def run_replication(c: Connection, who: Who, name: str) -> None:
    """Now, enabled or not, in the background."""
    admin(c, who)
    replications.run_now(c, replications.get(c, name), who.now_s)
    who.note(c, "replication.start", name)


# scanners


def add_scanner(
    c: Connection, who: Who, outbound: Outbound, name: str, url: str, authorization: str = ""
) -> ScannerRecord:
    """The first one is the default, which scans whatever is pushed. `authorization`: the header's value, "" for none.

    Raises InvalidArgument, Forbidden, Conflict. Whether a scanner answers there is `scanner.Scanner.metadata`'s to say.
    """
    admin(c, who)
    outbound.check(url)
    made = scans.add_scanner(c, name, url, authorization, who.now_s)
    who.note(c, "scanner.add", name, url=url)
    return made


def list_scanners(c: Connection, who: Who) -> list[ScannerRecord]:
    admin(c, who)
    return scans.scanners(c)


def remove_scanner(c: Connection, who: Who, name: str) -> None:
    """With what it has found."""
    admin(c, who)
    scans.remove_scanner(c, scans.scanner(c, name).id)
    who.note(c, "scanner.remove", name)


def set_default_scanner(c: Connection, who: Who, name: str) -> None:
    """ "": what is pushed is not scanned by itself."""
    admin(c, who)
    scans.make_default(c, scans.scanner(c, name).id if name else None)
    who.note(c, "scanner.default", name)


# scans


@dataclass(frozen=True, slots=True)
class Started:
    digests: tuple[str, ...]


def scan_now(c: Connection, who: Who, name: str, reference: str, *, scanner: str = "") -> Started:
    """An image, or all of an index, by tag or digest; by the default scanner, or another. Raises NotFound, Conflict without a scanner."""
    profile = on_repository(c, who, name, Level.WRITE)
    chosen = scans.scanner(c, scanner) if scanner else scans.default_scanner(c)
    if chosen is None:
        raise Conflict("there is no scanner: an admin of the site can add one")
    digests = _images(c, profile.id, name, reference)
    for digest in digests:
        scans.start(c, profile.id, name, digest, chosen.id, who.now_s)
    who.note(c, "scan.start", reference, repository=name, scanner=chosen.name, images=len(digests))
    return Started(digests)


def scans_of(c: Connection, who: Who, name: str, reference: str) -> list[Scan]:
    """What is known of an image, or of those an index lists, without the reports. Raises NotFound."""
    profile = visible(c, who, name)
    return scans.of_image(c, profile.id, _digest(c, name, reference))


def scan_report(c: Connection, who: Who, name: str, reference: str) -> Scan:
    """Of one image, with report and SBOM. Raises NotFound."""
    profile = visible(c, who, name)
    digest = _digest(c, name, reference)
    found = scans.find(c, profile.id, digest)
    if found is None:
        raise NotFound(f"scan of {name}@{digest}: not found")
    return found


def _digest(c: Connection, name: str, reference: str) -> str:
    """Raises NotFound."""
    try:
        record = records.manifest(c, name, parse_reference(reference))
    except Refusal:
        record = None
    if record is None:
        raise NotFound(f"manifest {reference[:150]} of {name}: not found")
    return record.digest


def _images(c: Connection, repository: int, name: str, reference: str) -> tuple[str, ...]:
    """The manifests that an index lists, as far as they are here; or the one itself."""
    digest = _digest(c, name, reference)
    sql = (
        "SELECT part.digest FROM reference JOIN manifest part ON part.repository = reference.repository AND part.digest = target "
        "WHERE reference.repository = ? AND manifest = ? ORDER BY part.digest LIMIT 100"
    )
    return tuple(str(part) for (part,) in c.rows(sql, repository, digest)) or (digest,)
