"""Secrets that stand for an account: personal access tokens, robots of organisations, and logins of docker that remember themselves.

    credential     id → account, kind, name, digest, reach, expiry
    browser        digest → account                    a page's session: its cookie, and the key its forms must bring

A secret is 256 random bits, shown once; what is kept is its SHA-256, for which guessing is hopeless and a slow hash would buy nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace

from naru.errors import Conflict, InvalidArgument, NotFound
from naru.hub.people import accounts
from naru.hub.people.accounts import Account
from naru.hub.people.permissions import Principal, Reach, dump_reach, load_reach
from naru.registry.database import Connection, Row, one

PERSONAL, ROBOT, LOGIN = "personal", "robot", "login"
PREFIXES = {PERSONAL: "naru_pat_", ROBOT: "naru_robot_", LOGIN: "naru_login_"}  # for scanners of leaked secrets
LOGIN_S = 90 * 86400.0
BROWSER_S = 14 * 86400.0
_MOST = 200  # of one account
_USED_S = 60.0  # how exactly it is known when one was last used


@dataclass(frozen=True, slots=True)
class Credential:
    id: int
    account: int
    kind: str
    name: str
    reach: Reach
    expires_at: float | None
    created_at: float
    used_at: float | None
    is_disabled: bool

    def is_good(self, now_s: float) -> bool:
        return not self.is_disabled and (self.expires_at is None or now_s < self.expires_at)


_COLUMNS = "id, account, kind, name, scope, expires_at, created_at, used_at, is_disabled"


def _credential(row: Row) -> Credential:
    values = list(row)
    values[4], values[8] = load_reach(values[4]), bool(values[8])
    return Credential(*values)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def is_secret(text: str) -> bool:
    """Whether a password that somebody sent is one of these."""
    return text.startswith(tuple(PREFIXES.values()))


def create(
    c: Connection, account: Account, kind: str, name: str, reach: Reach, expires_at: float | None, now_s: float
) -> tuple[Credential, str]:
    """The secret is known to the caller alone from now on. Raises InvalidArgument, Conflict."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidArgument("name: must be 1 to 100 characters")
    if kind == ROBOT:
        accounts.check_name(name)
    if expires_at is not None and expires_at <= now_s:
        raise InvalidArgument("expiry: must be in the future")
    same = c.rows("SELECT 1 FROM credential WHERE account = ? AND kind = ? AND name = ?", account.id, kind, name)
    if same and kind != LOGIN:
        raise Conflict(f"{kind} token {name!r} exists")
    if len(c.rows("SELECT 1 FROM credential WHERE account = ? AND kind = ?", account.id, kind)) >= _MOST:
        if kind != LOGIN:
            raise Conflict(f"{account.name} has {_MOST} {kind} tokens: delete some first")
        oldest = (
            "SELECT id FROM credential WHERE account = ? AND kind = ? ORDER BY coalesce(used_at, created_at) LIMIT 1"
        )
        c.run(f"DELETE FROM credential WHERE id IN ({oldest})", account.id, kind)
    secret = PREFIXES[kind] + secrets.token_urlsafe(32)
    c.run(
        "INSERT INTO credential (account, kind, name, digest, scope, expires_at, created_at, is_disabled) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
        account.id, kind, name, digest(secret), dump_reach(reach), expires_at, now_s,
    )  # fmt: skip
    (made,) = c.rows(f"SELECT {_COLUMNS} FROM credential WHERE digest = ?", digest(secret))
    return _credential(made), secret


def by_secret(c: Connection, secret: str) -> Credential | None:
    found = one(c.rows(f"SELECT {_COLUMNS} FROM credential WHERE digest = ?", digest(secret)))
    return _credential(found) if found else None


def of_account(c: Connection, account: int, kind: str) -> list[Credential]:
    sql = f"SELECT {_COLUMNS} FROM credential WHERE account = ? AND kind = ? ORDER BY name, id"
    return [_credential(row) for row in c.rows(sql, account, kind)]


def get(c: Connection, account: int, credential: int) -> Credential:
    """Raises NotFound, also for those of others."""
    found = one(c.rows(f"SELECT {_COLUMNS} FROM credential WHERE id = ? AND account = ?", credential, account))
    if found is None:
        raise NotFound(f"token {credential}: not found")
    return _credential(found)


def set_disabled(c: Connection, credential: int, is_disabled: bool) -> None:
    c.run("UPDATE credential SET is_disabled = ? WHERE id = ?", int(is_disabled), credential)


def delete(c: Connection, credential: int) -> None:
    c.run("DELETE FROM credential WHERE id = ?", credential)


def delete_all(c: Connection, account: int, kind: str) -> None:
    c.run("DELETE FROM credential WHERE account = ? AND kind = ?", account, kind)


def used(c: Connection, credential: int, now_s: float) -> None:
    c.run("UPDATE credential SET used_at = ? WHERE id = ?", now_s, credential)


def wants_note(credential: Credential, now_s: float) -> bool:
    """Whether that it is used now is news."""
    return credential.used_at is None or now_s - credential.used_at > _USED_S


def principal(c: Connection, secret: str, now_s: float) -> tuple[Principal, Credential] | None:
    """Whom a secret stands for; None if nobody, any more."""
    credential = by_secret(c, secret)
    if credential is None or not credential.is_good(now_s):
        return None
    account = accounts.by_id(c, credential.account)
    if account is None or account.is_disabled:
        return None
    return principal_of(c, account, credential), credential


def principal_of(c: Connection, account: Account, credential: Credential) -> Principal:
    """A robot has nothing of its account's but the number: no roles, and no site."""
    if credential.kind == ROBOT:
        name = f"{account.name}+{credential.name}"
        return Principal(account.id, name, reach=_still_held(c, account, credential.reach), credential=credential.id)
    return accounts.principal(c, account, credential.reach, credential.id)


def _still_held(c: Connection, account: Account, reach: Reach) -> Reach:
    """What a robot was given in its account's namespace, and where else its maker could give it that today: whose namespace it is
    does not see the robot, but sees its maker go."""
    grants = reach.grants or {}
    others = {pattern.partition("/")[0] for pattern in grants} - {account.name}
    if not others:
        return reach
    held = {account.name, *accounts.administered(c, reach.maker, sorted(others))}
    return replace(reach, grants={one: what for one, what in grants.items() if one.partition("/")[0] in held})


# browsers


@dataclass(frozen=True, slots=True)
class Browser:
    account: Account
    form_key: str  # a form that does not bring it was made elsewhere
    digest: str


def open_browser(c: Connection, account: int, agent: str, address: str, now_s: float) -> str:
    """The cookie of a new session."""
    cookie = secrets.token_urlsafe(32)
    c.run("DELETE FROM browser WHERE expires_at < ?", now_s)
    c.run(
        "INSERT INTO browser (digest, account, form_key, agent, address, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        digest(cookie), account, secrets.token_urlsafe(32), agent[:200], address, now_s, now_s + BROWSER_S,
    )  # fmt: skip
    return cookie


def browser(c: Connection, cookie: str, now_s: float) -> Browser | None:
    found = one(
        c.rows(
            "SELECT account, form_key, digest FROM browser WHERE digest = ? AND expires_at > ?", digest(cookie), now_s
        )
    )
    if found is None:
        return None
    account = accounts.by_id(c, found[0])
    return Browser(account, found[1], found[2]) if account and not account.is_disabled else None


def close_browser(c: Connection, digest: str) -> None:
    c.run("DELETE FROM browser WHERE digest = ?", digest)


def close_browsers(c: Connection, account: int, but: str = "") -> None:
    c.run("DELETE FROM browser WHERE account = ? AND digest <> ?", account, but)
