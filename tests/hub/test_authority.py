"""The token server, as Docker's and containerd's clients ask it."""

from __future__ import annotations

import asyncio
import base64
import time
from urllib.parse import urlencode

import jwt
import pytest
from peer import PASSWORD, Peer, basic, peering

from naru.errors import Unauthenticated
from naru.hub.authority import parse_scopes
from naru.hub.people import accounts, credentials
from naru.hub.people.permissions import Reach
from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.registry.database import Connection
from naru.registry.errors import Refusal

FORM = "application/x-www-form-urlencoded"


async def post(peer: Peer, **form: str) -> tuple[int, dict[str, object]]:
    answer = await peer.ask("POST", "/token", data=urlencode(form).encode(), Content_Type=FORM)
    return answer.status, answer.json


def access(token: str) -> list[tuple[str, list[str]]]:
    claims = jwt.decode(token.removeprefix("Bearer "), options={"verify_signature": False})
    return [(f"{entry['type']}:{entry['name']}", entry["actions"]) for entry in claims["access"]]


def test_scopes() -> None:
    found = parse_scopes(
        ["repository:a/b:pull,push registry:catalog:*", "repository(plugin):c/d:pull", "nonsense", "a:b"]
    )
    assert [(one.type, one.name, sorted(one.actions)) for one in found] == [
        ("repository", "a/b", ["pull", "push"]), ("registry", "catalog", ["*"]), ("repository", "c/d", ["pull"]),
    ]  # fmt: skip
    assert len(parse_scopes(["repository:a/b:pull"] * 500)) == 50
    assert parse_scopes(["repository:localhost:5000/a:pull"])[0].name == "localhost:5000/a"


async def test_get_with_a_password_without_one_and_with_a_wrong_one(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)
        scope = "repository:ann/web:pull,push,delete"
        assert access(await peer.token(ann, scope)) == [("repository:ann/web", ["delete", "pull", "push"])]
        assert access(await peer.token("", scope)) == []  # what is pushed first is private
        answer = await peer.ask("GET", f"/token?scope={scope}", basic("ann", "wrong"))
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        answer = await peer.ask("GET", f"/token?scope={scope}", basic("nobody", "wrong"))
        assert answer.status == 401 and "incorrect username or password" in answer.body.decode()
        answer = await peer.ask("GET", "/token?service=naru-hub&scope=repository:ann/web:pull", ann)
        assert {"token", "access_token", "expires_in", "issued_at"} <= answer.json.keys()
        assert answer.json["expires_in"] >= 60 and answer.headers["Cache-Control"] == "no-store"


async def test_post_with_a_password_and_then_with_what_was_remembered(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        wanted = {"service": "naru-hub", "client_id": "docker", "scope": "repository:ann/new:pull,push"}
        status, answer = await post(
            peer, grant_type="password", username="ann", password=PASSWORD, access_type="offline", **wanted
        )
        assert status == 200 and access(str(answer["access_token"])) == [("repository:ann/new", ["pull", "push"])]
        refresh = str(answer["refresh_token"])
        status, answer = await post(peer, grant_type="refresh_token", refresh_token=refresh, **wanted)
        assert (status, answer["refresh_token"]) == (200, refresh)
        assert answer["scope"] == "repository:ann/new:pull,push"
        await peer.hub.database.write(lambda c: credentials.delete_all(c, accounts.get(c, "ann").id, credentials.LOGIN))
        assert (await post(peer, grant_type="refresh_token", refresh_token=refresh, **wanted))[0] == 401
        assert (await post(peer, grant_type="client_credentials", **wanted))[0] == 400
        assert (await post(peer, grant_type="password", username="ann", password="wrong", **wanted))[0] == 401


async def test_docker_login_gets_an_identity_token_by_get(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        answer = await peer.ask("GET", "/token?account=ann&client_id=docker&offline_token=true&service=naru-hub", ann)
        status, again = await post(
            peer, grant_type="refresh_token", refresh_token=answer.json["refresh_token"], service="naru-hub"
        )
        assert status == 200
        login = f"Bearer {again['access_token']}"
        assert (await peer.ask("GET", "/v2/", login)).status == 200
        challenge = await peer.ask("GET", "/v2/")
        assert challenge.status == 401
        assert challenge.headers["WWW-Authenticate"] == f'Bearer realm="{peer.url}/token",service="naru-hub"'


async def test_personal_tokens_in_place_of_the_password(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.user("bob")
        await peer.push("ann/web", "1", ann)
        scope = "repository:ann/web:pull,push,delete"
        for name, expected in (
            ("public", []), ("read", ["pull"]), ("write", ["pull", "push"]), ("delete", ["delete", "pull", "push"]),
        ):  # fmt: skip
            secret = await peer.secret("ann", credentials.PERSONAL, name, name)
            found = access(await peer.token(basic("ann", secret), scope))
            assert found == ([("repository:ann/web", expected)] if expected else [])
            assert (await peer.ask("GET", "/token", basic("bob", secret))).status == 401
        expired = await peer.secret("ann", credentials.PERSONAL, "soon", "read", 0.05)
        while time.time() < time.time():
            pass
        disabled = await peer.secret("ann", credentials.PERSONAL, "off", "read")

        def disable(c: credentials.Connection) -> None:
            found = credentials.by_secret(c, disabled)
            assert found is not None
            credentials.set_disabled(c, found.id, True)
            c.run("UPDATE credential SET expires_at = 1 WHERE name = 'soon'")

        await peer.hub.database.write(disable)
        for secret in (expired, disabled, "naru_pat_made-up"):
            assert (await peer.ask("GET", "/token", basic("ann", secret))).status == 401


async def test_robots_reach_what_they_were_given_in_any_namespace(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.organization("acme", "ann")
        await peer.push("acme/web", "1", ann)
        await peer.push("ann/tool", "1", ann)
        await peer.push("ann/secret", "1", ann)
        maker = (await peer.hub.database.read(accounts.get, "ann")).id
        reach = Reach(grants={"acme/*": frozenset({"pull", "push"}), "ann/tool": frozenset({"pull"})}, maker=maker)
        secret = await peer.secret("acme", credentials.ROBOT, "ci", reach)
        for login in ("acme+ci", "acme"):
            robot = basic(login, secret)
            asked = [
                f"repository:{name}:pull,push" for name in ("acme/web", "ann/tool", "ann/secret", "acme/new", "bob/new")
            ]
            assert access(await peer.token(robot, *asked)) == [
                ("repository:acme/web", ["pull", "push"]), ("repository:ann/tool", ["pull"]),
                ("repository:acme/new", ["pull", "push"]),
            ]  # fmt: skip
        assert (await peer.ask("GET", "/token", basic("ann", secret))).status == 401


async def test_a_second_factor_leaves_only_tokens(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.hub.database.write(
            lambda c: accounts.update(c, accounts.get(c, "ann").id, totp_secret="JBSWY3DPEHPK3PXP")
        )
        answer = await peer.ask("GET", "/token", ann)
        assert answer.status == 401 and "personal access token" in answer.body.decode()
        secret = await peer.secret("ann", credentials.PERSONAL, "docker", "read")
        assert (await peer.ask("GET", "/token", basic("ann", secret))).status == 200


async def test_whoever_guesses_is_slowed_down(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        for _ in range(10):
            assert (await peer.ask("GET", "/token", basic("ann", "wrong"))).status == 401
        answer = await peer.ask("GET", "/token", ann)
        assert (answer.status, answer.code) == (429, "TOOMANYREQUESTS") and int(answer.headers["Retry-After"]) > 0


async def test_a_disabled_account_gets_nothing(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        secret = await peer.secret("ann", credentials.PERSONAL, "t", "read")
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, is_disabled=True))
        for authorization in (ann, basic("ann", secret)):
            assert (await peer.ask("GET", "/token", authorization)).status == 401


async def test_hostile_requests(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        for authorization in ("Basic", "Basic !!!", "Basic " + "A" * 20000, "Bearer x", "Basic bm9jb2xvbg=="):
            answer = await peer.ask("GET", "/token", authorization)
            assert answer.status in (400, 401), authorization[:20]
        assert (await peer.ask("POST", "/token", data=b"x" * 100_000, Content_Type=FORM)).status == 413
        assert (await peer.ask("POST", "/token", data=b"\xff\xfe=%", Content_Type=FORM)).status == 400
        for scope in ("repository:../etc:pull", "repository:a//b:pull", "repository:%00:pull", "a" * 5000):
            assert access(await peer.token("", scope)) == []


async def test_a_name_without_a_namespace_is_an_official_one(hub_settings: Settings) -> None:
    """`docker search HOST/busy` shows `busybox`, and that can be pulled: from this host as from docker.io."""
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann", is_admin=True)
        await peer.organization("library", "ann")
        digest = await peer.push("busybox", "latest", ann)
        for name in ("busybox", "library/busybox"):
            bearer = await peer.token(ann, f"repository:{name}:pull")
            answer = await peer.ask("GET", f"/v2/{name}/manifests/latest", bearer)
            assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, digest)
            answer = await peer.ask(
                "POST",
                f"/v2/ann/x/blobs/uploads/?mount={Digest.of(b'layer')}&from={name}",
                await peer.token(ann, f"repository:{name}:pull", "repository:ann/x:pull,push"),
            )
            assert answer.status == 201


async def test_logging_in_by_an_address_that_is_ones_own_alone(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        for name in ("ann", "bob"):
            await peer.user(name)
        address = "ann@example.org"
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, email=address))
        assert access(await peer.token(basic(address, PASSWORD), "repository:ann/x:push")) == [
            ("repository:ann/x", ["push"])
        ]
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "bob").id, email=address))
        assert (await peer.ask("GET", "/token", basic(address, PASSWORD))).status == 401


async def test_a_hash_of_old_is_made_anew_at_the_next_login(hub_settings: Settings) -> None:
    import argon2

    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, password=weak))
        assert (await peer.ask("GET", "/token", ann)).status == 200
        found = await peer.hub.database.read(accounts.secrets, "ann")
        assert found is not None and found.password and "m=65536" in found.password
        assert (await peer.ask("GET", "/token", ann)).status == 200


async def test_new_accounts_of_one_address_are_limited(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        for _ in range(20):
            peer.hub.identities.check_sign_up("192.0.2.1")
        with pytest.raises(Refusal, match="too many new accounts"):
            peer.hub.identities.check_sign_up("192.0.2.1")
        peer.hub.identities.check_sign_up("192.0.2.2")


async def test_many_guesses_at_once_are_not_more_than_one_after_another(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        answers = await asyncio.gather(*(peer.ask("GET", "/token", basic("ann", f"wrong {n}")) for n in range(30)))
        assert sum(answer.status == 401 for answer in answers) <= 12
        assert (await peer.ask("GET", "/token", ann)).status == 429


async def test_many_right_logins_at_once_are_all_let_in(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        answers = await asyncio.gather(*(peer.ask("GET", "/token", ann) for _ in range(30)))
        assert {answer.status for answer in answers} == {200}


async def test_a_good_token_is_good_whoever_else_guesses_from_there(hub_settings: Settings) -> None:
    """Many are behind one address, and a token that has expired somewhere there is asked for again and again."""
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        secret = await peer.secret("ann", credentials.PERSONAL, "t", "read")
        statuses = [(await peer.ask("GET", "/token", basic("ann", f"naru_pat_{n}"))).status for n in range(12)]
        assert statuses[:10] == [401] * 10 and statuses[10:] == [429] * 2
        assert (await peer.ask("GET", "/token", basic("ann", secret))).status == 200


async def test_credentials_that_no_database_takes(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        for pair in (b"\xff\xfe:pw", b"a\0nn:pw", b"ann:p\0w", b"ann:\xff"):
            authorization = "Basic " + base64.b64encode(pair).decode()
            for path in ("/token", "/v1/search?q=x", "/api/v1/account"):
                assert (await peer.ask("GET", path, authorization)).status == 401, pair
        assert (await post(peer, grant_type="password", username="a\0nn", password="x", scope=""))[0] == 401
        assert (await peer.ask("GET", "/v1/search?q=%00x")).status == 200


async def test_a_hash_that_is_made_anew_does_not_undo_a_new_password(hub_settings: Settings) -> None:
    """Somebody logs in with the old one, whose hash is weak, while it is changed."""
    async with peering(hub_settings) as peer:
        await peer.user("ann")

        def change(c: Connection) -> str | None:
            account = accounts.get(c, "ann").id
            accounts.update(c, account, password="new")
            accounts.rehash(c, account, "old", "old, made anew")
            found = accounts.secrets(c, "ann")
            assert found is not None and found.password == "new"
            accounts.rehash(c, account, "new", "new, made anew")
            found = accounts.secrets(c, "ann")
            return found.password if found else None

        assert await peer.hub.database.write(change) == "new, made anew"


async def test_names_that_are_tried_take_no_room(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        identities = peer.hub.identities
        with pytest.raises(Unauthenticated):
            await identities.by_password("x" * 5_000_000, "wrong", "192.0.2.1")
        assert all(len(key) < 500 for key in identities._failures._taken)


async def test_a_fault_of_ours_is_said_in_json(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        del peer.hub.authority._newest
        answer = await peer.ask("GET", "/token")
        assert (answer.status, answer.code, answer.headers["Cache-Control"]) == (500, "UNKNOWN", "no-store")
