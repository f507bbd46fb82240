"""The authorisation matrix: every method of every path of the registry × who × which repository, each cell asserted.

Whoever asks first gets a token for all they can, as clients do; and then, once more, each token is used for what it was not made for.
"""

from __future__ import annotations

import pytest
from peer import Peer, basic, peering

from naru.hub.catalog import repositories
from naru.hub.people import accounts, credentials
from naru.hub.people.permissions import Level, Reach
from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.registry.access import Action
from naru.registry.app import TABLE
from naru.registry.database import Connection

METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
NOTHING = Digest.of(b"nothing has this digest")
PATHS = {
    "uploads": "/v2/{}/blobs/uploads/",
    "upload": "/v2/{}/blobs/uploads/00000000000000000000000000000000",
    "blob": f"/v2/{{}}/blobs/{NOTHING}",
    "manifest": "/v2/{}/manifests/no-such-tag",
    "tags": "/v2/{}/tags/list",
    "referrers": f"/v2/{{}}/referrers/{NOTHING}",
}
CELLS = [
    (endpoint, method, action)
    for endpoint, methods in TABLE.items()
    if endpoint in PATHS
    for method in METHODS
    if (action := methods.get("GET" if method == "HEAD" else method, (None,))[0])
]
# who → what they may do with: acme/private, acme/public, acme/new (is not there), ann/private
P, W = {"pull"}, {"pull", "push", "delete"}
OBJECTS = ("acme/private", "acme/public", "acme/new", "ann/private")
WHO: dict[str, tuple[set[str], set[str], set[str], set[str]]] = {
    "anybody": (set(), P, set(), set()),
    "stranger": (set(), P, set(), set()),
    "reader": (P, P, set(), set()),
    "writer": (W, P, set(), set()),
    "member": (set(), P, set(), set()),
    "editor": (W, W, W, set()),
    "ann": (W, W, W, W),  # owner of acme
    "admin": (W, W, W, W),
    "token public": (set(), P, set(), set()),
    "token read": (P, P, P, P),
    "token write": (P | {"push"}, P | {"push"}, P | {"push"}, P | {"push"}),
    "token delete": (W, W, W, W),
    "robot": ({"push"}, {"pull", "push"}, {"push"}, {"pull"}),
    "disabled": (set(), set(), set(), set()),
}


async def people(peer: Peer) -> dict[str, str]:
    """Who → Authorization."""
    found = {
        name: await peer.user(name) for name in ("stranger", "reader", "writer", "member", "editor", "ann", "disabled")
    }
    found["admin"] = await peer.user("root", is_admin=True)
    await peer.organization("acme", "ann")
    for name in ("acme/private", "acme/public", "ann/private"):
        await peer.push(name, "latest", found["ann"])

    def share(c: Connection) -> None:
        acme = accounts.get(c, "acme").id
        for name in ("member", "editor"):
            accounts.set_role(c, acme, accounts.get(c, name).id, name)
        private = repositories.get(c, "acme/private").id
        for name, level in (("reader", Level.READ), ("writer", Level.WRITE)):
            repositories.set_grant(c, private, "account", accounts.get(c, name).id, level)
        repositories.update(c, repositories.get(c, "acme/public").id, 0, is_private=False)
        accounts.update(c, accounts.get(c, "disabled").id, is_disabled=True)

    for scope in ("public", "read", "write", "delete"):
        found[f"token {scope}"] = basic("ann", await peer.secret("ann", credentials.PERSONAL, scope, scope))
    maker = (await peer.hub.database.read(accounts.get, "ann")).id
    reach = Reach(grants={"acme/*": frozenset({"push"}), "ann/private": frozenset({"pull"})}, maker=maker)
    found["robot"] = basic("acme+ci", await peer.secret("acme", credentials.ROBOT, "ci", reach))
    await peer.hub.database.write(share)
    return {**found, "anybody": ""}


def needed(action: Action) -> set[str]:
    return {action.value}


@pytest.mark.slow
async def test_every_cell(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        logins = await people(peer)
        assert logins.keys() == WHO.keys()
        wrong = []
        for who, rights in WHO.items():
            for name, right in zip(OBJECTS, rights, strict=True):
                scope = f"repository:{name}:pull,push,delete"
                answer = await peer.ask("GET", f"/token?scope={scope}", logins[who])
                if who == "disabled":
                    assert answer.status == 401
                    bearer = ""
                else:
                    bearer = f"Bearer {answer.json['token']}"
                for endpoint, method, action in CELLS:
                    status = (await peer.ask(method, PATHS[endpoint].format(name), bearer)).status
                    if (status not in (401, 403)) != (action.value in right):
                        wrong.append((who, name, endpoint, method, action.value, status))
                assert not await peer.hub.database.read(repositories.find, "acme/new")
        assert wrong == []
        assert len(WHO) * len(OBJECTS) * len(CELLS) > 600


@pytest.mark.slow
async def test_a_token_is_good_for_what_it_was_made_for_alone(hub_settings: Settings) -> None:
    """method × scope × object: ann, who may do everything, with a token of each scope, on that repository and on another."""
    async with peering(hub_settings) as peer:
        logins = await people(peer)
        wrong = []
        for scope in ("pull", "push", "delete", "pull,push", "*", "nonsense"):
            bearer = await peer.token(logins["ann"], f"repository:acme/private:{scope}")
            held = {"pull", "push", "delete"} if scope == "*" else set(scope.split(","))
            for endpoint, method, action in CELLS:
                for name in OBJECTS:
                    answer = await peer.ask(method, PATHS[endpoint].format(name), bearer)
                    may = name == "acme/private" and action.value in held
                    if (answer.status not in (401, 403)) != may:
                        wrong.append((scope, name, endpoint, method, answer.status))
                    if not may:
                        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert wrong == []


async def test_lists_and_searches_tell_nothing_of_what_may_not_be_seen(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        logins = await people(peer)
        for who, expected in (
            ("anybody", {"acme/public"}), ("stranger", {"acme/public"}), ("reader", {"acme/public", "acme/private"}),
            ("editor", {"acme/public", "acme/private"}), ("ann", {"acme/public", "acme/private", "ann/private"}),
            ("admin", {"acme/public", "acme/private", "ann/private"}),
        ):  # fmt: skip
            answer = await peer.ask("GET", "/v1/search?q=a&n=100", logins[who])
            assert {one["name"] for one in answer.json["results"]} == expected, who
            bearer = await peer.token(logins[who], "registry:catalog:*")
            status = (await peer.ask("GET", "/v2/_catalog", bearer)).status
            assert status == (200 if who == "admin" else 401)


async def test_a_blob_is_mounted_only_from_where_it_may_be_read(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        logins = await people(peer)
        layer = Digest.of(b"layer")
        for source, status in (("acme/public", 201), ("acme/private", 202), ("ann/private", 202), ("", 201)):
            scopes = ["repository:stranger/mine:pull,push"] + ([f"repository:{source}:pull"] if source else [])
            bearer = await peer.token(logins["stranger"], *scopes)
            query = f"?mount={layer}" + (f"&from={source}" if source else "")
            answer = await peer.ask("POST", f"/v2/stranger/mine/blobs/uploads/{query}", bearer)
            assert answer.status == status, source
