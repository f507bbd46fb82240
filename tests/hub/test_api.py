"""What the API does beyond who may: lists, what is answered of what was asked, and where it must not be fooled."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from peer import PASSWORD, Peer, basic, peering
from world import ask, logins, make

from naru.hub.api import ROUTES, openapi
from naru.hub.api.routes import PREFIX, Table
from naru.hub.catalog import repositories
from naru.hub.people import accounts, credentials, totp
from naru.hub.people.permissions import Reach
from naru.hub.server import Settings
from naru.registry.database import Connection


async def good(peer: Peer, method: str, path: str, who: str = "", body: Any = None) -> Any:
    """What is answered, in success."""
    answer = await ask(peer, method, path if path.startswith("http") else PREFIX + path, who, body)
    assert answer.status < 300, answer
    return json.loads(answer.body) if answer.body else None


async def status(peer: Peer, method: str, path: str, who: str = "", body: Any = None) -> int:
    return (await ask(peer, method, PREFIX + path, who, body)).status


# the document


def test_the_document_has_every_route_and_everything_it_names() -> None:
    document = openapi.document(ROUTES, "Hub", "1")
    assert document["openapi"] == "3.1.0"
    there = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert there == {(route.method, route.path) for route in ROUTES}
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    schemas = document["components"]["schemas"]
    used = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                used.add(value["$ref"].removeprefix("#/components/schemas/"))
                assert value.keys() <= {"$ref", "description"}
            if "properties" in value and value.get("type") == "object":
                assert set(value.get("required", ())) <= value["properties"].keys()
            if (
                isinstance(value.get("type"), str)
                and "schema" not in value
                and "in" not in value
                and "scheme" not in value
            ):
                assert value["type"] in ("object", "array", "string", "integer", "boolean", "http", "null")
            if value.get("type") == "array":
                assert "items" in value
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(document)
    assert used == set(schemas)
    for path, methods in document["paths"].items():
        for one in methods.values():
            named = [each["name"] for each in one["parameters"] if each["in"] == "path"]
            assert all(f"{{{name}}}" in path for name in named) and path.count("{") == len(named)
            assert one["summary"] and set(one["responses"]) > {"400", "401", "403", "404"}


async def test_the_document_is_served(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        assert await good(peer, "GET", "/openapi.json") == json.loads(
            json.dumps(openapi.document(ROUTES, "Naru Hub", peer_version()))
        )


def peer_version() -> str:
    from naru import __version__

    return __version__


# paths


@pytest.mark.parametrize(
    ("path", "key", "parts"),
    [
        ("/repositories/acme/app", "GET /repositories/{namespace}/{name}", {"namespace": "acme", "name": "app"}),
        ("/repositories/acme/a/b", "GET /repositories/{namespace}/{name}", {"namespace": "acme", "name": "a/b"}),
        ("/repositories/acme/a/b/tags", "GET /repositories/{namespace}/{name}/tags", {"namespace": "acme", "name": "a/b"}),
        ("/repositories/acme/tags", "GET /repositories/{namespace}/{name}", {"namespace": "acme", "name": "tags"}),
        ("/repositories/acme/tags/tags", "GET /repositories/{namespace}/{name}/tags", {"namespace": "acme", "name": "tags"}),
        ("/repositories/acme/a%2Ftags", "GET /repositories/{namespace}/{name}", {"namespace": "acme", "name": "a/tags"}),
        ("/repositories/acme/a/tags/tags/x", "GET /repositories/{namespace}/{name}/tags/{tag}", {"namespace": "acme", "name": "a/tags", "tag": "x"}),
        ("/repositories/facets", "GET /repositories/facets", {}),
        ("/account/tokens/12", "", {}),
        ("/account/tokens/x", "", {}),
        ("/account/tokens/9999999999999999999", "", {}),
        ("/repositories/a%00b/c", "", {}),
        ("/repositories/acme", "", {}),
        ("/repositories/acme/app/", "", {}),
        ("//repositories", "", {}),
        ("", "", {}),
    ],
)  # fmt: skip
def test_paths(path: str, key: str, parts: dict[str, str]) -> None:
    route, found, _ = Table(ROUTES).match("GET", path)
    assert (route.key if route else "", found) == (key, parts)


async def test_answers_on_every_path_and_method_are_json(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        for method, path, expected in (
            ("GET", "", 404), ("GET", "/", 404), ("GET", "/nothing", 404), ("GET", "/repositories/%zz/%ff", 404),
            ("PUT", "/account", 405), ("OPTIONS", "/account", 405), ("PROPFIND", "/account", 405),
            ("GET", "/repositories/acme/" + "x/" * 50, 404),
        ):  # fmt: skip
            answer = await ask(peer, method, PREFIX + path)
            assert (answer.status, answer.json.keys()) == (expected, {"message", "code"}), path
        assert answer.headers["Cache-Control"] == "no-store"
        refused = await ask(peer, "PUT", PREFIX + "/account")
        assert refused.headers["Allow"] == "GET, PATCH"
        head = await ask(peer, "HEAD", PREFIX + "/repositories")
        assert (head.status, head.body) == (200, b"")


async def test_a_body_that_breaks_off(hub_settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Changes nothing, and is no fault of the hub's."""
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        host, _, port = peer.address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"PATCH /api/v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: {ann}\r\nContent-Type: application/json\r\nContent-Length: 100"
        writer.write(f'{head}\r\n\r\n{{"about": "half'.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await good(peer, "GET", "/account", ann))["account"]["about"] == ""
        assert not caplog.records


# who


async def test_a_browser_gets_nothing_by_being_one(hub_settings: Settings) -> None:
    """Neither a session's cookie nor a prompt for a password, which browsers would remember and send by themselves."""
    async with peering(hub_settings) as peer:
        await peer.user("ann")

        def open_browser(c: Connection) -> str:
            return credentials.open_browser(c, accounts.get(c, "ann").id, "agent", "", time.time())

        cookie = await peer.hub.database.write(open_browser)
        names = ("session", "naru", "naru_session", "__Host-session", "__Host-naru")
        answer = await peer.ask("GET", "/api/v1/account", Cookie="; ".join(f"{name}={cookie}" for name in names))
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="naru"')


async def test_bad_credentials(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        for authorization in (
            "Bearer", "Bearer ", "Bearer x.y.z", "Bearer é", "Basic", "Basic !", "Basic eA==", "Digest x",
        ):  # fmt: skip
            for path in ("/account", "/repositories"):
                assert await status(peer, "GET", path, authorization) == 401
        assert await status(peer, "GET", "/repositories", "Bearer naru_pat_x") == 401


async def test_guessing_ends(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        right = await peer.user("ann")
        for _ in range(10):
            assert await status(peer, "GET", "/account", basic("ann", "wrong")) == 401
        answer = await ask(peer, "GET", "/api/v1/account", right)
        assert (answer.status, answer.json["code"]) == (429, "too_many_requests")
        assert int(answer.headers["Retry-After"]) > 0


async def test_signing_up(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        new = {"name": "ann", "password": "long enough", "full_name": "Ann"}
        assert (await good(peer, "POST", "/accounts", "", new))["is_admin"] is True  # the first of all
        for body, expected in (
            (new, 409), ({**new, "name": "bob", "is_admin": True}, 403), ({**new, "name": "bob", "password": "short"}, 400),
            ({**new, "name": "Bob"}, 400), ({**new, "name": "admin"}, 400), ({**new, "name": "namespaces"}, 400),
            ({**new, "name": "bob", "email": "none"}, 400),
        ):  # fmt: skip
            assert await status(peer, "POST", "/accounts", "", body) == expected, body
        assert (await good(peer, "POST", "/accounts", "", {**new, "name": "bob"}))["is_admin"] is False
        ann = basic("ann", "long enough")
        made = await good(peer, "POST", "/accounts", ann, {**new, "name": "cy", "is_admin": True})
        assert made["is_admin"] is True
        statuses = [await status(peer, "POST", "/accounts", "", new) for _ in range(20)]
        assert statuses[0] == 409 and statuses[-1] == 429


async def test_a_closed_hub_has_a_first_account(hub_settings: Settings) -> None:
    import dataclasses

    async with peering(dataclasses.replace(hub_settings, sign_up=False)) as peer:
        new = {"name": "ann", "password": "long enough"}
        assert (await good(peer, "POST", "/accounts", "", new))["is_admin"] is True
        assert await status(peer, "POST", "/accounts", "", {**new, "name": "bob"}) == 403
        ann = basic("ann", "long enough")
        assert await status(peer, "POST", "/accounts", ann, {**new, "name": "bob"}) == 201


async def test_password_and_second_factor(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann, wrong = await peer.user("ann"), {"old_password": "wrong", "new_password": "another one"}
        pat = f"Bearer {await peer.secret('ann', credentials.PERSONAL, 'all', 'delete')}"
        assert await status(peer, "PUT", "/account/password", pat, wrong) == 403  # a token that was found does not
        await good(peer, "PUT", "/account/password", pat, {**wrong, "old_password": PASSWORD})
        assert await status(peer, "GET", "/account", ann) == 401
        ann = basic("ann", "another one")
        new = await good(peer, "POST", "/account/totp", ann)
        assert new["uri"].startswith("otpauth://totp/Naru%20Hub:ann?")
        given = {"secret": new["secret"], "code": "000000", "password": "another one"}
        assert await status(peer, "PUT", "/account/totp", ann, {**given, "secret": "!" * 32}) == 400
        given["code"] = totp.code(new["secret"], time.time())
        assert await status(peer, "PUT", "/account/totp", ann, {**given, "password": "wrong"}) == 403
        assert len((await good(peer, "PUT", "/account/totp", ann, given))["recovery_codes"]) == 10
        assert await status(peer, "GET", "/account", ann) == 401  # from now on with a token alone
        assert await status(peer, "PUT", "/account/totp", pat, given) == 409
        assert (await good(peer, "GET", "/account", pat))["account"]["has_totp"] is True
        assert await status(peer, "POST", "/account/totp/disable", pat, {"password": "wrong"}) == 403
        await good(peer, "POST", "/account/totp/disable", pat, {"password": "another one"})
        await good(peer, "GET", "/account", ann)


async def test_what_is_private_about_an_account(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann, bob = await peer.user("ann"), await peer.user("bob")
        await good(peer, "PATCH", "/account", ann, {"email": "ann@example.com"})
        assert (await good(peer, "GET", "/accounts/ann", ann))["details"]["email"] == "ann@example.com"
        for who in ("", bob):
            shown = await good(peer, "GET", "/accounts/ann", who)
            assert (shown["details"], shown["used_bytes"]) == (None, None)
            assert "example.com" not in json.dumps(shown)
        assert await status(peer, "PATCH", "/accounts/ann", ann, {"badge": "official"}) == 403
        assert await status(peer, "PATCH", "/account", ann, {"is_admin": True}) == 400


# lists


async def test_pages(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")

        def fill(c: Connection) -> None:
            for number in range(7):
                repositories.create(c, f"ann/r{number}", time.time(), is_private=number % 2 == 0)

        await peer.hub.database.write(fill)
        path, names, sizes = "/repositories?namespace=ann&sort=name&page_size=3", [], []
        while path:
            page = await good(peer, "GET", path, ann)
            names += [one["name"] for one in page["results"]]
            sizes.append(len(page["results"]))
            assert page["count"] == 7
            path = page["next"]
        assert (names, sizes) == ([f"ann/r{number}" for number in range(7)], [3, 3, 1])
        assert page["previous"].endswith("namespace=ann&sort=name&page_size=3&page=2")
        for query, count, shown in (
            ("page_size=0", 7, 1), ("page_size=-5", 7, 1), ("page_size=1000000", 7, 7), ("page=0", 7, 7), ("page=99", 7, 0),
            ("page=99999999999999999999", 7, 0), ("q=r3", 1, 1), ("q=%25", 0, 0), ("q=_3", 0, 0), ("namespace=bob", 0, 0),
            ("starred=true", 0, 0),
        ):  # fmt: skip
            page = await good(peer, "GET", f"/repositories?{query}", ann)
            assert (page["count"], len(page["results"])) == (count, shown), query
        assert (await good(peer, "GET", "/repositories?starred=true"))["count"] == 0
        await good(peer, "PUT", "/repositories/ann/r2/star", ann)
        assert [one["name"] for one in (await good(peer, "GET", "/repositories?starred=1", ann))["results"]] == [
            "ann/r2"
        ]
        assert (await good(peer, "GET", "/repositories"))["count"] == 3


async def test_cursors(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        root = await peer.user("root", is_admin=True)
        for name in ("ann", "bob", "cyd", "dan"):
            await peer.user(name)
        path, names = "/accounts?page_size=2", []
        while path:
            page = await good(peer, "GET", path, root)
            assert page["count"] is None and page["previous"] is None
            names += [one["name"] for one in page["results"]]
            path = page["next"]
        assert names == ["ann", "bob", "cyd", "dan", "root"]
        for number in range(5):
            await good(peer, "POST", "/repositories", root, {"name": f"root/r{number}"})
        path, seen = "/accounts/root/audit?page_size=2", []
        while path:
            page = await good(peer, "GET", path, root)
            seen += [one["repository"] for one in page["results"] if one["action"] == "repository.create"]
            path = page["next"]
        assert seen == [f"root/r{number}" for number in (4, 3, 2, 1, 0)]


async def test_tokens_of_little_scope_find_little(hub_settings: Settings) -> None:
    """Search and lists show no more than asking for each would: tokens for what is public, and robots."""
    async with peering(hub_settings) as peer:
        await peer.user("ann", is_admin=True)

        def fill(c: Connection) -> None:
            for name, private in (("open", False), ("app-1", True), ("app_2", True), ("other", True)):
                repositories.create(c, f"ann/{name}", time.time(), is_private=private)

        await peer.hub.database.write(fill)
        for reach, expected in (
            (Reach(frozenset({"pull"}), public_only=True), {"ann/open"}),
            (Reach(frozenset({"pull"})), {"ann/open", "ann/app-1", "ann/app_2", "ann/other"}),
            (Reach(grants={"ann/app-*": frozenset({"pull"})}), {"ann/open", "ann/app-1"}),
            (Reach(grants={"ann/app_*": frozenset({"pull"})}), {"ann/open", "ann/app_2"}),
            (Reach(grants={"ann/app*": frozenset({"push"})}), {"ann/open"}),
        ):  # fmt: skip
            kind = credentials.PERSONAL if reach.grants is None else credentials.ROBOT
            secret = f"Bearer {await peer.secret('ann', kind, f't{abs(hash(str(reach)))}', reach)}"
            for path in ("/repositories", "/repositories?namespace=ann"):
                found = await good(peer, "GET", path, secret)
                assert {one["name"] for one in found["results"]} == expected
                for name in ("open", "app-1", "app_2", "other"):
                    seen = await status(peer, "GET", f"/repositories/ann/{name}", secret)
                    assert seen == (200 if f"ann/{name}" in expected else 404)


# what is in a repository


async def test_tags_are_deleted_by_the_hubs_rules(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        digest = await peer.push("ann/app", "v1", ann)
        await peer.push("ann/app", "v2", ann)
        where = "/repositories/ann/app"
        await good(peer, "PATCH", where, ann, {"immutable": "v1"})
        for path in (f"{where}/tags/v1", f"{where}/manifests/{digest}"):
            answer = await ask(peer, "DELETE", PREFIX + path, ann)
            assert (answer.status, answer.json["code"]) == (403, "forbidden")
            assert "immutable" in answer.json["message"]
        await good(peer, "DELETE", f"{where}/tags/v2", ann)
        assert [one["name"] for one in (await good(peer, "GET", f"{where}/tags", ann))["results"]] == ["v1"]
        assert await status(peer, "DELETE", f"{where}/tags/v2", ann) == 404
        for path, expected in (
            ("tags/..", 404), ("tags/%2e%2e%2f", 404), ("manifests/v1", 400), ("manifests/sha256:1", 400), ("tags/" + "x" * 500, 404),
        ):  # fmt: skip
            assert await status(peer, "DELETE", f"{where}/{path}", ann) == expected, path
        shown = await good(peer, "GET", f"{where}/manifests/v1", ann)
        assert (shown["digest"], shown["tags"], len(shown["layers"])) == (digest, ["v1"], 1)
        entries = (await good(peer, "GET", f"{where}/audit", ann))["results"]
        assert entries[0]["action"] == "tag.delete" and entries[0]["actor"] == "ann"


async def test_readme_is_shown_safe(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await good(peer, "POST", "/repositories", ann, {"name": "ann/a/b", "is_private": True})
        text = "# Hi\n\n<script>alert(1)</script> [x](javascript:alert(1)) 안녕"
        made = await good(peer, "PUT", "/repositories/ann/a/b/readme", ann, {"readme": text})
        assert made["readme"] == text and "<script" not in made["html"] and "href" not in made["html"]
        assert await good(peer, "GET", "/repositories/ann/a%2Fb/readme", ann) == made
        assert (
            await status(
                peer,
                "PUT",
                "/repositories/ann/a/b/readme",
                ann,
                json.dumps({"readme": "안" * 175_000}, ensure_ascii=False).encode(),
            )
            == 400
        )


async def test_made_and_gone(hub_settings: Settings) -> None:
    """What there is already is a conflict, what is not there is not found, and names are names."""
    async with peering(hub_settings) as peer:
        known = await logins(peer)
        owner = known["owner"]
        await peer.hub.database.write(make, 1)
        for method, path, body, expected in (
            ("POST", "/repositories", {"name": "acme/r1"}, 409), ("POST", "/repositories", {"name": "acme"}, 400),
            ("POST", "/repositories", {"name": "acme/../x"}, 400), ("POST", "/repositories", {"name": "nobody/x"}, 404),
            ("POST", "/organizations", {"name": "acme"}, 409), ("POST", "/organizations", {"name": "orgs"}, 400),
            ("POST", "/organizations/o1/teams", {"name": "team"}, 409), ("DELETE", "/organizations/o1/teams/none", None, 404),
            ("PUT", "/organizations/o1/teams/team/members/reader", None, 409), ("PUT", "/organizations/o1/members/none", {"role": "member"}, 404),
            ("DELETE", "/organizations/o1/members/owner", None, 409), ("PUT", "/organizations/owner/members/owner", {"role": "member"}, 404),
            ("DELETE", "/account/tokens/999999", None, 404), ("DELETE", "/accounts/acme", None, 409),
            ("PUT", "/repositories/acme/r1/grants/account/none", {"permission": "read"}, 404),
            ("PUT", "/repositories/acme/r1/grants/robot/x", {"permission": "read"}, 400),
            ("PUT", "/repositories/acme/r1/retention", {"rules": [{"tags": "*"}], "is_enabled": True}, 400),
            ("POST", "/account/tokens", {"name": "x", "scope": "read", "expires_at": "2001-01-01T00:00:00Z"}, 400),
            ("POST", "/accounts/o1/robots", {"name": "r", "permissions": [{"repository": "bob/*", "actions": ["pull"]}]}, 404),
            ("POST", "/accounts/o1/robots", {"name": "r", "permissions": [{"repository": "reader/*", "actions": ["pull"]}]}, 403),
        ):  # fmt: skip
            answer = await ask(peer, method, PREFIX + path, owner, body)
            assert answer.status == expected, (method, path, answer)
        answer = await ask(peer, "PUT", PREFIX + "/repositories/acme/r1/retention", owner, {"rules": [{"tags": "*", "keep_latest": 0}], "is_enabled": True})  # fmt: skip
        assert answer.json["message"].startswith("rules[0].keep_latest: ")


async def test_webhooks_are_delivered_and_say_how_it_went(hub_settings: Settings) -> None:
    from aiohttp import web

    got = []

    async def receive(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return web.Response(text="thanks")

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        async with peering(hub_settings) as peer:
            ann = await peer.user("ann")
            made = await good(
                peer, "POST", "/accounts/ann/webhooks", ann, {"name": "h", "url": url, "events": ["push"]}
            )
            where = f"/accounts/ann/webhooks/{made['id']}"
            assert "secret" not in await good(peer, "GET", where, ann)
            await good(peer, "POST", f"{where}/ping", ann)
            one = await finished(peer, where, ann)
            assert one["answer"].startswith("200 OK\nthanks") and one["event"] == "ping"
            await good(peer, "POST", f"{where}/deliveries/{one['id']}", ann)
            one = await finished(peer, where, ann, attempts=2)
            assert len(got) == 2 and got[0][1] == got[1][1] == one["body"].encode()
            for url, expected in (("ftp://x/", 400), ("http://169.254.169.254/", 403), ("x", 400)):
                body = {"name": "h", "url": url, "events": ["push"]}
                assert await status(peer, "POST", "/accounts/ann/webhooks", ann, body) == expected
    finally:
        await runner.cleanup()


async def finished(peer: Peer, where: str, who: str, attempts: int = 1) -> Any:
    """The webhook's only delivery, when so many attempts have been made."""
    while True:
        (one,) = (await good(peer, "GET", f"{where}/deliveries", who))["results"]
        if one["attempts"] >= attempts:
            return one
