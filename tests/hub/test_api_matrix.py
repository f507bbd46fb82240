"""Every route of the API × whoever may ask, each cell's status asserted; and of every route, what bad input gets.

Both are made from the table of routes: a route that nobody has thought about here fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from peer import peering
from world import BY_KEY, WHO, ask, body_of, logins, make, path_of

from naru.hub.api import ROUTES
from naru.hub.api.fields import Anything, Field, Flag, ListOf, Number, OrNull, Text, Time, Type
from naru.hub.api.openapi import answer_of
from naru.hub.people import credentials
from naru.hub.server import Settings

# In the order of WHO: anonymous, stranger, reader, writer, editor, owner, admin, robot, and the owner's tokens of scope public, read,
# write, delete. `.` is the status of success, 1 is 401, 3 is 403, 4 is 404.
ALL = "............"
PERSON = "1......3...."  # somebody, and no robot
OWNSELF = "1......3333."  # the same, by means that let everything through
OWNER = "13333..3333."  # of the organization
MEMBER = "1333...3...."  # of the organization
SITE = "133333.33333"  # the site's admins, with a password or a token for everything: the owner's tokens are none
SEES = "44......4..."  # of the private repository
WRITES = "143....343.."
ADMINS = "14333..3433."
DELETES = "143.....433."
STARS = "14.....34..."
MINE = "14444.43333."  # the token is the owner's
_R, _A, _O = "/repositories/{namespace}/{name}", "/accounts/{account}", "/organizations/{organization}"
CELLS = {
    "GET /openapi.json": ALL,
    "GET /account": "1...........",
    "PATCH /account": OWNSELF,
    "PUT /account/password": OWNSELF,
    "POST /account/totp": PERSON,
    "PUT /account/totp": OWNSELF,
    "POST /account/totp/disable": OWNSELF,
    "DELETE /account/oidc": OWNSELF,
    "GET /account/sessions": OWNSELF,
    "DELETE /account/sessions": OWNSELF,
    "DELETE /account/sessions/{session}": MINE,
    "GET /account/tokens": PERSON,
    "POST /account/tokens": OWNSELF,
    "PATCH /account/tokens/{id}": MINE,
    "DELETE /account/tokens/{id}": MINE,
    "POST /accounts": ".33333.33333",
    "GET /accounts": SITE,
    f"GET {_A}": ALL,
    f"PATCH {_A}": OWNER,
    f"DELETE {_A}": OWNER,
    f"PUT {_A}/password": SITE,
    f"DELETE {_A}/totp": SITE,
    "GET /organizations": PERSON,
    "POST /organizations": OWNSELF,
    f"GET {_O}/members": MEMBER,
    f"PUT {_O}/members/{{member}}": OWNER,
    f"DELETE {_O}/members/{{member}}": OWNER,
    f"GET {_O}/teams": MEMBER,
    f"POST {_O}/teams": OWNER,
    f"DELETE {_O}/teams/{{team}}": OWNER,
    f"PUT {_O}/teams/{{team}}/members/{{member}}": OWNER,
    f"DELETE {_O}/teams/{{team}}/members/{{member}}": OWNER,
    f"GET {_A}/robots": OWNER,
    f"POST {_A}/robots": OWNER,
    f"PATCH {_A}/robots/{{id}}": OWNER,
    f"DELETE {_A}/robots/{{id}}": OWNER,
    "GET /repositories": ALL,
    "GET /repositories/facets": ALL,
    "POST /repositories": "1333...333..",
    f"GET {_R}": SEES,
    f"PATCH {_R}": WRITES,
    f"DELETE {_R}": ADMINS,
    f"GET {_R}/readme": SEES,
    f"PUT {_R}/readme": WRITES,
    f"GET {_R}/grants": ADMINS,
    f"PUT {_R}/grants/{{kind}}/{{holder}}": ADMINS,
    f"DELETE {_R}/grants/{{kind}}/{{holder}}": ADMINS,
    f"PUT {_R}/star": STARS,
    f"DELETE {_R}/star": STARS,
    f"GET {_R}/pulls": SEES,
    f"GET {_R}/tags": SEES,
    f"GET {_R}/tags/{{tag}}": SEES,
    f"DELETE {_R}/tags/{{tag}}": DELETES,
    f"GET {_R}/manifests/{{reference}}": SEES,
    f"DELETE {_R}/manifests/{{reference}}": DELETES,
    f"GET {_R}/retention": ADMINS,
    f"PUT {_R}/retention": ADMINS,
    "GET /audit": SITE,
    f"GET {_R}/audit": ADMINS,
    f"GET {_A}/audit": OWNER,
    "GET /counts": ALL,
    "GET /admin/storage": SITE,
    "GET /admin/explain/{digest}": SITE,
    "GET /admin/jobs": SITE,
    "POST /admin/signing-key": SITE,
    f"POST {_R}/retention/plan": ADMINS,
    f"POST {_R}/retention/run": ADMINS,
    f"GET {_R}/manifests/{{reference}}/scans": SEES,
    f"POST {_R}/manifests/{{reference}}/scans": WRITES,
    f"GET {_R}/manifests/{{reference}}/scans/report": SEES,
    "GET /admin/upstreams": SITE,
    "GET /admin/upstreams/{account}": SITE,
    "PUT /admin/upstreams/{account}": SITE,
    "DELETE /admin/upstreams/{account}": SITE,
    "GET /admin/replications": SITE,
    "POST /admin/replications": SITE,
    "PATCH /admin/replications/{rule}": SITE,
    "DELETE /admin/replications/{rule}": SITE,
    "POST /admin/replications/{rule}/run": SITE,
    "GET /admin/scanners": SITE,
    "POST /admin/scanners": SITE,
    "DELETE /admin/scanners/{scanner}": SITE,
    "PUT /admin/default-scanner": SITE,
}
for _where, _rights in ((_R, ADMINS), (_A, OWNER)):
    _one = f"{_where}/webhooks/{{id}}"
    CELLS |= {
        f"GET {_where}/webhooks": _rights, f"POST {_where}/webhooks": _rights, f"GET {_one}": _rights, f"PATCH {_one}": _rights,
        f"DELETE {_one}": _rights, f"POST {_one}/ping": _rights, f"GET {_one}/deliveries": _rights,
        f"POST {_one}/deliveries/{{delivery}}": _rights,
    }  # fmt: skip
_STATUS = {"1": 401, "3": 403, "4": 404}


def test_every_route_has_its_cells() -> None:
    assert CELLS.keys() == BY_KEY.keys()
    assert len(BY_KEY) == len(ROUTES)
    assert all(len(row) == len(WHO) and "." in row for row in CELLS.values())


@pytest.mark.slow
async def test_every_cell(hub_settings: Settings) -> None:
    """Everybody finds everything as it was; who succeeds gets what the document says, who does not gets the one form of errors."""
    async with peering(hub_settings) as peer:
        known, wrong, n = await logins(peer), [], 0
        for route in ROUTES:
            for who, expected in zip(WHO, CELLS[route.key], strict=True):
                n += 1
                made = await peer.hub.database.note(make, n)
                answer = await ask(peer, route.method, path_of(route, made), known[who], body_of(route, n))
                if answer.status != _STATUS.get(expected, route.status):
                    wrong.append((route.key, who, expected, answer.status, answer.body[:200]))
                elif expected != ".":
                    assert answer.json.keys() == {"message", "code"}, answer
                    assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)
                elif (shape := answer_of(route)) is not None:
                    shape.read(answer.json, route.key)
                else:
                    assert (answer.body == b"") == (route.status == 204)
        assert wrong == []


async def test_a_token_of_an_admin_is_an_admin_with_full_scope_alone(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await logins(peer)
        made = await peer.hub.database.note(make, 1)
        for scope in ("public", "read", "write", "delete"):
            token = f"Bearer {await peer.secret('root', credentials.PERSONAL, scope, scope)}"
            for route in ROUTES:
                if CELLS[route.key] == SITE and route.method == "GET":
                    answer = await ask(peer, "GET", path_of(route, made), token)
                    assert answer.status == (200 if scope == "delete" else 403), (route.key, scope)
            seen = await ask(peer, "GET", "/api/v1/repositories/acme/r1", token)
            assert seen.status == (404 if scope == "public" else 200)
            if scope != "delete":
                for path in ("/api/v1/repositories/acme/r1", "/api/v1/accounts/o1", "/api/v1/accounts/reader"):
                    assert (await ask(peer, "DELETE", path, token)).status in (403, 404)


def bad_values(type: Type) -> list[Any]:
    """What no field of this type takes."""
    if isinstance(type, OrNull):
        return [value for value in bad_values(type.type) if value is not None]
    if isinstance(type, Text):
        unknown = ["no such word"] if type.choices else ["x" * (type.most + 1)]
        return [1, None, [], {}, "a\0b", "\ud800", *unknown]
    if isinstance(type, Number):
        return ["1", 1.5, True, None, -1, 2**53, 10**300]
    if isinstance(type, Flag):
        return ["true", 1, 0, None]
    if isinstance(type, Time):
        return ["tomorrow", "2030-01-31", "2030-01-31T12:00:00", 1e9, "9" * 100, None]
    if isinstance(type, ListOf):
        return ["x", {}, None, [None], [[]], *([[]] if type.least else [])]
    assert isinstance(type, Anything)
    return ["x", [1], ["a\0b"], [{"no such": "\ud800"}]]


async def test_bad_bodies_of_every_route(hub_settings: Settings) -> None:
    """Each is refused, names what is wrong with it, and changes nothing."""
    async with peering(hub_settings) as peer:
        known = await logins(peer)
        made = await peer.hub.database.write(make, 1)
        before = await peer.hub.database.read(lambda c: c.rows("SELECT count(*) FROM audit"))
        for route in ROUTES:
            path, good = path_of(route, made), body_of(route, 1)
            assert (good is not None) == bool(route.body), route.key
            if good is None:
                good = {}
            bodies: list[tuple[Any, str]] = [({**good, "unheard-of": 1}, "unheard-of: ")]
            for name, one in route.body.items():
                bodies += [({**good, name: value}, name) for value in bad_values(one.type)]
                if one.must:
                    bodies.append(({key: value for key, value in good.items() if key != name}, f"{name}: is missing"))
            bodies += [(body, "body") for body in (b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b"{}" * 2)]
            for body, named in bodies if route.method != "GET" else ():
                answer = await ask(peer, route.method, path, known["admin"], body)
                assert answer.status == 400, (route.key, body, answer)
                assert answer.json["code"] == "invalid_argument"
                assert answer.json["message"].startswith(named), (route.key, body, answer.json)
        assert await peer.hub.database.read(lambda c: c.rows("SELECT count(*) FROM audit")) == before


async def test_bad_queries_of_every_route(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        known = await logins(peer)
        made = await peer.hub.database.write(make, 1)
        for route in ROUTES:
            path = path_of(route, made)
            queries = ["unheard_of=1"]
            for name, one in route.query.items():
                queries += [f"{name}={value}" for value in _bad_texts(one)]
            for query in queries:
                answer = await ask(peer, route.method, f"{path}?{query}", known["admin"], body_of(route, 1))
                assert answer.status == 400, (route.key, query, answer)
                assert answer.json["message"].startswith(query.partition("=")[0]), answer


def _bad_texts(one: Field) -> list[str]:
    if isinstance(one.type, Number):
        return ["x", "", "1.5", "%D9%A1"]  # the last: a digit, and not ours
    if isinstance(one.type, Flag):
        return ["yes", ""]
    assert isinstance(one.type, Text)
    return ["%00", "no-such" if one.type.choices else "x" * (one.type.most + 1)]


async def test_bodies_are_json_and_not_endless(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        known = await logins(peer)
        made = await peer.hub.database.write(make, 1)
        for route in ROUTES:
            if route.body:
                path, good = path_of(route, made), body_of(route, 1)
                for content_type in (
                    "text/plain",
                    "application/x-www-form-urlencoded",
                    "multipart/form-data; boundary=x",
                ):
                    answer = await ask(peer, route.method, path, known["admin"], good, content_type)
                    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), route.key
        large = b'{"about": "' + b"x" * (2 << 20) + b'"}'
        answer = await ask(peer, "PATCH", "/api/v1/account", known["admin"], large)
        assert (answer.status, answer.json["code"]) == (413, "too_large")

        async def pieces() -> AsyncIterator[bytes]:
            yield large

        headers = {"Authorization": known["admin"], "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.patch(f"{peer.url}/api/v1/account", data=pieces(), headers=headers) as unannounced,
        ):
            assert unannounced.status == 413
