"""What somebody may do ends with what it came from: a robot's maker, a membership, a password, a token, an account; and what nobody gets
for being the first to ask."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace

import pytest
from peer import PASSWORD, Peer, basic, peering
from test_authority import access
from world import ask

from naru.errors import Conflict, Forbidden, InvalidArgument, NotFound
from naru.hub.catalog import repositories
from naru.hub.people import accounts, credentials, totp
from naru.hub.people.oidc import Identity
from naru.hub.people.permissions import ANYBODY, Level
from naru.hub.server import Settings
from naru.hub.services import openid, people, repos, sessions
from naru.hub.services.who import Who
from naru.registry.database import Connection

TOTP_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


async def who(peer: Peer, name: str) -> Who:
    def ask(c: Connection) -> Who:
        return Who(accounts.principal(c, accounts.get(c, name)), "192.0.2.1", time.time())

    return await peer.hub.database.read(ask)


async def robot_of(peer: Peer, maker: str, owner: str, *patterns: str) -> str:
    """Its Authorization."""
    permissions = [{"repository": pattern, "actions": ["pull", "push"]} for pattern in patterns]
    _, secret = await peer.hub.do(await who(peer, maker), people.create_robot, owner, "ci", permissions, None)
    return basic(f"{owner}+ci", secret)


async def test_a_robot_loses_what_its_maker_loses(hub_settings: Settings) -> None:
    """Nobody of acme sees bob's robots: they are not to stay when bob goes."""
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        await peer.user("bob")
        for name in ("acme", "other"):
            await peer.organization(name, "ann")
            await peer.hub.do(await who(peer, "ann"), people.set_member, name, "bob", "owner")
        robot = await robot_of(peer, "bob", "bob", "acme/*", "bob/*")
        theirs = await robot_of(peer, "bob", "other", "acme/web", "other/*")
        mine = await robot_of(peer, "bob", "acme", "acme/*")
        asked = [f"repository:{name}:pull,push" for name in ("acme/web", "bob/web", "other/web")]
        both = ["pull", "push"]
        assert access(await peer.token(robot, *asked)) == [("repository:acme/web", both), ("repository:bob/web", both)]
        assert access(await peer.token(theirs, *asked)) == [
            ("repository:acme/web", both),
            ("repository:other/web", both),
        ]
        await peer.hub.do(await who(peer, "ann"), people.remove_member, "acme", "bob")
        assert access(await peer.token(robot, *asked)) == [("repository:bob/web", both)]
        assert access(await peer.token(theirs, *asked)) == [("repository:other/web", both)]
        assert access(await peer.token(mine, *asked)) == [
            ("repository:acme/web", both)
        ]  # acme's own, which its owners see
        await peer.hub.do(await who(peer, "ann"), people.set_member, "acme", "bob", "editor")
        assert access(await peer.token(robot, asked[0])) == []
        await peer.hub.do(await who(peer, "ann"), people.set_member, "acme", "bob", "owner")
        assert access(await peer.token(robot, asked[0])) == [("repository:acme/web", both)]
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "bob").id, is_disabled=True))
        assert access(await peer.token(theirs, *asked)) == [("repository:other/web", both)]


async def test_a_robot_does_not_get_a_namespace_that_somebody_else_makes_anew(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        await peer.user("bob")
        await peer.organization("acme", "bob")
        await peer.organization("shop", "bob")
        robot = await robot_of(peer, "bob", "shop", "acme/*")
        await peer.hub.do(await who(peer, "bob"), people.delete_account, "acme")
        await peer.organization("acme", "ann")
        assert access(await peer.token(robot, "repository:acme/web:pull,push")) == []


async def test_a_robot_of_an_admin_is_none(hub_settings: Settings) -> None:
    """It does what it was given, and sees nothing that its owner sees."""
    async with peering(hub_settings) as peer:
        await peer.user("root", is_admin=True)
        await peer.user("ann")
        await peer.organization("acme", "ann")
        robot = await robot_of(peer, "root", "root", "root/*")
        for path in ("/organizations/acme/members", "/organizations/acme/teams", "/accounts", "/audit"):
            assert (await ask(peer, "GET", f"/api/v1{path}", robot)).status == 403, path
        assert (await ask(peer, "GET", "/v2/orgs/acme/members", robot)).status == 403


async def test_who_is_removed_keeps_no_grant_in_the_organization(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        bob = await peer.user("bob")
        for name in ("acme", "other"):
            await peer.organization(name, "ann")
            await peer.hub.do(await who(peer, "ann"), people.set_member, name, "bob", "member")
            await peer.hub.do(await who(peer, "ann"), repos.create, f"{name}/web", is_private=True)
            await peer.hub.do(await who(peer, "ann"), repos.grant, f"{name}/web", "account", "bob", Level.ADMIN)
        await peer.hub.do(await who(peer, "ann"), people.remove_member, "acme", "bob")
        assert (await ask(peer, "GET", "/api/v1/repositories/acme/web", bob)).status == 404
        assert (await ask(peer, "GET", "/api/v1/repositories/other/web", bob)).status == 200


async def test_a_name_that_is_taken_anew_does_not_tell_of_who_had_it(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("root", is_admin=True)
        ann = await peer.user("ann")
        await peer.organization("acme", "ann")
        await peer.hub.do(await who(peer, "ann"), repos.create, "acme/secret", is_private=True)
        await peer.hub.do(await who(peer, "ann"), repos.delete, "acme/secret")
        assert (await ask(peer, "GET", "/api/v1/accounts/acme/audit", ann)).json["results"]
        await peer.hub.do(await who(peer, "ann"), people.delete_account, "acme")
        bob = await peer.user("bob")
        await peer.hub.do(await who(peer, "bob"), people.create_organization, "acme")
        await peer.hub.do(await who(peer, "bob"), repos.create, "acme/secret", is_private=True)
        found = (await ask(peer, "GET", "/api/v1/accounts/acme/audit", bob)).json["results"]
        assert [one["action"] for one in found] == ["repository.create", "organization.create"]
        found = (await ask(peer, "GET", "/api/v1/repositories/acme/secret/audit", bob)).json["results"]
        assert [(one["action"], one["actor"]) for one in found] == [("repository.create", "bob")]
        everything = (await ask(peer, "GET", "/api/v1/audit", basic("root", PASSWORD))).json["results"]
        assert "repository.delete" in [one["action"] for one in everything]


async def test_a_new_password_ends_logins_that_wait_for_a_code(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")

        def enable(c: Connection) -> int:
            account = accounts.get(c, "ann").id
            accounts.update(c, account, totp_secret=TOTP_SECRET)
            return account

        account = await peer.hub.database.write(enable)
        stranger = Who(ANYBODY, "192.0.2.9", time.time())
        ticket = await peer.hub.do(stranger, sessions.ask_code, account)
        await peer.hub.do(await who(peer, "ann"), people.set_password, "ann", "hash")
        code = totp.code(TOTP_SECRET, time.time())
        assert await peer.hub.do(stranger, sessions.show_code, ticket, code, None) is None


async def test_an_api_token_ends_with_the_token_that_it_came_from(hub_settings: Settings) -> None:
    """Also where the next one gets its number."""
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        leaked = await peer.secret("ann", credentials.PERSONAL, "leaked", "read")
        body = {"identifier": "ann", "secret": leaked}
        bearer = f"Bearer {(await ask(peer, 'POST', '/v2/auth/token', '', body)).json['access_token']}"
        assert (await ask(peer, "GET", "/api/v1/account", bearer)).status == 200

        def drop(c: Connection) -> int:
            found = credentials.by_secret(c, leaked)
            assert found is not None
            credentials.delete(c, found.id)
            return found.id

        number = await peer.hub.database.write(drop)
        await peer.secret("ann", credentials.PERSONAL, "new", "delete")
        (again,) = await peer.hub.database.read(
            lambda c: credentials.of_account(c, accounts.get(c, "ann").id, "personal")
        )
        assert again.id == number, sqlite3.sqlite_version
        assert (await ask(peer, "GET", "/api/v1/account", bearer)).status == 401


async def test_the_namespace_of_official_images_is_no_strangers(hub_settings: Settings) -> None:
    """Whoever has it answers for every name without a namespace."""
    async with peering(hub_settings) as peer:
        root = await peer.user("root", is_admin=True)
        ann = await peer.user("ann")
        new = {"name": "library", "password": "long enough"}
        assert (await ask(peer, "POST", "/api/v1/accounts", "", new)).status == 403
        assert (await ask(peer, "POST", "/api/v1/organizations", ann, {"name": "library"})).status == 403
        identity = Identity("https://id#1", "library", "", "")
        made = await peer.hub.do(Who(ANYBODY, "", time.time()), openid.log_in, identity, sign_up=True)
        assert made.name == "library-2"
        assert (await ask(peer, "POST", "/api/v1/organizations", root, {"name": "library"})).status == 201


async def test_organizations_are_no_admins(hub_settings: Settings) -> None:
    """Or the last admin could go, as there would be another."""
    async with peering(hub_settings) as peer:
        await peer.user("root", is_admin=True)
        await peer.organization("acme", "root")
        root = await who(peer, "root")
        with pytest.raises(InvalidArgument, match="admin"):
            await peer.hub.do(root, people.update_account, "acme", {"is_admin": True})
        with pytest.raises(Conflict):
            await peer.hub.do(root, people.delete_account, "root")


async def test_who_may_not_see_a_place_does_not_learn_which_webhooks_there_are(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        await peer.user("bob")
        await peer.hub.do(await who(peer, "ann"), repos.create, "ann/web", is_private=True)
        made = await peer.hub.do(
            await who(peer, "ann"),
            repos.create_webhook,
            peer.hub.outbound,
            "ann/web",
            "h",
            "http://127.0.0.1:9/",
            ["push"],
        )
        said = []
        for number in (made.id, made.id + 1):
            with pytest.raises(NotFound) as told:
                await peer.hub.read(await who(peer, "bob"), repos.webhook, "ann/web", number)
            said.append(str(told.value))
            with pytest.raises(Forbidden):
                await peer.hub.read(await who(peer, "bob"), repos.webhook, "ann", number)
        assert said[0] == said[1]


async def test_what_is_shown_in_a_line_is_one(hub_settings: Settings) -> None:
    """`docker search` writes it to terminals as it is."""
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        for bad in ("two\nlines", "\x1b[2Jgone", "\x9b2J", "a\u202egnp.exe"):
            body = {"name": "ann/web", "summary": bad}
            assert (await ask(peer, "POST", "/api/v1/repositories", ann, body)).status == 400, bad
            assert (await ask(peer, "PATCH", "/api/v1/account", ann, {"full_name": bad})).status == 400, bad
        body = {"name": "ann/web", "summary": "다람쥐 👩‍💻 – all of it"}
        assert (await ask(peer, "POST", "/api/v1/repositories", ann, body)).status == 201
        assert (await ask(peer, "PATCH", "/api/v1/repositories/ann/web", ann, {"summary": "\x07"})).status == 400
        assert (await peer.hub.database.read(repositories.get, "ann/web")).summary == body["summary"]


async def test_people_are_found_by_the_text_that_was_typed(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        for name in ("ann_lee", "ann-lee", "bob"):
            await peer.user(name, is_admin=True)

        def found(text: str) -> list[str]:
            return [one.name for one in listed[text]]

        listed = {
            text: await peer.hub.database.read(accounts.list_accounts, accounts.USER, "", 10, text)
            for text in ("%", "_", "n_l", "LEE", "\\")
        }
        assert found("%") == [] and found("\\") == [] and found("_") == found("n_l") == ["ann_lee"]
        assert found("LEE") == ["ann-lee", "ann_lee"]


async def test_deep_json_is_an_error_and_no_crash(hub_settings: Settings) -> None:
    async with peering(replace(hub_settings)) as peer:
        ann = await peer.user("ann")
        await peer.hub.do(await who(peer, "ann"), repos.create, "ann/web")
        for depth in (100, 450, 900):
            body = b'{"is_enabled": true, "rules": ' + b"[" * depth + b"]" * depth + b"}"
            answer = await ask(peer, "PUT", "/api/v1/repositories/ann/web/retention", ann, body)
            assert answer.status == 400, depth


async def test_stars_go_with_who_gave_them(hub_settings: Settings) -> None:
    """Or an account that is made and deleted again and again gives any number."""
    async with peering(hub_settings) as peer:
        for name in ("ann", "bob", "cy"):
            await peer.user(name)
        await peer.hub.do(await who(peer, "ann"), repos.create, "ann/web", is_private=False)
        for name in ("bob", "cy"):
            await peer.hub.do(await who(peer, name), repos.star, "ann/web", starred=True)
        await peer.hub.do(await who(peer, "bob"), people.delete_account, "bob")
        assert (await peer.hub.database.read(repositories.get, "ann/web")).stars == 1
