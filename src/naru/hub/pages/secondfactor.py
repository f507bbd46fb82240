"""The second factor of an account: setting up an app, recovery codes, and doing without again."""

from __future__ import annotations

import asyncio
import os

from aiohttp import web

from naru.errors import InvalidArgument
from naru.hub.pages import qr
from naru.hub.pages.account import prove, security
from naru.hub.pages.forms import Problem
from naru.hub.pages.site import Route
from naru.hub.pages.visit import Visit
from naru.hub.people import recovery, totp
from naru.hub.services import people


async def setup(visit: Visit) -> web.Response:
    """The secret is the app's and the form's until a code of it is shown; then it is the account's."""
    secret = visit.form.text("totp_secret") or totp.new_secret(os.urandom(totp.SECRET_BYTES))
    uri = totp.provisioning_uri(secret, visit.me.name, visit.hub.issuer)
    try:
        code = qr.encode(uri)
    except InvalidArgument:  # a hub with a very long title: then the key is typed
        code = None
    return await visit.page("totp_setup.html", part="security", totp_secret=secret, code=code, secret=True)


async def enable(visit: Visit) -> web.Response:
    if visit.me.has_totp:
        raise Problem("problem.totp.there")
    await prove(visit)
    secret = visit.form.text("totp_secret")
    _check_secret(secret)
    step = totp.matching_step(secret, visit.form.text("code"), visit.who.now_s, None)
    if step is None:
        raise Problem("problem.code")
    codes = totp.recovery_codes(os.urandom(totp.RECOVERY_BYTES))
    digests = await asyncio.to_thread(recovery.digests, codes, secret)
    await visit.hub.do(visit.who, people.enable_totp, secret, step, digests)
    return await visit.page("totp_codes.html", part="security", codes=codes, secret=True)


def _check_secret(secret: str) -> None:
    """As long as ours are. Raises InvalidArgument."""
    if len(secret) != len(totp.new_secret(bytes(totp.SECRET_BYTES))):
        raise InvalidArgument("the secret is not the one that was shown")
    totp.code(secret, 0)


async def disable(visit: Visit) -> web.Response:
    await prove(visit)
    await visit.hub.do(visit.who, people.disable_totp, visit.me.name)
    return visit.go("/settings/security", "done.totp.disabled")


ROUTES = (
    Route("GET", "/settings/totp", setup),
    Route("POST", "/settings/totp", enable, setup),
    Route("POST", "/settings/totp/disable", disable, security),
)
