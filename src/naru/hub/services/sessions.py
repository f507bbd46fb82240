"""Services about browsers that are logged in: the second step of logging in, the list of sessions, and their end.

second_step   digest → account, tries      of somebody whose password was right, and who is to show a code now
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from naru.errors import NotFound
from naru.hub.people import accounts, credentials, totp
from naru.hub.people.accounts import Account, Secrets
from naru.hub.services.who import Who, manager
from naru.registry.database import Connection, one

STEP_S = 300.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Session:
    key: str  # the beginning of its cookie's digest
    agent: str
    address: str
    created_at: float
    expires_at: float
    is_this: bool


def begin(c: Connection, who: Who, account: int, agent: str) -> str:
    """The cookie of a new session, of somebody who has shown everything there is to show."""
    found = accounts.by_id(c, account)
    if found is None:
        raise NotFound(f"account {account}: not found")
    cookie = credentials.open_browser(c, account, agent, who.address, who.now_s)
    _as(c, who, found).note(c, "session.begin", found.name, namespace=found.name)
    return cookie


def ask_code(c: Connection, who: Who, account: int) -> str:
    """What stands, for five minutes and five tries, for a password that was right."""
    ticket = secrets.token_urlsafe(32)
    c.run("DELETE FROM second_step WHERE expires_at < ?", who.now_s)
    c.run(
        "INSERT INTO second_step (digest, account, tries, expires_at) VALUES (?, ?, 0, ?)",
        credentials.digest(ticket), account, who.now_s + STEP_S,
    )  # fmt: skip
    return ticket


def forget_tickets(c: Connection, account: int) -> None:
    """The password that they stand for is none any more."""
    c.run("DELETE FROM second_step WHERE account = ?", account)


def asked(c: Connection, who: Who, ticket: str) -> Secrets | None:
    """Who is to show a code; None if it has been too long, or too often."""
    sql = "SELECT account FROM second_step WHERE digest = ? AND expires_at > ? AND tries < ?"
    found = one(c.rows(sql, credentials.digest(ticket), who.now_s, _TRIES))
    account = accounts.by_id(c, found[0]) if found else None
    if account is None or account.is_disabled:
        return None
    return accounts.secrets(c, account.name)


def show_code(c: Connection, who: Who, ticket: str, code: str, recovery: str | None) -> int | None:
    """The account, if the code of the app, or the digest of a recovery code, is right; then the ticket is used up."""
    found = asked(c, who, ticket)
    if found is None:
        return None
    c.run("UPDATE second_step SET tries = tries + 1 WHERE digest = ?", credentials.digest(ticket))
    step = totp.matching_step(found.totp_secret, code, who.now_s, found.totp_step) if found.totp_secret else None
    if step is not None:
        accounts.update(c, found.account.id, totp_step=step)
    elif recovery is not None and accounts.use_recovery_code(c, found.account.id, recovery):
        _as(c, who, found.account).note(c, "account.recovery", found.account.name, namespace=found.account.name)
    else:
        return None
    c.run("DELETE FROM second_step WHERE digest = ?", credentials.digest(ticket))
    return found.account.id


def sessions(c: Connection, who: Who, this: str) -> list[Session]:
    """One's own; `this` is the digest of the one that asks."""
    account = manager(c, who)
    sql = (
        "SELECT digest, agent, address, created_at, expires_at FROM browser WHERE account = ? AND expires_at > ? "
        "ORDER BY created_at DESC LIMIT 100"
    )
    return [
        Session(str(digest)[:16], agent, address, created_at, expires_at, digest == this)
        for digest, agent, address, created_at, expires_at in c.rows(sql, account.id, who.now_s)
    ]


def end(c: Connection, who: Who, key: str) -> None:
    """One of one's own, by its key. Raises NotFound."""
    account = manager(c, who)
    rows = c.rows("SELECT digest FROM browser WHERE account = ?", account.id)
    found = [digest for (digest,) in rows if digest[:16] == key]
    if not found:
        raise NotFound(f"session {key[:20]}: not found")
    credentials.close_browser(c, found[0])
    who.note(c, "session.end", account.name, namespace=account.name)


def end_others(c: Connection, who: Who, this: str) -> None:
    account = manager(c, who)
    credentials.close_browsers(c, account.id, this)
    who.note(c, "session.end", account.name, namespace=account.name, others=True)


def _as(c: Connection, who: Who, account: Account) -> Who:
    return replace(who, principal=accounts.principal(c, account))
