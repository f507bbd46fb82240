"""Accounts: people, and the organisations they belong to. Functions of a Connection; who may call them is decided above.

account        id → name, kind (user, organization), password, …   its name is the namespace of its repositories
 ├── recovery_code   (account, digest)         each is good once, instead of a code of the phone
 └── member          (organization, account) → role: owner, editor, member
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naru.errors import Conflict, InvalidArgument, NotFound
from naru.hub.people.permissions import EVERYTHING, ROLES, Level, Principal, Reach, namespace_level
from naru.registry import records
from naru.registry.database import Connection, Row, marks, one

USER, ORGANIZATION = "user", "organization"
BADGES = ("", "official", "verified")
OFFICIAL = "library"  # whose repositories are meant by names without a namespace: `repositories.spelled`
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
# what is, or may one day be, a path of the site
RESERVED = frozenset(
    "about access-tokens account admin api assets audit auth compare explore favicon.ico health help hub login logout metrics "
    "namespaces new oidc org organizations orgs pull push r registry repositories robots.txt scan search settings signup static stars "
    "tags token tokens u user users v1 v2 webhooks".split()
)
TEXT_LIMIT = 500
# what ends a line, moves a terminal's cursor, or turns text around
_NO_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Account:
    id: int
    name: str
    kind: str
    email: str
    full_name: str
    about: str
    badge: str
    is_admin: bool
    is_disabled: bool
    is_private: bool  # whether what it pushes first is private
    has_password: bool
    has_totp: bool
    quota_bytes: int | None
    created_at: float

    @property
    def is_user(self) -> bool:
        return self.kind == USER


_COLUMNS = (
    "id, name, kind, email, full_name, about, badge, is_admin, is_disabled, is_private, password IS NOT NULL, "
    "totp_secret IS NOT NULL, quota_bytes, created_at"
)


def _account(row: Row) -> Account:
    return Account(*row[:7], *map(bool, row[7:12]), *row[12:])


def check_name(name: str) -> str:
    """Raises InvalidArgument unless it is 2 to 39 characters that may be the first part of a repository's name, and not a page's."""
    if not (2 <= len(name) <= 39 and _NAME.fullmatch(name)):
        raise InvalidArgument(
            f"name {name[:50]!r}: must be 2 to 39 lower-case letters and digits, with single . _ - between them"
        )
    if name in RESERVED:
        raise InvalidArgument(f"name {name!r} is taken by the site itself")
    return name


def check_email(email: str) -> str:
    """Raises InvalidArgument."""
    if email and not _EMAIL.fullmatch(email):
        raise InvalidArgument(f"e-mail address {email[:100]!r} is none")
    return email


def check_line(text: str, what: str) -> str:
    """Raises InvalidArgument for what cannot be shown in a line."""
    if _NO_LINE.search(text):
        raise InvalidArgument(f"{what}: must be a line of text")
    return text


def create(
    c: Connection,
    name: str,
    kind: str,
    now_s: float,
    *,
    password: str | None = None,
    email: str = "",
    full_name: str = "",
    is_admin: bool = False,
    oidc_subject: str | None = None,
) -> Account:
    """`password` is its hash. Raises InvalidArgument, Conflict if the name is taken."""
    check_name(name)
    check_email(check_line(email, "email"))
    check_line(full_name, "full_name")
    made = c.run(
        "INSERT INTO account (name, kind, email, full_name, about, badge, password, oidc_subject, totp_step, is_admin, is_disabled, "
        "is_private, created_at) VALUES (?, ?, ?, ?, '', '', ?, ?, 0, ?, 0, 1, ?) ON CONFLICT DO NOTHING",
        name, kind, email, full_name[:TEXT_LIMIT], password, oidc_subject, int(is_admin), now_s,
    )  # fmt: skip
    if not made:
        raise Conflict(f"name {name!r} is taken")
    return get(c, name)


def find(c: Connection, name: str) -> Account | None:
    found = one(c.rows(f"SELECT {_COLUMNS} FROM account WHERE name = ?", name))
    return _account(found) if found else None


def get(c: Connection, name: str) -> Account:
    """Raises NotFound."""
    found = find(c, name)
    if found is None:
        raise NotFound(f"account {name[:100]}: not found")
    return found


def by_id(c: Connection, account: int) -> Account | None:
    found = one(c.rows(f"SELECT {_COLUMNS} FROM account WHERE id = ?", account))
    return _account(found) if found else None


def by_oidc_subject(c: Connection, subject: str) -> Account | None:
    found = one(c.rows(f"SELECT {_COLUMNS} FROM account WHERE oidc_subject = ?", subject))
    return _account(found) if found else None


def list_accounts(c: Connection, kind: str, after: str, limit: int, containing: str = "") -> list[Account]:
    sql = (
        f"SELECT {_COLUMNS} FROM account WHERE kind = ? AND name > ? AND (name LIKE ? ESCAPE '\\' OR lower(full_name) LIKE ? ESCAPE '\\') "
        "ORDER BY name LIMIT ?"
    )
    pattern = records.like(containing.lower())
    return [_account(row) for row in c.rows(sql, kind, after, pattern, pattern, limit)]


def has_people(c: Connection) -> bool:
    """Whether the hub has its first account, which is its admin."""
    return bool(c.rows("SELECT 1 FROM account WHERE kind = ? LIMIT 1", USER))


_EDITABLE = frozenset(
    "email full_name about badge is_admin is_disabled is_private quota_bytes password oidc_subject totp_secret totp_step".split()
)


def update(c: Connection, account: int, **values: Any) -> None:
    """Set columns. Raises InvalidArgument for an e-mail address that is none or a badge nobody knows."""
    assert values and values.keys() <= _EDITABLE, values
    check_email(check_line(values.get("email", ""), "email"))
    check_line(values.get("full_name", ""), "full_name")
    if values.get("badge", "") not in BADGES:
        raise InvalidArgument(f"badge {values['badge'][:50]!r}: must be one of official, verified, or empty")
    for name in ("full_name", "about"):
        if len(values.get(name) or "") > TEXT_LIMIT:
            raise InvalidArgument(f"{name}: longer than {TEXT_LIMIT} characters")
    columns = ", ".join(f"{name} = ?" for name in values)
    if values.get("totp_secret"):
        values["totp_secret"] = c.seals.seal(values["totp_secret"])
    given = [int(value) if isinstance(value, bool) else value for value in values.values()]
    c.run(f"UPDATE account SET {columns} WHERE id = ?", *given, account)


def rehash(c: Connection, account: int, old: str, new: str) -> None:
    """Another hash of the same password, unless that has been changed meanwhile."""
    c.run("UPDATE account SET password = ? WHERE id = ? AND password = ?", new, account, old)


def delete(c: Connection, account: Account) -> None:
    """Raises Conflict while it has repositories, or is the last owner of an organisation or the last admin."""
    if c.rows("SELECT 1 FROM profile WHERE namespace = ? LIMIT 1", account.id):
        raise Conflict(f"{account.name} has repositories: delete or move them first")
    for organization, role in memberships(c, account.id):
        if role == "owner":
            _check_other_owner(c, organization.id, account.id)
    if account.is_admin and len(c.rows("SELECT 1 FROM account WHERE is_admin = 1 AND is_disabled = 0 LIMIT 2")) < 2:
        raise Conflict(f"{account.name} is the last admin")
    c.run("DELETE FROM permission WHERE holder_kind = 'account' AND holder = ?", account.id)
    c.run(
        "UPDATE profile SET stars = stars - 1 WHERE repository IN (SELECT repository FROM star WHERE account = ?)",
        account.id,
    )
    c.run("DELETE FROM account WHERE id = ?", account.id)


# secrets


@dataclass(frozen=True, slots=True)
class Secrets:
    account: Account
    password: str | None  # hash
    totp_secret: str | None
    totp_step: int


def secrets(c: Connection, name: str) -> Secrets | None:
    """By name, or by an e-mail address that is one account's alone: anybody may say that an address is theirs."""
    column = "email" if "@" in name else "name"
    sql = f"SELECT {_COLUMNS}, password, totp_secret, totp_step FROM account WHERE {column} = ? LIMIT 2"
    found = c.rows(sql, name)
    if len(found) != 1:
        return None
    *account, password, totp_secret, totp_step = found[0]
    return Secrets(_account(tuple(account)), password, totp_secret and c.seals.open(totp_secret), totp_step)


def set_recovery_codes(c: Connection, account: int, digests: list[str]) -> None:
    c.run("DELETE FROM recovery_code WHERE account = ?", account)
    for digest in digests:
        c.run("INSERT INTO recovery_code (account, digest) VALUES (?, ?)", account, digest)


def use_recovery_code(c: Connection, account: int, digest: str) -> bool:
    """True once."""
    return c.run("DELETE FROM recovery_code WHERE account = ? AND digest = ?", account, digest) > 0


# organisations


def create_organization(c: Connection, name: str, owner: int, now_s: float, full_name: str = "") -> Account:
    made = create(c, name, ORGANIZATION, now_s, full_name=full_name)
    set_role(c, made.id, owner, "owner")
    return made


def role(c: Connection, organization: int, account: int) -> str:
    """ "" for one who is no member."""
    found = one(c.rows("SELECT role FROM member WHERE organization = ? AND account = ?", organization, account))
    return str(found[0]) if found else ""


def set_role(c: Connection, organization: int, account: int, role: str) -> None:
    """Raises InvalidArgument; Conflict if there would be no owner."""
    if role not in ROLES:
        raise InvalidArgument(f"role {role[:50]!r}: must be one of {', '.join(ROLES)}")
    if role != "owner" and c.rows(
        "SELECT 1 FROM member WHERE organization = ? AND account = ? AND role = 'owner'", organization, account
    ):
        _check_other_owner(c, organization, account)
    c.run(
        "INSERT INTO member (organization, account, role) VALUES (?, ?, ?) "
        "ON CONFLICT (organization, account) DO UPDATE SET role = excluded.role",
        organization, account, role,
    )  # fmt: skip


def remove_member(c: Connection, organization: int, account: int) -> None:
    """From its teams too, and with what its repositories have given them. Raises Conflict for the last owner."""
    if role(c, organization, account) == "owner":
        _check_other_owner(c, organization, account)
    c.run("DELETE FROM member WHERE organization = ? AND account = ?", organization, account)
    c.run(
        "DELETE FROM team_member WHERE account = ? AND team IN (SELECT id FROM team WHERE organization = ?)",
        account, organization,
    )  # fmt: skip
    c.run(
        "DELETE FROM permission WHERE holder_kind = 'account' AND holder = ? AND repository IN "
        "(SELECT repository FROM profile WHERE namespace = ?)",
        account, organization,
    )  # fmt: skip


def _check_other_owner(c: Connection, organization: int, account: int) -> None:
    sql = "SELECT 1 FROM member WHERE organization = ? AND account <> ? AND role = 'owner' LIMIT 1"
    if not c.rows(sql, organization, account):
        raise Conflict("an organisation keeps an owner: make somebody else one first")


def members(c: Connection, organization: int, after: str = "", limit: int = 1000) -> list[tuple[Account, str]]:
    columns = ", ".join(f"account.{name.strip()}" for name in _COLUMNS.split(","))
    sql = (
        f"SELECT {columns}, role FROM member JOIN account ON account.id = member.account WHERE organization = ? AND name > ? "
        "ORDER BY name LIMIT ?"
    )
    return [(_account(row[:-1]), row[-1]) for row in c.rows(sql, organization, after, limit)]


def memberships(c: Connection, account: int) -> list[tuple[Account, str]]:
    """The organisations of an account, and its role in each."""
    columns = ", ".join(f"account.{name.strip()}" for name in _COLUMNS.split(","))
    sql = f"SELECT {columns}, role FROM member JOIN account ON account.id = organization WHERE member.account = ? ORDER BY name"
    return [(_account(row[:-1]), row[-1]) for row in c.rows(sql, account)]


# principals


def principal_by_id(c: Connection, account: int) -> Principal:
    """Raises NotFound for nobody, or somebody who is shut out."""
    found = by_id(c, account)
    if found is None or found.is_disabled:
        raise NotFound(f"account {account}: not found")
    return principal(c, found)


def principal(c: Connection, account: Account, reach: Reach = EVERYTHING, credential: int = 0) -> Principal:
    """What decisions are made about."""
    if not account.is_user:
        return Principal(account.id, account.name, reach=reach, credential=credential)
    roles = {
        int(o): str(role) for o, role in c.rows("SELECT organization, role FROM member WHERE account = ?", account.id)
    }
    teams = frozenset(int(team) for (team,) in c.rows("SELECT team FROM team_member WHERE account = ?", account.id))
    return Principal(account.id, account.name, account.is_admin, roles, teams, reach, credential)


def administered(c: Connection, account: int, names: Sequence[str]) -> list[str]:
    """Those of these namespaces that an account is an admin of; none for nobody, or somebody who is shut out."""
    found = by_id(c, account)
    if found is None or found.is_disabled:
        return []
    asking = principal(c, found)
    rows = c.rows(f"SELECT id, name FROM account WHERE name IN ({marks(names)})", *names)
    return [str(name) for number, name in rows if namespace_level(asking, number) is Level.ADMIN]
