"""Services about accounts whose owners log in by way of an OpenID provider (`oidc`)."""

from __future__ import annotations

import re

from naru.errors import Conflict, Forbidden, InvalidArgument
from naru.hub.people import accounts
from naru.hub.people.accounts import Account
from naru.hub.people.oidc import Identity
from naru.hub.services.who import Who, manager
from naru.registry.database import Connection

_NOT_IN_NAME = re.compile(r"[^a-z0-9]+")
_NAME_CHARACTERS = 32  # room is left for a number
_TRIES = 1000


def log_in(c: Connection, who: Who, identity: Identity, *, sign_up: bool) -> Account:
    """Whose identity this is; a new account, if there is none and `sign_up`. E-mail addresses link nothing: whoever has one there need
    not be who has it here. Raises Forbidden."""
    account = accounts.by_oidc_subject(c, identity.subject)
    if account is not None:
        if account.is_disabled:
            raise Forbidden(f"account {account.name} is disabled")
        return account
    if not sign_up:
        raise Forbidden("there is no account for you here yet, and nobody signs up: ask an admin")
    first = not accounts.has_people(c)
    name = free_name(c, identity.username)
    try:
        email = accounts.check_email(identity.email)
    except InvalidArgument:
        email = ""
    made = accounts.create(
        c, name, accounts.USER, who.now_s, email=email, full_name=identity.full_name, is_admin=first,
        oidc_subject=identity.subject,
    )  # fmt: skip
    who.note(c, "account.create", name, namespace=name, is_admin=first, oidc=identity.subject)
    return made


def link(c: Connection, who: Who, identity: Identity) -> None:
    """Whoever asks logs in by this from now on. Raises Conflict if it is somebody else's."""
    account = manager(c, who)
    other = accounts.by_oidc_subject(c, identity.subject)
    if other is not None and other.id != account.id:
        raise Conflict("this identity is another account's")
    accounts.update(c, account.id, oidc_subject=identity.subject)
    who.note(c, "account.oidc.link", account.name, namespace=account.name, oidc=identity.subject)


def unlink(c: Connection, who: Who) -> None:
    """Raises Conflict for an account that has no password to log in with instead."""
    account = manager(c, who)
    if not account.has_password:
        raise Conflict(f"{account.name} has no password: there would be no way in")
    accounts.update(c, account.id, oidc_subject=None)
    who.note(c, "account.oidc.unlink", account.name, namespace=account.name)


def free_name(c: Connection, wanted: str) -> str:
    """A name that nobody has, as much like this one as names can be. Raises Conflict if there are too many like it."""
    base = _NOT_IN_NAME.sub("-", wanted.partition("@")[0].lower())[:_NAME_CHARACTERS].strip("-")
    if len(base) < 2:
        base = f"user-{base}".rstrip("-")
    for number in range(1, _TRIES):
        name = base if number == 1 else f"{base}-{number}"
        try:
            accounts.check_name(name)
        except InvalidArgument:  # a page's
            continue
        if name != accounts.OFFICIAL and accounts.find(c, name) is None:
            return name
    raise Conflict(f"name {base!r}: too many have one like it")
