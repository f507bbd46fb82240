"""Who asks a service, and what they may do: every service begins here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naru.errors import Forbidden, NotFound, Unauthenticated
from naru.hub import audit
from naru.hub.audit import Actor
from naru.hub.catalog import repositories
from naru.hub.catalog.repositories import Profile
from naru.hub.people import accounts
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import ACTIONS, Level, Principal, allowed, level, namespace_level
from naru.registry.database import Connection

# what a credential must let through for its account to use this level by it
_NEEDS = {Level.READ: "pull", Level.WRITE: "push", Level.ADMIN: "delete"}


@dataclass(frozen=True, slots=True)
class Who:
    principal: Principal
    address: str
    now_s: float

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.name, self.address)

    def note(self, c: Connection, action: str, object: str = "", **more: Any) -> None:
        """Into the audit log."""
        audit.write(c, self.now_s, self.actor, action, object, **more)


def user(c: Connection, who: Who) -> Account:
    """The person who asks. Raises Unauthenticated for nobody, Forbidden for robots and organisations."""
    if not who.principal.account:
        raise Unauthenticated("log in first")
    account = accounts.by_id(c, who.principal.account)
    if account is None or not account.is_user or who.principal.is_robot:
        raise Forbidden("only people can do this")
    return account


def manager(c: Connection, who: Who) -> Account:
    """The person who asks, by means that let everything through. Raises as `user`; Forbidden for a token with less."""
    account = user(c, who)
    if who.principal.reach.actions != frozenset(ACTIONS):
        raise Forbidden("the token's scope does not allow this: it takes scope delete")
    return account


def admin(c: Connection, who: Who) -> Account:
    """Raises as `manager`; Forbidden for all but the site's admins."""
    account = manager(c, who)
    if not account.is_admin:
        raise Forbidden("only admins can do this")
    return account


def visible(c: Connection, who: Who, name: str) -> Profile:
    """A repository that they may at least pull from. Raises NotFound."""
    facts = repositories.facts(c, name)
    if facts is None or "pull" not in allowed(who.principal, facts):
        raise NotFound(f"repository {name[:200]}: not found")
    return repositories.get(c, name)


def on_repository(c: Connection, who: Who, name: str, needed: Level) -> Profile:
    """Raises NotFound; Forbidden for less than this."""
    profile = visible(c, who, name)
    facts = repositories.facts(c, name)
    assert facts is not None
    if needed is Level.READ:
        return profile
    if who.principal.is_robot or level(who.principal, facts) < needed:
        raise Forbidden(f"repository {name}: this takes {needed.name.lower()} permission")
    if _NEEDS[needed] not in who.principal.reach.on(name):
        raise Forbidden(f"repository {name}: the token's scope does not allow this")
    return profile


def level_on(c: Connection, who: Who, name: str) -> Level:
    """What they hold there: for pages, to show what they can do."""
    facts = repositories.facts(c, name)
    return level(who.principal, facts) if facts else Level.NONE


def on_namespace(c: Connection, who: Who, name: str, needed: Level) -> Account:
    """An account whose repositories they may manage: their own, or an organisation's. Raises NotFound, Forbidden."""
    account = accounts.get(c, name)
    if namespace_level(who.principal, account.id) < needed:
        raise Forbidden(f"{name}: this takes {needed.name.lower()} permission")
    if _NEEDS[needed] not in who.principal.reach.actions:
        raise Forbidden(f"{name}: the token's scope does not allow this")
    return account


def organization(c: Connection, who: Who, name: str, needed: Level) -> Account:
    """Raises as `on_namespace`; NotFound for a person."""
    account = accounts.find(c, name)
    if account is None or account.is_user:
        raise NotFound(f"organization {name[:100]}: not found")
    return on_namespace(c, who, name, needed)
