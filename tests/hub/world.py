"""A hub with one of everything, for tests that ask every route of the API; and how each route is asked there."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from peer import PASSWORD, Answer, Peer, basic

from naru.hub import jobs
from naru.hub.api import ROUTES
from naru.hub.api.routes import PREFIX, Route
from naru.hub.catalog import repositories, upstreams
from naru.hub.peers import deliveries, replications, scans
from naru.hub.people import accounts, credentials, teams, totp
from naru.hub.people.permissions import Level, Reach
from naru.hub.places import Place
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.records import ManifestRecord

WHO = (
    "anonymous", "stranger", "reader", "writer", "editor", "owner", "admin", "robot", "public", "read", "write", "delete",
)  # fmt: skip
RAW = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(b"{}"), 2), ()).raw
DIGEST = Digest.of(RAW)
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
BY_KEY = {route.key: route for route in ROUTES}


async def logins(peer: Peer) -> dict[str, str]:
    """Who → Authorization. The owner owns acme and every o<n>, the editor is one there; tokens are the owner's, the robot is acme's."""
    found = {name: await peer.user(name) for name in ("stranger", "reader", "writer", "editor", "owner")}
    found["admin"] = await peer.user("root", is_admin=True)
    await peer.organization("acme", "owner")

    def join(c: Connection) -> None:
        accounts.set_role(c, accounts.get(c, "acme").id, accounts.get(c, "editor").id, "editor")

    await peer.hub.database.write(join)
    for scope in ("public", "read", "write", "delete"):
        secret = await peer.secret("owner", credentials.PERSONAL, scope, scope)
        found[scope] = f"Bearer {secret}"
    everything = Reach(grants={"acme/*": frozenset({"pull", "push", "delete"})})
    found["robot"] = basic("acme+ci", await peer.secret("acme", credentials.ROBOT, "ci", everything))
    return {"anonymous": "", **found}


@dataclass(frozen=True)
class Made:
    """The numbers of what was made under number `n`: organization o<n> of the owner with member m<n>, repository acme/r<n>."""

    n: int
    token: int
    session: str
    robot: int
    webhooks: dict[str, tuple[int, int]]  # place → webhook, delivery


def make(c: Connection, n: int) -> Made:
    """One of everything, of its own number; what earlier ones have done to people is undone."""
    now_s = time.time()
    c.run("UPDATE account SET totp_secret = NULL, totp_step = 0 WHERE totp_secret IS NOT NULL")
    c.run("DELETE FROM credential WHERE kind = 'personal' AND name LIKE 't%'")
    ids = {name: accounts.get(c, name).id for name in ("owner", "editor", "reader", "writer")}
    organization = accounts.create_organization(c, f"o{n}", ids["owner"], now_s)
    member = accounts.create(c, f"m{n}", accounts.USER, now_s)
    accounts.set_role(c, organization.id, ids["editor"], "editor")
    accounts.set_role(c, organization.id, member.id, "member")
    teams.add_member(c, teams.create(c, organization.id, "team"), member.id)
    profile = repositories.create(c, f"acme/r{n}", now_s, is_private=True)
    for name, level in (("reader", Level.READ), ("writer", Level.WRITE)):
        repositories.set_grant(c, profile.id, "account", ids[name], level)
    record = ManifestRecord(DIGEST, OCI_MANIFEST, len(RAW), len(RAW), None, OCI_CONFIG, {}, now_s)
    records.put_manifest(c, profile.id, record, RAW, ())
    records.put_tag(c, profile.id, "v1", DIGEST, now_s)
    repositories.count_pulls(c, [(profile.name, "v1", int(now_s) // 86400, 3)])
    reach = Reach(grants={f"o{n}/*": frozenset({"pull"})})
    token, _ = credentials.create(c, accounts.get(c, "owner"), credentials.PERSONAL, f"t{n}", Reach(), None, now_s)
    robot, _ = credentials.create(c, organization, credentials.ROBOT, "robot", reach, None, now_s)
    browser = credentials.open_browser(c, ids["owner"], "Firefox", "192.0.2.1", now_s)
    hooks = {}
    for place, repository in (("account", None), ("repository", profile.id)):
        namespace = organization.id if repository is None else profile.namespace
        hook = deliveries.create(c, namespace, repository, "hook", "http://192.0.2.1/", ["push"], now_s)
        deliveries.ping(c, hook, "owner", now_s)
        (delivery,) = deliveries.of_webhook(c, hook.id)
        hooks[place] = (hook.id, delivery.id)
    nowhere = Place("http://127.0.0.1:9", "", "")
    upstreams.put(c, organization.id, nowhere, 300.0)
    c.run("DELETE FROM replication")
    replications.create(c, f"rule{n}", "push", nowhere, "nobody/*", now_s)
    c.run("DELETE FROM scanner")
    scanner = scans.add_scanner(c, f"s{n}", "http://127.0.0.1:9", "", now_s)
    scans.start(c, profile.id, profile.name, DIGEST, scanner.id, now_s)
    sql = "INSERT INTO retention (repository, rules, is_enabled) VALUES (?, ?, 0)"
    c.run(sql, profile.id, '[{"tags": "*", "keep_latest": 1}]')
    c.run("DELETE FROM job")  # nobody is there
    assert not jobs.counts(c)
    return Made(n, token.id, credentials.digest(browser)[:16], robot.id, hooks)


def path_of(route: Route, made: Made) -> str:
    hook, delivery = made.webhooks["account" if "{account}" in route.path else "repository"]
    account = (
        f"m{made.n}" if route.path in ("/accounts/{account}/password", "/accounts/{account}/totp") else f"o{made.n}"
    )
    values: dict[str, Any] = {
        "account": account, "organization": f"o{made.n}", "team": "team", "member": f"m{made.n}", "namespace": "acme",
        "name": f"r{made.n}", "kind": "account", "holder": "stranger", "tag": "v1", "digest": DIGEST, "delivery": delivery, "rule": f"rule{made.n}", "scanner": f"s{made.n}", "session": made.session,
        "reference": DIGEST if route.method == "DELETE" else "v1",
        "id": hook if "webhooks" in route.path else made.robot if "robots" in route.path else made.token,
    }  # fmt: skip
    return PREFIX + route.path.format(**values)


def body_of(route: Route, n: int) -> dict[str, Any] | None:
    """A good one; None where there are no fields."""
    code = totp.code(SECRET, time.time())
    again = {"password": PASSWORD}
    bodies: dict[str, dict[str, Any]] = {
        "PATCH /account": {"about": "me"},
        "PUT /account/password": {"old_password": PASSWORD, "new_password": PASSWORD},
        "PUT /account/totp": {"secret": SECRET, "code": code, **again},
        "POST /account/totp/disable": again,
        "POST /account/tokens": {"name": f"new{n}", "scope": "read", "expires_at": "2999-01-01T00:00:00Z"},
        "PATCH /account/tokens/{id}": {"is_disabled": True},
        "POST /accounts": {"name": f"new{n}", "password": "long enough", "email": f"new{n}@example.com"},
        "PATCH /accounts/{account}": {"about": "us"},
        "PUT /accounts/{account}/password": {"password": "long enough"},
        "POST /organizations": {"name": f"new{n}", "full_name": "New"},
        "PUT /organizations/{organization}/members/{member}": {"role": "editor"},
        "POST /organizations/{organization}/teams": {"name": "crew", "about": "all"},
        "POST /accounts/{account}/robots": {
            "name": "ci", "permissions": [{"repository": f"o{n}/*", "actions": ["pull", "push"]}],
        },
        "PATCH /accounts/{account}/robots/{id}": {"is_disabled": True},
        "POST /repositories": {"name": f"acme/new{n}", "is_private": False, "summary": "new"},
        "PATCH /repositories/{namespace}/{name}": {"summary": "changed", "categories": ["Security"]},
        "PUT /repositories/{namespace}/{name}/readme": {"readme": "# Hello"},
        "PUT /repositories/{namespace}/{name}/grants/{kind}/{holder}": {"permission": "read"},
        "PUT /repositories/{namespace}/{name}/retention": {
            "rules": [{"tags": "*", "keep_latest": 3}], "is_enabled": True,
        },
        "POST /repositories/{namespace}/{name}/retention/plan": {"rules": [{"untagged_days": 3}]},
        "POST /repositories/{namespace}/{name}/manifests/{reference}/scans": {"scanner": f"s{n}"},
        "PUT /admin/upstreams/{account}": {"url": "http://127.0.0.1:9", "username": "u", "password": "p", "fresh_s": 60},
        "POST /admin/replications": {
            "name": f"new{n}", "direction": "pull", "url": "http://127.0.0.1:9", "source": "x/*", "destination": "acme", "tags": "v*",
        },
        "PATCH /admin/replications/{rule}": {"is_enabled": False},
        "POST /admin/scanners": {"name": f"new{n}", "url": "http://127.0.0.1:9", "authorization": "Bearer x"},
        "PUT /admin/default-scanner": {"name": ""},
    }  # fmt: skip
    if route.path.endswith("/webhooks") and route.method == "POST":
        return {"name": "new", "url": "http://127.0.0.1:9/x", "events": ["push", "delete"]}
    if route.path.endswith("/webhooks/{id}") and route.method == "PATCH":
        return {"is_active": False}
    return bodies.get(route.key)


async def ask(
    peer: Peer,
    method: str,
    path: str,
    authorization: str = "",
    body: Any = None,
    content_type: str = "application/json",
) -> Answer:
    if body is None:
        return await peer.ask(method, path, authorization)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await peer.ask(method, path, authorization, data, Content_Type=content_type)
