"""Docker Hub's paths: their names of things, the token one logs in for, and that they take no path from the registry."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from peer import PASSWORD, Answer, Peer, basic, peering
from world import WHO, ask, logins, make

from naru.hub.api import dockerhub
from naru.hub.api.dockerhub import Login
from naru.hub.api.routes import Route
from naru.hub.api.tokens import ApiTokens
from naru.hub.people import accounts, credentials, passwords, recovery, totp
from naru.hub.people.accounts import RESERVED
from naru.hub.server import Settings
from naru.registry.database import Connection


def routes(peer: Peer) -> list[Route]:
    return list(dockerhub.routes(Login(ApiTokens(peer.hub.authority, peer.hub.database))))


async def login(peer: Peer, name: str, secret: str) -> str:
    answer = await ask(peer, "POST", "/v2/auth/token", "", {"identifier": name, "secret": secret})
    assert answer.status == 200, answer
    return f"Bearer {answer.json['access_token']}"


async def test_no_repository_is_in_the_way(hub_settings: Settings) -> None:
    """Whatever is below these words, no account can have them as its name; and what of them is the registry's, it answers."""
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        first = {route.path.split("/")[1] for route in routes(peer)}
        assert first <= RESERVED
        for word in first:
            answer = await peer.ask("GET", f"/v2/{word}/x/manifests/latest")
            assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0", word
            scope = f"repository:{word}/x:pull,push"
            bearer = await peer.token(ann, scope)
            assert (await peer.ask("POST", f"/v2/{word}/x/blobs/uploads/", bearer)).code in ("UNAUTHORIZED", "DENIED")
        await peer.push("ann/repositories", "list", ann)
        bearer = await peer.token(ann, "repository:ann/repositories:pull")
        assert (await peer.ask("GET", "/v2/ann/repositories/tags/list", bearer)).json["tags"] == ["list"]


async def test_logging_in(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        for path, name, secret in (
            ("/v2/users/login", "username", "password"),
            ("/v2/auth/token", "identifier", "secret"),
        ):
            for slash in ("", "/"):
                body = {name: "ann", secret: PASSWORD, "more": "is overlooked"}
                answer = await ask(peer, "POST", path + slash, "", body)
                assert answer.status == 200
                (token,) = answer.json.values()
                for scheme in ("Bearer", "JWT"):
                    assert (await ask(peer, "GET", "/api/v1/account", f"{scheme} {token}")).json["name"] == "ann"
            for body, expected in (
                ({name: "ann", secret: "wrong"}, 401), ({name: "ann:" + PASSWORD, secret: "x"}, 401), ({name: "ann"}, 400),
                ({name: "ann", secret: 1}, 400), ({}, 400),
            ):  # fmt: skip
                assert (await ask(peer, "POST", path, "", body)).status == expected, body


async def test_logging_in_with_a_second_factor(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await peer.user("ann")
        secret, (recovery_code, *_) = totp.new_secret(b"x" * 20), totp.recovery_codes(b"y" * 70)

        def enable(c: Connection) -> None:
            ann = accounts.get(c, "ann").id
            accounts.update(c, ann, totp_secret=secret)
            accounts.set_recovery_codes(c, ann, recovery.digests([recovery_code], secret))

        await peer.hub.database.write(enable)

        async def first_step(password: str = PASSWORD) -> Answer:
            return await ask(peer, "POST", "/v2/users/login", "", {"username": "ann", "password": password})

        async def second_step(ticket: str, code: str) -> Answer:
            return await ask(peer, "POST", "/v2/users/2fa-login/", "", {"login_2fa_token": ticket, "code": code})

        refused = await first_step()
        assert refused.status == 401 and "secondary authentication" in refused.json["detail"]
        assert "login_2fa_token" not in (await first_step("wrong")).json
        ticket = refused.json["login_2fa_token"]
        assert (await second_step(ticket, "000000")).status == 401
        for code in (totp.code(secret, time.time()), recovery_code):
            answer = await second_step(ticket, code)
            assert (await ask(peer, "GET", "/api/v1/account", f"Bearer {answer.json['token']}")).json["name"] == "ann"
            assert (await second_step(ticket, code)).status == 404  # it is used up
            ticket = (await first_step()).json["login_2fa_token"]
        pat = await peer.secret("ann", credentials.PERSONAL, "ci", "read")
        assert (await first_step(pat)).json["token"]  # which needs no second step


async def test_immutable_tags(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann, bob = await peer.user("ann"), await peer.user("bob")
        for tag in ("v1", "v2", "latest", "1-RELEASE"):
            await peer.push("ann/app", tag, ann)
        path = "/v2/namespaces/ann/repositories/app"
        body = {"immutable_tags": True, "immutable_tags_rules": ["v.*", "^.*-RELEASE$"]}
        assert (await ask(peer, "PATCH", f"{path}/immutabletags", bob, body)).status == 404
        answer = await ask(peer, "PATCH", f"{path}/immutabletags", ann, body)
        assert answer.status == 200
        assert answer.json["immutable_tags_settings"] == {"enabled": True, "rules": ["v.*", ".*-RELEASE"]}
        for tag, is_held in (("v1", True), ("1-RELEASE", True), ("latest", False)):
            bearer = await peer.token(ann, "repository:ann/app:pull,push,delete")
            status = (await peer.ask("DELETE", f"/v2/ann/app/manifests/{tag}", bearer)).status
            assert status == (403 if is_held else 202), tag
        answer = await ask(peer, "POST", f"{path}/immutabletags/verify", ann, {"regex": "v[0-9]|.*SE"})
        assert answer.json == {"tags": ["1-RELEASE", "v1", "v2"]}
        for wrong in ("(", "v[", "", "x" * 255, None):
            assert (await ask(peer, "POST", f"{path}/immutabletags/verify", ann, {"regex": wrong})).status == 400
        body = {"immutable_tags": True, "immutable_tags_rules": ["("]}
        assert (await ask(peer, "PATCH", f"{path}/immutabletags", ann, body)).status == 400
        shown = (await ask(peer, "GET", "/api/v1/repositories/ann/app", ann)).json
        assert shown["immutable"] == "^v.*$ ^.*-RELEASE$"
        body = {"immutable_tags": False, "immutable_tags_rules": ["v.*"]}
        answer = await ask(peer, "PATCH", f"{path}/immutabletags", ann, body)
        assert answer.json["immutable_tags_settings"] == {"enabled": False, "rules": []}


async def test_what_a_token_is_good_for(hub_settings: Settings) -> None:
    """It is no more than what it was got by, and ends with it; and neither it nor the registry's are good in place of the other."""
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/app", "v1", ann)
        by_password = await login(peer, "ann", PASSWORD)
        pat = await peer.secret("ann", credentials.PERSONAL, "reads", "read")
        by_token = await login(peer, "ann", pat)
        assert (await ask(peer, "GET", "/v2/repositories/ann/app/", by_token)).json["permissions"] == {
            "read": True, "write": False, "admin": False,
        }  # fmt: skip
        assert (await ask(peer, "DELETE", "/api/v1/repositories/ann/app", by_token)).status == 403
        assert (await peer.ask("GET", "/v2/ann/app/manifests/v1", by_password)).status == 401
        for_registry = await peer.token(ann, "repository:ann/app:pull")
        assert (await ask(peer, "GET", "/api/v1/account", for_registry)).status == 401
        claims = jwt.decode(by_password.split()[1], options={"verify_signature": False})
        assert 0 < claims["exp"] - time.time() <= 600
        assert (await ask(peer, "GET", "/api/v1/account", _forged(claims))).status == 401

        def forget(c: Connection) -> None:
            (one,) = credentials.of_account(c, accounts.get(c, "ann").id, credentials.PERSONAL)
            credentials.set_disabled(c, one.id, True)

        await peer.hub.database.write(forget)
        assert (await ask(peer, "GET", "/api/v1/account", by_token)).status == 401
        hashed = await passwords.hash_password("another one")
        await peer.hub.database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, password=hashed))
        assert (await ask(peer, "GET", "/api/v1/account", by_password)).status == 401


def _forged(claims: dict[str, Any]) -> str:
    return f"Bearer {jwt.encode(claims, 'x' * 32, algorithm='HS256')}"


async def test_a_robot_logs_in(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        known = await logins(peer)
        await peer.hub.database.write(make, 1)
        name, secret = "acme+ci", _secret(known["robot"])
        robot = await login(peer, name, secret)
        assert (await ask(peer, "GET", "/v2/repositories/acme/r1/tags/v1/", robot)).status == 200
        assert (await ask(peer, "GET", "/v2/access-tokens", robot)).status == 403


def _secret(authorization: str) -> str:
    import base64

    return base64.b64decode(authorization.split()[1]).decode().partition(":")[2]


@pytest.mark.parametrize("where", ["/v2/namespaces/acme/repositories", "/v2/repositories/acme"])
async def test_repositories_and_tags(hub_settings: Settings, where: str) -> None:
    async with peering(hub_settings) as peer:
        known = await logins(peer)
        await peer.push("acme/app", "v1", known["owner"])
        await peer.push("acme/app", "v2", known["owner"], b"another layer")
        while peer.hub.workers and (await ask(peer, "GET", "/api/v1/admin/jobs", known["admin"])).json["waiting"]:
            peer.hub.workers.wake()
        await ask(peer, "PUT", "/api/v1/repositories/acme/app/readme", known["owner"], {"readme": "# App"})
        owner = await login(peer, "owner", PASSWORD)
        page = (await ask(peer, "GET", f"{where}?page_size=1", owner)).json
        assert page.keys() == {"count", "next", "previous", "results"}
        (one,) = page["results"]
        assert (one["namespace"], one["name"], one["is_private"], one["repository_type"]) == (
            "acme",
            "app",
            True,
            "image",
        )
        shown = (await ask(peer, "GET", f"{where}/app/", owner)).json
        assert one.items() <= shown.items()
        assert (shown["full_description"], shown["user"]) == ("# App", "acme")
        assert shown["permissions"] == {"read": True, "write": True, "admin": True}
        tags = (await ask(peer, "GET", f"{where}/app/tags?page_size=1&ordering=x", owner)).json
        assert (tags["count"], [tag["name"] for tag in tags["results"]]) == (2, ["v2"])
        assert tags["next"].endswith(f"{where}/app/tags?page_size=1&ordering=x&page=2")
        tag = (await ask(peer, "GET", f"{where}/app/tags/v2", owner)).json
        assert tag == tags["results"][0] and tag["tag_status"] == "active"
        (image,) = tag["images"]
        assert (image["os"], image["architecture"], image["digest"]) == ("linux", "amd64", tag["digest"])
        assert image["size"] == tag["full_size"] > 0
        for path, expected in (
            ("/app", 200),
            ("/none", 404),
            ("/app/tags", 200),
            ("/app/tags/v1", 200),
            ("/app/tags/v3", 404),
        ):
            assert (await ask(peer, "HEAD", where + path, owner)).status == expected
            assert (await ask(peer, "HEAD", where + path)).status == 404
        assert (await ask(peer, "GET", where)).json["count"] == 0
        assert (await ask(peer, "GET", where.replace("acme", "nobody"))).status == 404
        for query in ("page=x", "page_size=%00"):
            assert (await ask(peer, "GET", f"{where}?{query}", owner)).status == 400


async def test_search_and_members(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        known = await logins(peer)
        await ask(
            peer,
            "POST",
            "/api/v1/repositories",
            known["owner"],
            {"name": "acme/tool", "is_private": False, "summary": "A tool"},
        )
        found = (await ask(peer, "GET", "/v2/search/repositories/?query=tool")).json
        assert [(one["repo_name"], one["short_description"], one["is_official"]) for one in found["results"]] == [
            ("acme/tool", "A tool", False)
        ]
        assert (await ask(peer, "GET", "/v2/search/repositories?query=none")).json["count"] == 0
        members = (await ask(peer, "GET", "/v2/orgs/acme/members", known["editor"])).json
        assert [(one["username"], one["role"]) for one in members["results"]] == [
            ("editor", "Editor"),
            ("owner", "Owner"),
        ]
        assert (await ask(peer, "GET", "/v2/orgs/acme/members", known["stranger"])).status == 403


async def test_access_tokens(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann, bob = await peer.user("ann"), await peer.user("bob")
        new = {"token_label": "ci", "scopes": ["repo:read", "repo:write"], "expires_at": "2999-01-01T00:00:00Z"}
        answer = await ask(peer, "POST", "/v2/access-tokens", ann, new)
        assert answer.status == 201
        made = answer.json
        assert (made["token_label"], made["scopes"], made["is_active"]) == ("ci", ["repo:write"], True)
        secret = basic("ann", made["token"])
        assert (await ask(peer, "GET", "/api/v1/account", secret)).json["scope"] == "write"
        path = f"/v2/access-tokens/{made['uuid']}"
        shown = (await ask(peer, "GET", path, ann)).json
        assert shown["token"] == "" and {**shown, "token": made["token"], "last_used": None} == made
        assert (await ask(peer, "GET", "/v2/access-tokens", ann)).json["results"] == [shown]
        for method in ("GET", "PATCH", "DELETE"):
            body = {"is_active": False} if method == "PATCH" else None
            assert (await ask(peer, method, path, bob, body)).status == 404
            assert (await ask(peer, method, path, "", body)).status == 401
            assert (await ask(peer, method, "/v2/access-tokens/none", ann, body)).status == 404
        assert (await ask(peer, "PATCH", path, ann, {"is_active": False})).json["is_active"] is False
        assert (await ask(peer, "GET", "/api/v1/account", secret)).status == 401
        assert (await ask(peer, "DELETE", path, ann)).status == 204
        assert (await ask(peer, "GET", "/v2/access-tokens", ann)).json["count"] == 0
        for body in ({}, {**new, "scopes": []}, {**new, "scopes": ["repo:own"]}, {**new, "token_label": ""}):
            assert (await ask(peer, "POST", "/v2/access-tokens", ann, body)).status == 400


# who, in the order of WHO: `.` is success, 1 is 401, 3 is 403, 4 is 404
CELLS = {
    "GET /namespaces/{namespace}/repositories": "............",
    "GET /namespaces/{namespace}/repositories/{name}": "44......4...",
    "GET /namespaces/{namespace}/repositories/{name}/tags": "44......4...",
    "GET /namespaces/{namespace}/repositories/{name}/tags/{tag}": "44......4...",
    "GET /repositories/{namespace}": "............",
    "GET /repositories/{namespace}/{name}": "44......4...",
    "GET /repositories/{namespace}/{name}/tags": "44......4...",
    "GET /repositories/{namespace}/{name}/tags/{tag}": "44......4...",
    "PATCH /namespaces/{namespace}/repositories/{name}/immutabletags": "14333..3433.",
    "POST /namespaces/{namespace}/repositories/{name}/immutabletags/verify": "14333..3433.",
    "PATCH /repositories/{namespace}/{name}/immutabletags": "14333..3433.",
    "POST /repositories/{namespace}/{name}/immutabletags/verify": "14333..3433.",
    "GET /search/repositories": "............",
    "GET /orgs/{organization}/members": "1333...3....",
    "GET /access-tokens": "1......3....",
    "POST /access-tokens": "1......3333.",
    "GET /access-tokens/{uuid}": "14444.43....",
    "PATCH /access-tokens/{uuid}": "14444.43333.",
    "DELETE /access-tokens/{uuid}": "14444.43333.",
}


async def test_every_cell(hub_settings: Settings) -> None:
    from uuid import UUID

    async with peering(hub_settings) as peer:
        known, wrong = await logins(peer), []
        table = [route for route in routes(peer) if not route.path.startswith(("/auth/", "/users/"))]
        assert {route.key for route in table} == CELLS.keys()
        n = 0
        for route in table:
            for who, expected in zip(WHO, CELLS[route.key], strict=True):
                n += 1
                made = await peer.hub.database.note(make, n)
                path = route.path.format(
                    namespace="acme", name=f"r{n}", tag="v1", organization="acme", uuid=UUID(int=made.token)
                )
                bodies: dict[str, dict[str, Any]] = {  # each with what some other route of its method wants
                    "POST": {"token_label": f"x{n}", "scopes": ["repo:read"], "regex": "v.*"},
                    "PATCH": {"is_active": False, "immutable_tags": True, "immutable_tags_rules": ["v.*"]},
                }
                answer = await ask(peer, route.method, f"/v2{path}", known[who], bodies.get(route.method))
                status = {"1": 401, "3": 403, "4": 404}.get(expected, route.status)
                if answer.status != status:
                    wrong.append((route.key, who, expected, answer.status))
        assert wrong == []
