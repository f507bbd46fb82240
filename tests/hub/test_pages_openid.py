"""Logging in elsewhere, as the pages do it; what is said to the provider is in test_oidc.py."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urlencode

from landing import Landing, Visitor, landing
from test_oidc import TestProvider, providing

from naru.hub.people import accounts, totp
from naru.hub.people.oidc import OpenIdConnect
from naru.registry.database import Connection


def _site(openid: OpenIdConnect) -> dict[str, object]:
    return {"oidc": openid.provider, "allow_private": True}


async def _come_back(visitor: Visitor, there: TestProvider, url: str) -> tuple[int, str]:
    answer = await visitor.get(f"/oidc/callback?{urlencode(there.authorize(url))}")
    return answer.status, answer.headers.get("Location", "")


async def _subject(here: Landing, name: str) -> str | None:
    def ask(c: object) -> object:
        return c.rows("SELECT oidc_subject FROM account WHERE name = ?", name)[0][0]  # type: ignore[attr-defined]

    return await here.hub.database.read(ask)  # type: ignore[arg-type, return-value]


async def test_a_stranger_gets_an_account_and_is_known_the_next_time(tmp_path: Path) -> None:
    async with providing() as (there, openid), landing(tmp_path, **_site(openid)) as here:
        await here.person("root")
        for _ in range(2):
            visitor = await here.visitor()
            assert "/oidc/login" in (await visitor.get("/login")).text
            begun = await visitor.get("/oidc/login")
            assert begun.status == 303 and begun.headers["Location"].startswith(there.issuer)
            assert "HttpOnly" in begun.headers["Set-Cookie"]
            assert await _come_back(visitor, there, begun.headers["Location"]) == (303, "/")
            assert "ann-lee" in (await visitor.get("/settings")).text
            assert "naru_openid" not in visitor.cookies
        found = await here.hub.database.read(accounts.list_accounts, accounts.USER, "", 10)
        assert [one.name for one in found] == ["ann-lee", "root"]


async def test_who_has_not_begun_here_does_not_finish_here(tmp_path: Path) -> None:
    async with providing() as (there, openid), landing(tmp_path, **_site(openid)) as here:
        mine, theirs = await here.visitor(), await here.visitor()
        begun = await theirs.get("/oidc/login")
        await mine.get("/oidc/login")
        status, _ = await _come_back(mine, there, begun.headers["Location"])
        assert status == 403 and "naru_session" not in mine.cookies
        assert (await (await here.visitor()).get("/oidc/callback")).status == 403


async def test_tying_takes_a_form(tmp_path: Path) -> None:
    """A link that somebody is made to follow ties nothing to the account they are logged in to."""
    async with providing() as (there, openid), landing(tmp_path, **_site(openid)) as here:
        await here.person("root")
        visitor = await here.visitor("root")
        begun = await visitor.get("/oidc/login")
        await _come_back(visitor, there, begun.headers["Location"])
        assert await _subject(here, "root") is None

        there.claims["sub"] = "another"
        visitor = await here.visitor("root")
        page = await visitor.post("/oidc/tie", {"action": "tie"})
        found = re.search(rf'href="({re.escape(there.issuer)}[^"]+)"', page.text)
        assert page.status == 200 and found
        assert await _come_back(visitor, there, found[1].replace("&amp;", "&")) == (303, "/settings/security")
        assert await _subject(here, "root") == f"{there.issuer}#another"
        assert (await visitor.post("/oidc/tie", {"action": "untie"})).status == 303
        assert await _subject(here, "root") is None


async def test_who_has_a_second_factor_shows_it_here_too(tmp_path: Path) -> None:
    """It is the hub's: whoever has got into the account there is not let into the one here by that alone."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    async with providing() as (there, openid), landing(tmp_path, **_site(openid)) as here:
        await here.person("root")
        visitor = await here.visitor()
        begun = await visitor.get("/oidc/login")
        await _come_back(visitor, there, begun.headers["Location"])

        def enable(c: Connection) -> None:
            accounts.update(c, accounts.get(c, "ann-lee").id, totp_secret=secret)

        await here.hub.database.write(enable)
        visitor = await here.visitor()
        begun = await visitor.get("/oidc/login")
        asked = await visitor.get(f"/oidc/callback?{urlencode(there.authorize(begun.headers['Location']))}")
        ticket = re.search(r'name="ticket" value="([^"]+)"', asked.text)
        assert asked.status == 200 and ticket and "naru_session" not in visitor.cookies
        wrong = await visitor.post("/login/code", {"ticket": ticket[1], "code": "000000"})
        assert wrong.status == 400 and "naru_session" not in visitor.cookies
        right = await visitor.post("/login/code", {"ticket": ticket[1], "code": totp.code(secret, time.time())})
        assert right.status == 303 and "ann-lee" in (await visitor.get("/settings")).text
