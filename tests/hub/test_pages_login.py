from __future__ import annotations

import re
import time
from pathlib import Path

from landing import PASSWORD, Visitor, landing

from naru.hub.people import totp

ADA = {"name": "ada", "email": "ada@example.org", "password": PASSWORD, "again": PASSWORD}


async def _sign_up(visitor: Visitor, **changes: str) -> int:
    return (await visitor.post("/signup", ADA | changes)).status


async def _log_in(visitor: Visitor, name: str = "ada", password: str = PASSWORD) -> int:
    return (await visitor.post("/login", {"name": name, "password": password, "next": "/settings"})).status


def _hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, name
    return found[1]


async def test_the_first_account_is_the_admin_even_of_a_closed_hub(tmp_path: Path) -> None:
    async with landing(tmp_path, sign_up=False) as here:
        first, second = await here.visitor(), await here.visitor()
        assert "admin" in (await first.get("/signup")).text
        assert await _sign_up(first) == 303
        assert (await first.get("/admin/users")).status == 200
        assert (await second.get("/signup")).status == 403
        assert await _sign_up(second, name="bob") == 403
        assert 'href="/signup"' not in (await second.get("/login")).text


async def test_signing_up_says_what_is_wrong_and_keeps_what_was_typed(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        visitor = await here.visitor()
        for changes, status in (
            ({"name": "A!"}, 400), ({"name": "admin"}, 400), ({"email": "x"}, 400), ({"password": "short", "again": "short"}, 400),
            ({"again": "another"}, 400),
        ):  # fmt: skip
            answer = await visitor.post("/signup", ADA | {"full_name": "Ada <L>"} | changes)
            assert answer.status == status, changes
            assert 'role="alert"' in answer.text and "Ada &lt;L&gt;" in answer.text and PASSWORD not in answer.text
        assert await _sign_up(visitor) == 303
        other = await here.visitor()
        assert await _sign_up(other) == 409


async def test_a_wrong_password_and_nobody_look_the_same(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ada", password=PASSWORD)
        visitor = await here.visitor()
        texts = []
        for name in ("ada", "nobody"):
            answer = await visitor.post("/login", {"name": name, "password": "wrong", "next": "/"})
            assert answer.status == 400
            texts.append(re.sub(r'value="[^"]*"', "", answer.text))
        assert texts[0] == texts[1]
        for _ in range(10):
            await visitor.post("/login", {"name": "ada", "password": "wrong"})
        late = await visitor.post("/login", {"name": "ada", "password": PASSWORD})
        assert late.status == 429 and "naru_session" not in visitor.cookies


async def test_the_cookie_is_for_the_server_alone(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ada", password=PASSWORD)
        visitor = await here.visitor()
        answer = await visitor.post("/login", {"name": "ada", "password": PASSWORD, "next": "/settings"})
        cookie = answer.headers["Set-Cookie"]
        assert answer.headers["Location"] == "/settings"
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
        assert (await visitor.get("/settings")).status == 200
        await visitor.post("/logout", {})
        assert (await visitor.get("/settings")).headers["Location"] == "/login?next=%2Fsettings"


async def test_behind_https_cookies_are_secure(tmp_path: Path) -> None:
    async with landing(tmp_path, url="https://hub.example") as here:
        visitor = await here.visitor()
        answer = await visitor.get("/login")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-naru_form=") and "Secure" in cookie and "Path=/" in cookie


async def test_second_factor_from_setting_up_to_its_end(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ada", password=PASSWORD)
        visitor = await here.visitor("ada")
        page = await visitor.get("/settings/totp")
        secret = _hidden(page.text, "totp_secret")
        assert '<svg class="qr"' in page.text and "no-store" in page.headers["Cache-Control"]
        given = {"totp_secret": secret, "current": PASSWORD, "code": "000000"}
        wrong = await visitor.post("/settings/totp", given)
        assert wrong.status == 400 and secret in wrong.text
        assert (
            await visitor.post("/settings/totp", given | {"code": totp.code(secret, time.time()), "current": "x"})
        ).status == 400
        assert (
            await visitor.post(
                "/settings/totp", given | {"totp_secret": "AAAA", "code": totp.code("AAAA", time.time())}
            )
        ).status == 400
        done = await visitor.post("/settings/totp", given | {"code": totp.code(secret, time.time())})
        codes = re.findall(r"<li><code>([a-z2-7]{5}-[a-z2-7]{5})</code>", done.text)
        assert len(codes) == 10 and "no-store" in done.headers["Cache-Control"]
        assert codes[0] not in (await visitor.get("/settings/security")).text
        assert (await visitor.post("/settings/totp", given)).status == 400  # there is one already

        other = await here.visitor()
        page = await other.post("/login", {"name": "ada", "password": PASSWORD, "next": "/settings"})
        ticket = _hidden(page.text, "ticket")
        assert page.status == 200 and "naru_session" not in other.cookies
        assert (await other.get("/settings")).status == 303
        good = totp.code(secret, time.time() + 30)
        entered = await other.post("/login/code", {"ticket": ticket, "code": good, "next": "/settings"})
        assert (entered.status, entered.headers["Location"]) == (303, "/settings")
        assert (await other.get("/settings")).status == 200

        again = await here.visitor()
        page = await again.post("/login", {"name": "ada", "password": PASSWORD})
        ticket = _hidden(page.text, "ticket")
        assert (await again.post("/login/code", {"ticket": ticket, "code": good})).status == 400  # used
        assert (
            await again.post("/login/code", {"ticket": ticket, "code": codes[3].upper().replace("-", " ")})
        ).status == 303
        page = await (await here.visitor()).post("/login", {"name": "ada", "password": PASSWORD})
        ticket = _hidden(page.text, "ticket")
        third = await here.visitor()
        assert (await third.post("/login/code", {"ticket": ticket, "code": codes[3]})).status == 400
        for _ in range(6):
            last = await third.post("/login/code", {"ticket": ticket, "code": "aaaaa-aaaaa"})
        late = await third.post("/login/code", {"ticket": ticket, "code": codes[4]})
        assert last.status in (400, 429) and late.status in (400, 429) and "naru_session" not in third.cookies

        assert (await visitor.post("/settings/totp/disable", {"current": "wrong"})).status == 400
        assert (await visitor.post("/settings/totp/disable", {"current": PASSWORD})).status == 303


async def test_codes_are_not_for_those_without_a_ticket(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ada", password=PASSWORD)
        visitor = await here.visitor()
        for ticket in ("", "x", "é" * 500):
            assert (await visitor.post("/login/code", {"ticket": ticket, "code": "123456"})).status == 400


async def test_a_new_password_ends_what_the_old_one_began(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ada", password=PASSWORD)
        here_, there = await here.visitor("ada"), await here.visitor("ada")
        fresh = {"current": PASSWORD, "password": "a whole new one", "again": "a whole new one"}
        assert (await here_.post("/settings/security", fresh | {"current": "wrong"})).status == 400
        assert (await here_.post("/settings/security", fresh | {"again": "x"})).status == 400
        assert (await here_.post("/settings/security", fresh)).status == 303
        assert (await here_.get("/settings")).status == 200
        assert (await there.get("/settings")).status == 303
        assert await _log_in(await here.visitor()) == 400
        assert await _log_in(await here.visitor(), password="a whole new one") == 303


async def test_sessions_are_listed_and_ended(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ada")
        await here.person("eve")
        first, second, eve = await here.visitor("ada"), await here.visitor("ada"), await here.visitor("eve")
        page = (await first.get("/settings/sessions")).text
        key = _hidden(page, "key")
        assert "Firefox · Linux" in page
        assert (await eve.post("/settings/sessions", {"key": key})).status == 404
        assert (await second.get("/settings")).status == 200
        assert (await first.post("/settings/sessions", {"key": key})).status == 303
        assert (await second.get("/settings")).status == 303
        third = await here.visitor("ada")
        assert (await first.post("/settings/sessions", {"others": "1"})).status == 303
        assert (await third.get("/settings")).status == 303 and (await first.get("/settings")).status == 200


async def test_who_is_disabled_is_out_at_once(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("root")
        await here.person("ada", password=PASSWORD)
        ada, root = await here.visitor("ada"), await here.visitor("root")
        assert (
            await root.post("/admin/users/ada", {"people": "1", "is_disabled": "1", "badge": "", "quota": ""})
        ).status == 303
        assert (await ada.get("/settings")).status == 303
        assert await _log_in(await here.visitor()) == 400


async def test_a_token_s_secret_is_shown_once_and_works(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ada")
        ada = await here.visitor("ada")
        made = await ada.post("/settings/tokens", {"title": "laptop", "scope": "write", "days": "30"})
        found = re.search(r"naru_pat_[\w-]+", made.text)
        assert found and made.status == 200 and "no-store" in made.headers["Cache-Control"]
        assert found[0] not in (await ada.get("/settings/tokens")).text
        principal = await here.hub.identities.by_secret(found[0], "")
        assert principal.name == "ada" and "delete" not in principal.reach.actions
        token = re.search(r"/settings/tokens/(\d+)", (await ada.get("/settings/tokens")).text)
        assert token
        assert (await ada.post(token[0], {"action": "disable"})).status == 303
        assert (await ada.post(token[0], {"action": "delete"})).status == 303
        assert (await ada.post(token[0], {"action": "delete"})).status == 404
