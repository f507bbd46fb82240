"""Services about repositories: making, describing, sharing, starring and deleting them, and the policies of their tags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from naru.errors import InvalidArgument, NotFound
from naru.hub import audit
from naru.hub.catalog import repositories, taglists
from naru.hub.catalog.repositories import Profile
from naru.hub.catalog.taglists import Tag
from naru.hub.catalog.tagpatterns import TagPattern
from naru.hub.outbound import Outbound
from naru.hub.peers import deliveries
from naru.hub.peers.deliveries import Delivery, Webhook
from naru.hub.people import accounts, teams
from naru.hub.people.permissions import Level
from naru.hub.policies import retain, retention
from naru.hub.services.who import Who, admin, on_namespace, on_repository, user, visible
from naru.registry import records
from naru.registry.database import Connection, one
from naru.registry.routes import check_name


def create(c: Connection, who: Who, name: str, *, is_private: bool | None = None, summary: str = "") -> Profile:
    check_name(name)
    owner, slash, _ = name.partition("/")
    if not slash:
        raise InvalidArgument(f"repository {name!r}: is named NAMESPACE/NAME")
    on_namespace(c, who, owner, Level.WRITE)
    accounts.check_line(summary, "summary")
    made = repositories.create(c, name, who.now_s, is_private=is_private)
    if summary:
        repositories.update(c, made.id, who.now_s, summary=summary)
    who.note(c, "repository.create", name, repository=name, is_private=made.is_private)
    return repositories.get(c, name)


def update(c: Connection, who: Who, name: str, values: dict[str, Any]) -> Profile:
    """`summary`, `readme` with `readme_html`, `categories`, `is_private`, `immutable`: the last two take an admin of it."""
    known = {"summary", "readme", "readme_html", "categories", "is_private", "immutable"}
    if unknown := values.keys() - known:
        raise InvalidArgument(f"{sorted(unknown)[0]}: there is no such setting")
    if not values:
        raise InvalidArgument("nothing to change")
    needed = Level.ADMIN if values.keys() & {"is_private", "immutable"} else Level.WRITE
    profile = on_repository(c, who, name, needed)
    rest = dict(values)
    if (categories := rest.pop("categories", None)) is not None:
        repositories.set_categories(c, profile.id, categories)
    accounts.check_line(rest.get("summary", ""), "summary")
    if rest:
        repositories.update(c, profile.id, who.now_s, **rest)
    who.note(c, "repository.update", name, repository=name, fields=sorted(values.keys() - {"readme_html"}))
    return repositories.get(c, name)


def matching_tags(c: Connection, who: Who, name: str, pattern: str, limit: int) -> list[str]:
    """For who sets patterns: which tags one would be about. Raises InvalidArgument."""
    on_repository(c, who, name, Level.ADMIN)
    parsed = TagPattern.parse(pattern)
    found: list[str] = []
    after = ""
    while len(found) < limit and (page := records.tags(c, name, after, 1000)):
        found += filter(parsed.matches, page)
        after = page[-1]
    return found[:limit]


def delete(c: Connection, who: Who, name: str) -> None:
    profile = on_repository(c, who, name, Level.ADMIN)
    deliveries.publish(c, who.now_s, "delete", name, who.principal.name)
    repositories.delete(c, profile, who.now_s)
    who.note(c, "repository.delete", name, repository=name)


def grant(c: Connection, who: Who, name: str, kind: str, holder: str, level: Level) -> None:
    """To an account, or to a team of the repository's organisation; Level.NONE takes it away."""
    profile = on_repository(c, who, name, Level.ADMIN)
    if kind == "account":
        found = accounts.get(c, holder)
        if not found.is_user:
            raise InvalidArgument(f"{holder}: an organisation is given nothing; its teams are")
        holder_id = found.id
    elif kind == "team":
        holder_id = teams.get(c, profile.namespace, holder).id
    else:
        raise InvalidArgument(f"kind {kind[:50]!r}: must be account or team")
    repositories.set_grant(c, profile.id, kind, holder_id, level)
    who.note(c, "permission.set", holder, repository=name, kind=kind, level=level.name.lower())


def grants(c: Connection, who: Who, name: str) -> list[tuple[str, str, Level]]:
    return repositories.named_grants(c, on_repository(c, who, name, Level.ADMIN).id)


def star(c: Connection, who: Who, name: str, *, starred: bool) -> Profile:
    account = user(c, who)
    repositories.set_star(c, visible(c, who, name).id, account.id, starred, who.now_s)
    return repositories.get(c, name)


# tags


def tags(
    c: Connection,
    who: Who,
    name: str,
    *,
    containing: str = "",
    sort: str = "pushed",
    offset: int = 0,
    limit: int = 25,
    total: int | None = None,
) -> tuple[list[Tag], int]:
    """A page of them, and how many there are, if that is not known. Raises InvalidArgument for an unknown sort."""
    profile = visible(c, who, name)
    found = taglists.page(c, profile.id, containing, sort, offset, limit)
    return found, taglists.count(c, profile.id, containing) if total is None else total


def tag(c: Connection, who: Who, name: str, reference: str) -> Tag:
    """Raises NotFound."""
    found = taglists.named(c, visible(c, who, name).id, [reference])
    if not found:
        raise NotFound(f"tag {reference[:150]} of {name}: not found")
    return found[0]


# policies


def set_retention(c: Connection, who: Who, name: str, rules: Any, *, is_enabled: bool) -> None:
    """Raises InvalidArgument, naming the field."""
    profile = on_repository(c, who, name, Level.ADMIN)
    parsed = retention.parse_rules(rules)
    c.run(
        "INSERT INTO retention (repository, rules, is_enabled) VALUES (?, ?, ?) "
        "ON CONFLICT (repository) DO UPDATE SET rules = excluded.rules, is_enabled = excluded.is_enabled",
        profile.id, json.dumps(retention.rules_json(parsed)), int(is_enabled),
    )  # fmt: skip
    if is_enabled:
        retain.schedule(c, name, who.now_s)
    who.note(c, "retention.set", name, repository=name, is_enabled=is_enabled)


def get_retention(c: Connection, who: Who, name: str) -> tuple[list[Any], bool, float | None]:
    """The rules as JSON, whether they are applied, and when they last were."""
    profile = on_repository(c, who, name, Level.ADMIN)
    found = one(c.rows("SELECT rules, is_enabled, ran_at FROM retention WHERE repository = ?", profile.id))
    return (json.loads(found[0]), bool(found[1]), found[2]) if found else ([], False, None)


# webhooks


def create_webhook(
    c: Connection,
    who: Who,
    outbound: Outbound,
    place: str,
    name: str,
    url: str,
    events: Sequence[str],
    *,
    secret: str = "",
    format: str = "naru",
) -> Webhook:
    """`place`: a repository, or a namespace for all of its repositories."""
    namespace, repository = _place(c, who, place)
    outbound.check(url)
    made = deliveries.create(c, namespace, repository, name, url, events, who.now_s, secret=secret, format=format)
    who.note(c, "webhook.create", name, **_noted(place), url=url)
    return made


def webhooks_of(c: Connection, who: Who, place: str) -> list[Webhook]:
    namespace, repository = _place(c, who, place)
    return deliveries.of_namespace(c, namespace) if repository is None else deliveries.of_repository(c, repository)


def webhook(c: Connection, who: Who, place: str, webhook_id: int) -> tuple[Webhook, list[Delivery]]:
    """And its last deliveries. Raises NotFound, also for those of other places."""
    of = _place(c, who, place)
    found = deliveries.get(c, webhook_id)
    if (found.namespace, found.repository) != of:
        raise NotFound(f"webhook {webhook_id}: not found")
    return found, deliveries.of_webhook(c, webhook_id)


def change_webhook(c: Connection, who: Who, place: str, webhook_id: int, *, is_active: bool) -> None:
    found, _ = webhook(c, who, place, webhook_id)
    deliveries.set_active(c, found.id, is_active)
    who.note(c, "webhook.update", found.name, **_noted(place), is_active=is_active)


def delete_webhook(c: Connection, who: Who, place: str, webhook_id: int) -> None:
    found, _ = webhook(c, who, place, webhook_id)
    deliveries.delete(c, found.id)
    who.note(c, "webhook.delete", found.name, **_noted(place))


def ping_webhook(c: Connection, who: Who, place: str, webhook_id: int) -> None:
    found, _ = webhook(c, who, place, webhook_id)
    deliveries.ping(c, found, who.principal.name, who.now_s)


def redeliver(c: Connection, who: Who, place: str, webhook_id: int, delivery: int) -> None:
    """Raises NotFound."""
    _, past = webhook(c, who, place, webhook_id)
    if all(delivery != known.id for known in past):
        raise NotFound(f"delivery {delivery}: not found")
    deliveries.redeliver(c, delivery, who.now_s)


def _place(c: Connection, who: Who, place: str) -> tuple[int, int | None]:
    if "/" in place:
        profile = on_repository(c, who, place, Level.ADMIN)
        return profile.namespace, profile.id
    return on_namespace(c, who, place, Level.ADMIN).id, None


def _noted(place: str) -> dict[str, str]:
    return {"repository": place} if "/" in place else {"namespace": place}


# audit


def audit_of(c: Connection, who: Who, place: str, before: int | None, limit: int) -> list[audit.Entry]:
    """Of a repository or a namespace, for its admins; of everything ("") for those of the site. Names are used again: it begins with
    the account that has this one now."""
    if not place:
        admin(c, who)
        return audit.read(c, before=before, limit=limit)
    _place(c, who, place)
    since_s = accounts.get(c, place.partition("/")[0]).created_at
    return audit.read(c, **_noted(place), since_s=since_s, before=before, limit=limit)
