"""Services about accounts: signing up, profiles, second factors, tokens, organisations, teams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from naru.errors import Conflict, Forbidden, InvalidArgument, NotFound
from naru.hub.people import accounts, credentials, teams
from naru.hub.people.accounts import Account
from naru.hub.people.credentials import Credential
from naru.hub.people.permissions import Level, Reach, parse_robot_grants, parse_scope
from naru.hub.people.teams import Team
from naru.hub.services import sessions
from naru.hub.services.who import Who, admin, manager, on_namespace, organization, user
from naru.registry.database import Connection


def _check_official(name: str, *, is_admin: bool) -> None:
    """Whoever has that namespace answers for every name without one. Raises Forbidden."""
    if name == accounts.OFFICIAL and not is_admin:
        raise Forbidden(f"name {name!r} is for the site's admins to take")


def sign_up(c: Connection, who: Who, name: str, email: str, password: str, full_name: str = "") -> Account:
    """`password` is its hash. The first account of a hub is its admin. Raises InvalidArgument, Conflict."""
    first = not accounts.has_people(c)
    _check_official(name, is_admin=first)
    made = accounts.create(
        c, name, accounts.USER, who.now_s, password=password, email=email, full_name=full_name, is_admin=first
    )
    who.note(c, "account.create", name, namespace=name, is_admin=first)
    return made


def create_account(c: Connection, who: Who, name: str, email: str, password: str, *, is_admin: bool = False) -> Account:
    """By an admin."""
    admin(c, who)
    made = accounts.create(c, name, accounts.USER, who.now_s, password=password, email=email, is_admin=is_admin)
    who.note(c, "account.create", name, namespace=name, is_admin=is_admin)
    return made


_OWN = frozenset({"email", "full_name", "about", "is_private"})
_ADMINS = frozenset({"badge", "is_admin", "is_disabled", "quota_bytes"})


def update_account(c: Connection, who: Who, name: str, values: dict[str, Any]) -> Account:
    """Oneself, an organisation one owns, or, for admins, anybody: `_OWN`, and for admins also `_ADMINS`."""
    if unknown := values.keys() - _OWN - _ADMINS:
        raise InvalidArgument(f"{sorted(unknown)[0]}: there is no such setting")
    if not values:
        raise InvalidArgument("nothing to change")
    if values.keys() & _ADMINS:
        admin(c, who)
    account = on_namespace(c, who, name, Level.ADMIN)
    if values.get("is_admin") and not account.is_user:
        raise InvalidArgument(f"{name}: only people are admins of the site")
    if (
        account.is_admin
        and (values.get("is_admin") is False or values.get("is_disabled"))
        and account.id == who.principal.account
    ):
        raise Conflict("admins do not lock themselves out: another admin can do this")
    accounts.update(c, account.id, **values)
    if values.get("is_disabled"):
        credentials.close_browsers(c, account.id)
    who.note(c, "account.update", name, namespace=name, fields=sorted(values))
    return accounts.get(c, name)


def set_password(c: Connection, who: Who, name: str, password: str, keep_browser: str = "") -> None:
    """`password` is its hash; whoever changes their own has shown the old one. Every other session and login ends."""
    account = accounts.get(c, name)
    if account.id != manager(c, who).id:
        admin(c, who)
    if not account.is_user:
        raise InvalidArgument("organisations have no password")
    accounts.update(c, account.id, password=password)
    credentials.close_browsers(c, account.id, keep_browser)
    credentials.delete_all(c, account.id, credentials.LOGIN)
    sessions.forget_tickets(c, account.id)
    who.note(c, "account.password", name, namespace=name)


def delete_account(c: Connection, who: Who, name: str) -> None:
    account = on_namespace(c, who, name, Level.ADMIN)
    accounts.delete(c, account)
    who.note(c, "account.delete", name, namespace=name)


# second factor


def enable_totp(c: Connection, who: Who, secret: str, step: int, recovery: Sequence[str]) -> None:
    """The caller has seen a code of this secret, of this step; `recovery` are digests."""
    account = manager(c, who)
    accounts.update(c, account.id, totp_secret=secret, totp_step=step)
    accounts.set_recovery_codes(c, account.id, list(recovery))
    who.note(c, "account.totp.enable", account.name, namespace=account.name)


def disable_totp(c: Connection, who: Who, name: str) -> None:
    """One's own, or, for admins, of somebody who has lost theirs."""
    account = accounts.get(c, name)
    if account.id != manager(c, who).id:
        admin(c, who)
    accounts.update(c, account.id, totp_secret=None)
    accounts.set_recovery_codes(c, account.id, [])
    who.note(c, "account.totp.disable", name, namespace=name)


# tokens


def create_token(c: Connection, who: Who, name: str, scope: str, expires_at: float | None) -> tuple[Credential, str]:
    """A personal access token, and its secret."""
    account = manager(c, who)
    made = credentials.create(c, account, credentials.PERSONAL, name, parse_scope(scope), expires_at, who.now_s)
    who.note(c, "token.create", name, namespace=account.name, scope=scope, expires_at=expires_at)
    return made


def tokens(c: Connection, who: Who) -> list[Credential]:
    """One's own, and one's logins."""
    account = user(c, who)
    kinds = (credentials.PERSONAL, credentials.LOGIN)
    return [one for kind in kinds for one in credentials.of_account(c, account.id, kind)]


def create_robot(
    c: Connection, who: Who, owner: str, name: str, permissions: Any, expires_at: float | None
) -> tuple[Credential, str]:
    """One of an organisation's (or one's own) robots, and its secret. It gets no more than its maker could do, anywhere; and in
    namespaces of others, for as long as its maker can."""
    account = on_namespace(c, who, owner, Level.ADMIN)
    reach = replace(parse_robot_grants(permissions), maker=who.principal.account)
    _check_reach(c, who, reach)
    made = credentials.create(c, account, credentials.ROBOT, name, reach, expires_at, who.now_s)
    who.note(c, "robot.create", name, namespace=owner, permissions=permissions, expires_at=expires_at)
    return made


def _check_reach(c: Connection, who: Who, reach: Reach) -> None:
    for pattern in reach.grants or ():
        on_namespace(c, who, pattern.partition("/")[0], Level.ADMIN)


def robots(c: Connection, who: Who, owner: str) -> list[Credential]:
    return credentials.of_account(c, on_namespace(c, who, owner, Level.ADMIN).id, credentials.ROBOT)


def _credential(c: Connection, who: Who, owner: str, credential: int) -> Credential:
    account = accounts.get(c, owner)
    if account.id == who.principal.account:
        manager(c, who)
    else:
        on_namespace(c, who, owner, Level.ADMIN)
    return credentials.get(c, account.id, credential)


def set_token_disabled(c: Connection, who: Who, owner: str, credential: int, is_disabled: bool) -> None:
    """Of a robot or of a token."""
    found = _credential(c, who, owner, credential)
    credentials.set_disabled(c, found.id, is_disabled)
    who.note(c, f"{_kind(found)}.update", found.name, namespace=owner, is_disabled=is_disabled)


def delete_token(c: Connection, who: Who, owner: str, credential: int) -> None:
    found = _credential(c, who, owner, credential)
    credentials.delete(c, found.id)
    who.note(c, f"{_kind(found)}.delete", found.name, namespace=owner)


def _kind(credential: Credential) -> str:
    return "robot" if credential.kind == credentials.ROBOT else "token"


# organisations


def create_organization(c: Connection, who: Who, name: str, full_name: str = "") -> Account:
    account = manager(c, who)
    _check_official(name, is_admin=account.is_admin)
    made = accounts.create_organization(c, name, account.id, who.now_s, full_name)
    who.note(c, "organization.create", name, namespace=name)
    return made


def set_member(c: Connection, who: Who, name: str, member: str, role: str) -> None:
    found = organization(c, who, name, Level.ADMIN)
    account = accounts.get(c, member)
    if not account.is_user:
        raise InvalidArgument(f"{member}: only people are members")
    accounts.set_role(c, found.id, account.id, role)
    who.note(c, "member.set", member, namespace=name, role=role)


def remove_member(c: Connection, who: Who, name: str, member: str) -> None:
    """By an owner, or oneself."""
    account = accounts.get(c, member)
    if account.id == who.principal.account:
        manager(c, who)
        found = accounts.get(c, name)
    else:
        found = organization(c, who, name, Level.ADMIN)
    if not accounts.role(c, found.id, account.id):
        raise NotFound(f"member {member[:100]}: not found")
    accounts.remove_member(c, found.id, account.id)
    who.note(c, "member.remove", member, namespace=name)


def members(c: Connection, who: Who, name: str, after: str, limit: int) -> list[tuple[Account, str]]:
    """For members of it and admins."""
    found = accounts.get(c, name)
    if found.is_user:
        raise NotFound(f"organization {name[:100]}: not found")
    if not who.principal.is_admin and found.id not in who.principal.roles:
        raise Forbidden(f"{name}: only its members see who else is one")
    return accounts.members(c, found.id, after, limit)


def create_team(c: Connection, who: Who, name: str, team: str, about: str = "") -> Team:
    found = organization(c, who, name, Level.ADMIN)
    made = teams.create(c, found.id, team, about)
    who.note(c, "team.create", team, namespace=name)
    return made


def delete_team(c: Connection, who: Who, name: str, team: str) -> None:
    found = organization(c, who, name, Level.ADMIN)
    teams.delete(c, teams.get(c, found.id, team))
    who.note(c, "team.delete", team, namespace=name)


def list_teams(c: Connection, who: Who, name: str) -> list[tuple[Team, list[str]]]:
    """With the names of who is in them; for members of the organisation and admins."""
    found = accounts.get(c, name)
    if found.is_user or not (who.principal.is_admin or found.id in who.principal.roles):
        raise Forbidden(f"{name}: only its members see its teams")
    return teams.of_organization(c, found.id)


def set_team_member(c: Connection, who: Who, name: str, team: str, member: str, *, is_member: bool) -> None:
    found = organization(c, who, name, Level.ADMIN)
    account = accounts.get(c, member)
    change = teams.add_member if is_member else teams.remove_member
    change(c, teams.get(c, found.id, team), account.id)
    who.note(c, "team.member.add" if is_member else "team.member.remove", member, namespace=name, team=team)
