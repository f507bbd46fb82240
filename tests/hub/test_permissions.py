"""Every cell: who, on what, by which credential."""

from __future__ import annotations

import itertools

import pytest

from naru.errors import InvalidArgument
from naru.hub.people.permissions import (
    ANYBODY,
    EVERYTHING,
    SCOPES,
    Level,
    Principal,
    Reach,
    RepositoryFacts,
    allowed,
    dump_reach,
    level,
    load_reach,
    may_create,
    namespace_level,
    parse_robot_grants,
    parse_scope,
)

ANN, BOB, ORG, OTHER = 1, 2, 10, 11
TEAM = 100

PEOPLE = {
    "anybody": ANYBODY,
    "stranger": Principal(BOB, "bob"),
    "self": Principal(ANN, "ann"),
    "site admin": Principal(BOB, "bob", is_admin=True),
    "owner": Principal(BOB, "bob", roles={ORG: "owner"}),
    "editor": Principal(BOB, "bob", roles={ORG: "editor"}),
    "member": Principal(BOB, "bob", roles={ORG: "member"}),
    "member in team": Principal(BOB, "bob", roles={ORG: "member"}, teams=frozenset({TEAM})),
    "owner elsewhere": Principal(BOB, "bob", roles={OTHER: "owner"}),
}
# who → level on (a private repository of ORG, the same public); the team was given WRITE
ORGANIZATION = {
    "anybody": ("NONE", "READ"), "stranger": ("NONE", "READ"), "self": ("NONE", "READ"), "site admin": ("ADMIN", "ADMIN"),
    "owner": ("ADMIN", "ADMIN"), "editor": ("WRITE", "WRITE"), "member": ("NONE", "READ"),
    "member in team": ("WRITE", "WRITE"), "owner elsewhere": ("NONE", "READ"),
}  # fmt: skip
# on a repository of ann's, where bob was given nothing
PERSONAL = {name: ("ADMIN", "ADMIN") if name in ("self", "site admin") else ("NONE", "READ") for name in PEOPLE}


@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize(("namespace", "table"), [(ORG, ORGANIZATION), (ANN, PERSONAL)])
@pytest.mark.parametrize("who", PEOPLE)
def test_levels(who: str, namespace: int, table: dict[str, tuple[str, str]], is_private: bool) -> None:
    grants = {("team", TEAM): Level.WRITE} if namespace == ORG else {}
    facts = RepositoryFacts("x/y", namespace, is_private, grants)
    assert level(PEOPLE[who], facts).name == table[who][0 if is_private else 1]


ACTIONS_OF = {
    Level.NONE: set(), Level.READ: {"pull"}, Level.WRITE: {"pull", "push", "delete"}, Level.ADMIN: {"pull", "push", "delete"},
}  # fmt: skip


@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize("held", list(Level))
@pytest.mark.parametrize("scope", [None, *SCOPES])
def test_a_token_lets_through_no_more_than_its_scope_and_its_account(
    scope: str | None, held: Level, is_private: bool
) -> None:
    reach = parse_scope(scope) if scope else EVERYTHING
    facts = RepositoryFacts("x/y", ORG, is_private, {("account", BOB): held} if held else {})
    expected = set(ACTIONS_OF[held])
    if not is_private:
        expected |= {"pull"}
    if scope:
        expected &= SCOPES[scope]
    if scope == "public" and is_private:
        expected = set()
    assert allowed(Principal(BOB, "bob", reach=reach), facts) == expected


@pytest.mark.parametrize(("kind", "holder"), [("account", BOB), ("account", ANN), ("team", TEAM), ("team", BOB)])
def test_grants_count_for_whom_they_were_made(kind: str, holder: int) -> None:
    facts = RepositoryFacts("x/y", ORG, True, {(kind, holder): Level.READ})
    who = Principal(BOB, "bob", roles={ORG: "member"}, teams=frozenset({TEAM}))
    assert (level(who, facts) is Level.READ) == ((kind, holder) in (("account", BOB), ("team", TEAM)))


def test_robots_do_what_they_were_given_and_read_what_is_public() -> None:
    reach = Reach(
        grants={"acme/*": frozenset({"push"}), "acme/web": frozenset({"pull"}), "other/tool": frozenset({"delete"})}
    )
    robot = Principal(ORG, "acme+ci", reach=reach)
    for name, is_private, expected in (
        ("acme/web", True, {"pull", "push"}), ("acme/api", True, {"push"}), ("acme/api", False, {"pull", "push"}),
        ("acme/deep/er", True, {"push"}), ("other/tool", True, {"delete"}), ("other/tool2", True, set()), ("acme", True, set()),
        ("acmes/web", True, set()),
    ):  # fmt: skip
        assert allowed(robot, RepositoryFacts(name, ORG, is_private)) == expected, name
    assert namespace_level(robot, ORG) is Level.NONE  # not even its own organisation's settings
    assert may_create(robot, ORG, "acme/new") == {"push"}
    assert may_create(robot, OTHER, "other/tool") == set()  # without push it makes nothing


@pytest.mark.parametrize("who", PEOPLE)
def test_who_may_push_what_is_not_there_yet(who: str) -> None:
    creators = {"site admin", "owner", "editor"}
    assert bool(may_create(PEOPLE[who], ORG, "acme/new")) == (who in creators)
    assert bool(may_create(PEOPLE[who], ANN, "ann/new")) == (who in {"self", "site admin"})


@pytest.mark.parametrize(("scope", "expected"), [("public", set()), ("read", {"pull"}), ("write", {"pull", "push"})])
def test_a_scope_counts_there_too(scope: str, expected: set[str]) -> None:
    assert may_create(Principal(ANN, "ann", reach=parse_scope(scope)), ANN, "ann/new") == expected


@pytest.mark.parametrize(
    "value",
    [
        None, [], {}, "acme/*", [1], [{"repository": "acme/*"}], [{"repository": "*", "actions": ["pull"]}],
        [{"repository": "*/web", "actions": ["pull"]}], [{"repository": "acme/[a]", "actions": ["pull"]}],
        [{"repository": "acme/*", "actions": []}], [{"repository": "acme/*", "actions": ["admin"]}],
        [{"repository": "acme/*", "actions": "pull"}], [{"repository": "acme/*", "actions": [["pull"]]}],
        [{"repository": "acme/*", "actions": ["pull"]}] * 101,
    ],
)  # fmt: skip
def test_permissions_that_are_none_are_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidArgument, match="permissions"):
        parse_robot_grants(value)


def test_what_is_kept_is_what_it_was() -> None:
    reaches = [parse_scope(scope) for scope in SCOPES]
    reaches += [
        parse_robot_grants([{"repository": "a/*", "actions": ["pull"]}, {"repository": "b/c", "actions": ["push"]}])
    ]
    for one, other in itertools.product(reaches, reaches):
        assert (load_reach(dump_reach(one)) == other) == (one == other)
    with pytest.raises(InvalidArgument):
        parse_scope("everything")
