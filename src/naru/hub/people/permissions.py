"""Who may do what with which repository: pure, and the only place where it is decided.

Two questions, always both: what does the account hold (its Level), and what does the credential it used let through (its Reach)? The
answer is the intersection. The table of test_permissions.py has every cell.

| level | from | may |
|---|---|---|
| READ | the repository is public; a grant | pull |
| WRITE | a grant; editor of the organisation | push, delete tags and manifests |
| ADMIN | its own namespace; owner of the organisation; a grant; the site's admins | settings, grants, deletion |
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from naru.errors import InvalidArgument

ROLES = ("owner", "editor", "member")


class Level(IntEnum):
    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3

    @classmethod
    def parse(cls, text: str) -> Level:
        """Raises InvalidArgument."""
        if text not in ("read", "write", "admin"):
            raise InvalidArgument(f"permission {text[:50]!r}: must be one of read, write, admin")
        return cls[text.upper()]


# action of a token's scope → level it takes
ACTIONS = {"pull": Level.READ, "push": Level.WRITE, "delete": Level.WRITE}
# scope of a personal access token → actions it lets through, at most; the words are Docker Hub's four, shortened
SCOPES: Mapping[str, frozenset[str]] = {
    "public": frozenset({"pull"}),  # of public repositories only
    "read": frozenset({"pull"}),
    "write": frozenset({"pull", "push"}),
    "delete": frozenset({"pull", "push", "delete"}),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """What a credential lets through of what its account may do.

    `actions` everywhere, on public repositories only if `public_only`; or, for a robot, which holds nothing else, `grants`: glob of
    repository names → actions. `maker`, of a robot: the account that has made it, for the grants that are in namespaces of others.
    """

    actions: frozenset[str] = frozenset(ACTIONS)
    public_only: bool = False
    grants: Mapping[str, frozenset[str]] | None = None
    maker: int = 0

    def on(self, name: str) -> frozenset[str]:
        """The actions that get through, on this repository."""
        if self.grants is None:
            return self.actions
        matching = (actions for pattern, actions in self.grants.items() if fnmatch.fnmatchcase(name, pattern))
        return frozenset().union(*matching)


EVERYTHING = Reach()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `account` is 0 for nobody in particular. `roles`: organisation's id → role; `teams`: ids of teams."""

    account: int = 0
    name: str = ""
    is_admin: bool = False
    roles: Mapping[int, str] = field(default_factory=dict)
    teams: frozenset[int] = frozenset()
    reach: Reach = EVERYTHING
    credential: int = 0  # 0: a password, a browser

    @property
    def is_robot(self) -> bool:
        return self.reach.grants is not None


ANYBODY = Principal(reach=Reach(frozenset({"pull"}), public_only=True))


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """What a decision needs to know. `grants`: (kind of holder, id) → level."""

    name: str
    namespace: int
    is_private: bool
    grants: Mapping[tuple[str, int], Level] = field(default_factory=dict)


def namespace_level(principal: Principal, namespace: int) -> Level:
    """On every repository of a namespace, those that are yet to be made included."""
    if principal.is_robot:
        return Level.NONE
    if principal.is_admin or (principal.account and namespace == principal.account):
        return Level.ADMIN
    return {"owner": Level.ADMIN, "editor": Level.WRITE}.get(principal.roles.get(namespace, ""), Level.NONE)


def level(principal: Principal, facts: RepositoryFacts) -> Level:
    """What the account holds, whatever credential it used. Of a robot: what is public."""
    held = [namespace_level(principal, facts.namespace)]
    if not facts.is_private:
        held.append(Level.READ)
    if principal.account and not principal.is_robot:
        held.append(facts.grants.get(("account", principal.account), Level.NONE))
        held.extend(facts.grants.get(("team", team), Level.NONE) for team in principal.teams)
    return max(held)


def allowed(principal: Principal, facts: RepositoryFacts) -> frozenset[str]:
    """The actions of a token's scope that this principal may do here."""
    reach = principal.reach
    if principal.is_robot:
        public = frozenset() if facts.is_private else frozenset({"pull"})
        return reach.on(facts.name) | public
    if reach.public_only and facts.is_private:
        return frozenset()
    mine = level(principal, facts)
    return frozenset(action for action, needed in ACTIONS.items() if mine >= needed) & reach.on(facts.name)


def may_create(principal: Principal, namespace: int, name: str) -> frozenset[str]:
    """The actions on a repository that does not exist, in a namespace that does: pushing makes it."""
    if principal.is_robot:
        mine = principal.reach.on(name)
        return mine if "push" in mine else frozenset()
    if namespace_level(principal, namespace) < Level.WRITE or principal.reach.public_only:
        return frozenset()
    return frozenset(ACTIONS) & principal.reach.on(name)


_PATTERN = re.compile(r"[a-z0-9._/*-]{1,255}")


def parse_robot_grants(value: Any) -> Reach:
    """`[{"repository": "acme/*", "actions": ["pull", "push"]}, …]`. Raises InvalidArgument, naming the field."""
    if not isinstance(value, list) or not 1 <= len(value) <= 100:
        raise InvalidArgument("permissions: must be a list of 1 to 100 entries")
    grants: dict[str, frozenset[str]] = {}
    for number, entry in enumerate(value):
        where = f"permissions[{number}]"
        if not isinstance(entry, dict):
            raise InvalidArgument(f"{where}: must be an object")
        pattern, actions = entry.get("repository"), entry.get("actions")
        if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern) or "*" in pattern.partition("/")[0]:
            raise InvalidArgument(f"{where}.repository: must be NAMESPACE/NAME, in which NAME may have *")
        if not isinstance(actions, list) or not actions or not all(isinstance(one, str) for one in actions):
            raise InvalidArgument(f"{where}.actions: must be a list of words")
        if unknown := set(actions) - set(ACTIONS):
            raise InvalidArgument(f"{where}.actions: {sorted(unknown)[0][:50]!r} is none of pull, push, delete")
        grants[pattern] = grants.get(pattern, frozenset()) | frozenset(actions)
    return Reach(grants=grants)


def dump_reach(reach: Reach) -> str:
    """How a credential's reach is kept."""
    if reach.grants is not None:
        entries = [{"repository": name, "actions": sorted(actions)} for name, actions in reach.grants.items()]
        return json.dumps({"permissions": entries, "maker": reach.maker})
    return json.dumps({"scope": scope_of(reach)})


def scope_of(reach: Reach) -> str:
    """The word for it; "" for a robot's."""
    return next((name for name in SCOPES if _of_scope(name) == reach), "")


def load_reach(text: str) -> Reach:
    value = json.loads(text)
    if "permissions" not in value:
        return parse_scope(value["scope"])
    return replace(parse_robot_grants(value["permissions"]), maker=value.get("maker", 0))


def parse_scope(scope: str) -> Reach:
    """Raises InvalidArgument."""
    if scope not in SCOPES:
        raise InvalidArgument(f"scope {scope[:50]!r}: must be one of {', '.join(SCOPES)}")
    return _of_scope(scope)


def _of_scope(scope: str) -> Reach:
    return Reach(SCOPES[scope], public_only=scope == "public")
