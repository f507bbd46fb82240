"""The second step of logging in, the same for pages and API: who has a ticket of `services.sessions.ask_code` shows a code."""

from __future__ import annotations

import asyncio

from naru.errors import NotFound, Unauthenticated
from naru.hub.parts import Hub
from naru.hub.people import recovery, totp
from naru.hub.services import sessions
from naru.hub.services.who import Who


async def show(hub: Hub, who: Who, ticket: str, code: str) -> int:
    """The account whose code of the app, or recovery code, this is. Then the ticket is used up.

    Raises NotFound for a ticket that is not good (any more), Unauthenticated for a wrong code, Refusal TOOMANYREQUESTS for who guesses.
    """
    found = await hub.read(who, sessions.asked, ticket)
    if found is None or found.totp_secret is None:
        raise NotFound("it has been too long, or too often: log in again")
    spelled = totp.normal_recovery_code(code)
    async with hub.identities.guess(found.account.name, who.address):
        digest = await asyncio.to_thread(recovery.digest, spelled, found.totp_secret) if spelled else None
        account = await hub.do(who, sessions.show_code, ticket, code, digest)
        if account is None:
            raise Unauthenticated("wrong code")
    return account
