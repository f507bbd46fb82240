"""Teams of organisations: some of its members, to whom repositories give what they give to all of them. Functions of a Connection.

team              id → organization, name
 └── team_member     (team, account)
"""

from __future__ import annotations

from dataclasses import dataclass

from naru.errors import Conflict, NotFound
from naru.hub.people import accounts
from naru.registry.database import Connection, one


@dataclass(frozen=True, slots=True)
class Team:
    id: int
    organization: int
    name: str
    about: str


def create(c: Connection, organization: int, name: str, about: str = "") -> Team:
    """Raises InvalidArgument, Conflict."""
    accounts.check_name(name)
    made = c.run(
        "INSERT INTO team (organization, name, about) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        organization, name, about[:accounts.TEXT_LIMIT],
    )  # fmt: skip
    if not made:
        raise Conflict(f"team {name!r} exists")
    return get(c, organization, name)


def get(c: Connection, organization: int, name: str) -> Team:
    """Raises NotFound."""
    sql = "SELECT id, organization, name, about FROM team WHERE organization = ? AND name = ?"
    found = one(c.rows(sql, organization, name))
    if found is None:
        raise NotFound(f"team {name[:100]}: not found")
    return Team(*found)


def of_organization(c: Connection, organization: int) -> list[tuple[Team, list[str]]]:
    """With the names of who is in them."""
    sql = (
        "SELECT team.id, team.organization, team.name, team.about, account.name FROM team LEFT JOIN team_member ON team_member.team = team.id "
        "LEFT JOIN account ON account.id = team_member.account WHERE team.organization = ? ORDER BY team.name, account.name"
    )
    found: dict[Team, list[str]] = {}
    for *values, member in c.rows(sql, organization):
        members = found.setdefault(Team(*values), [])
        if member is not None:
            members.append(str(member))
    return list(found.items())


def delete(c: Connection, team: Team) -> None:
    c.run("DELETE FROM permission WHERE holder_kind = 'team' AND holder = ?", team.id)
    c.run("DELETE FROM team WHERE id = ?", team.id)


def add_member(c: Connection, team: Team, account: int) -> None:
    """Raises Conflict for one who is no member of the organisation."""
    if not accounts.role(c, team.organization, account):
        raise Conflict("only members of the organisation can be in its teams")
    c.run("INSERT INTO team_member (team, account) VALUES (?, ?) ON CONFLICT DO NOTHING", team.id, account)


def remove_member(c: Connection, team: Team, account: int) -> None:
    c.run("DELETE FROM team_member WHERE team = ? AND account = ?", team.id, account)
