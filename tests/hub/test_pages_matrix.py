"""Every page × who asks → status."""

from __future__ import annotations

import re
from pathlib import Path

import postgresql
import pytest
from landing import Landing, landing

from naru.hub.pages import ROUTES
from naru.hub.people import credentials
from naru.hub.people.permissions import Level
from naru.hub.services import people, policies, repos
from naru.registry import seals

WHO = ("", "stranger", "reader", "writer", "member", "owner", "root")  # "": anonymous

# A private repository acme/web and a public one acme/open: status for each of WHO. 303 of an anonymous one: to log in.
PAGES: dict[str, tuple[int, ...]] = {
    "/": (200,) * 7,
    "/explore": (200,) * 7,
    "/login": (200, 303, 303, 303, 303, 303, 303),
    "/signup": (200, 303, 303, 303, 303, 303, 303),
    "/new": (303,) + (200,) * 6,
    "/new/organization": (303,) + (200,) * 6,
    "/settings": (303,) + (200,) * 6,
    "/settings/security": (303,) + (200,) * 6,
    "/settings/totp": (303,) + (200,) * 6,
    "/settings/tokens": (303,) + (200,) * 6,
    "/settings/sessions": (303,) + (200,) * 6,
    "/r/acme/open": (200,) * 7,
    "/r/acme/open/-/tags": (200,) * 7,
    "/r/acme/open/-/tags/v1": (200,) * 7,
    "/r/acme/open/-/compare": (200,) * 7,
    "/r/acme/open/-/settings": (303, 403, 403, 403, 403, 200, 200),
    "/r/acme/web": (404, 404, 200, 200, 404, 200, 200),
    "/r/acme/web/-/tags": (404, 404, 200, 200, 404, 200, 200),
    "/r/acme/web/-/tags/v1": (404, 404, 200, 200, 404, 200, 200),
    "/r/acme/web/-/manifests/DIGEST": (404, 404, 200, 200, 404, 200, 200),
    "/r/acme/web/-/compare?from=v1&to=v1": (404, 404, 200, 200, 404, 200, 200),
    "/r/acme/web/-/settings": (404, 404, 403, 200, 404, 200, 200),
    "/r/acme/web/-/settings/readme": (404, 404, 403, 200, 404, 200, 200),
    "/r/acme/web/-/settings/access": (404, 404, 403, 403, 404, 200, 200),
    "/r/acme/web/-/settings/retention": (404, 404, 403, 403, 404, 200, 200),
    "/r/acme/web/-/settings/webhooks": (404, 404, 403, 403, 404, 200, 200),
    "/r/acme/web/-/settings/webhooks/1": (404, 404, 403, 403, 404, 200, 200),
    "/r/acme/web/-/audit": (404, 404, 403, 403, 404, 200, 200),
    "/u/acme": (200,) * 7,
    "/u/owner": (200,) * 7,
    "/u/acme/members": (303, 403, 403, 403, 200, 200, 200),
    "/u/acme/teams": (303, 403, 403, 403, 200, 200, 200),
    "/u/acme/robots": (303, 403, 403, 403, 403, 200, 200),
    "/u/acme/webhooks": (303, 403, 403, 403, 403, 200, 200),
    "/u/acme/webhooks/2": (303, 403, 403, 403, 403, 200, 200),
    "/u/acme/audit": (303, 403, 403, 403, 403, 200, 200),
    "/u/acme/settings": (303, 403, 403, 403, 403, 200, 200),
    "/u/acme/settings/mirror": (303, 403, 403, 403, 403, 403, 200),
    "/u/owner/settings/mirror": (303, 403, 403, 403, 403, 403, 200),
    "/u/nobody/settings/mirror": (303,) + (404,) * 6,
    "/u/nobody": (404,) * 7,
    "/admin": (303,) * 7,
    "/admin/users": (303, 403, 403, 403, 403, 403, 200),
    "/admin/users/owner": (303, 403, 403, 403, 403, 403, 200),
    "/admin/storage": (303, 403, 403, 403, 403, 403, 200),
    "/admin/mirrors": (303, 403, 403, 403, 403, 403, 200),
    "/admin/replications": (303, 403, 403, 403, 403, 403, 200),
    "/admin/scanners": (303, 403, 403, 403, 403, 403, 200),
    "/admin/jobs": (303, 403, 403, 403, 403, 403, 200),
    "/admin/audit": (303, 403, 403, 403, 403, 403, 200),
    "/admin/settings": (303, 403, 403, 403, 403, 403, 200),
    "/oidc/login": (404,) * 7,  # there is no provider
    "/oidc/callback": (404,) * 7,
    "/nothing": (404,) * 7,
    "/robots.txt": (200,) * 7,
    "/favicon.ico": (303,) * 7,
    "/language/ko": (303,) * 7,
    "/theme/dark": (303,) * 7,
}
# What changes nothing when it is refused; what is done last takes an owner.
FORMS: dict[str, tuple[dict[str, str], tuple[int, ...]]] = {
    "/r/acme/open/-/star": ({"starred": "1"}, (401, 303, 303, 303, 303, 303, 303)),
    "/r/acme/web/-/star": ({"starred": "1"}, (401, 404, 303, 303, 404, 303, 303)),
    "/new": ({"namespace": "acme", "name": "NEW"}, (401, 403, 403, 403, 403, 303, 303)),
    "/r/acme/web/-/settings": ({"summary": "x"}, (404, 404, 403, 303, 404, 303, 303)),
    "/r/acme/web/-/settings/readme": ({"readme": "x"}, (404, 404, 403, 303, 404, 303, 303)),
    "/r/acme/web/-/settings/access": (
        {"kind": "account", "holder": "reader", "level": "read"}, (404, 404, 403, 403, 404, 303, 303),
    ),
    "/r/acme/web/-/settings/retention": ({"rule": "1", "keep_latest.0": "9"}, (404, 404, 403, 403, 404, 303, 303)),
    "/r/acme/web/-/settings/webhooks/1": ({"action": "disable"}, (404, 404, 403, 403, 404, 303, 303)),
    "/u/acme/webhooks/2": ({"action": "disable"}, (401, 403, 403, 403, 403, 303, 303)),
    "/u/acme/members": ({"member": "member", "role": "member"}, (401, 403, 403, 403, 403, 303, 303)),
    "/u/acme/teams": ({"action": "add", "team": "core", "member": "member"}, (401, 403, 403, 403, 403, 303, 303)),
    "/u/acme/robots": ({"title": "NEW", "repositories": "acme/*", "action": "pull"}, (401, 403, 403, 403, 403, 200, 200)),
    "/u/acme/robots/ROBOT": ({"action": "disable"}, (401, 403, 403, 403, 403, 303, 303)),
    "/u/acme/settings": ({"full_name": "Acme"}, (401, 403, 403, 403, 403, 303, 303)),
    "/u/acme/settings/delete": ({"confirm": "acme"}, (401, 403, 403, 403, 403, 409, 409)),
    "/admin/users/owner": ({"badge": "", "quota": ""}, (401, 403, 403, 403, 403, 403, 303)),
    "/u/copy/settings/mirror": ({"url": "https://registry.example.org"}, (401, 403, 403, 403, 403, 403, 303)),
    "/u/acme/settings/mirror": ({"url": "https://registry.example.org"}, (401, 403, 403, 403, 403, 403, 409)),
    "/admin/replications": (
        {"name": "NEW", "direction": "push", "trigger": "manual", "url": "https://registry.example.org", "source": "acme/*"},
        (401, 403, 403, 403, 403, 403, 303),
    ),
    "/admin/replications/change": ({"rule": "nightly", "action": "disable"}, (401, 403, 403, 403, 403, 403, 303)),
    "/admin/scanners/change": ({"scanner": "trivy", "action": "none"}, (401, 403, 403, 403, 403, 403, 303)),
    "/admin/scanners": ({"name": "trivy", "url": "https://scanner.example.org"}, (401, 403, 403, 403, 403, 403, 409)),
    "/oidc/tie": ({"action": "tie"}, (401,) + (404,) * 6),
    "/r/acme/web/-/tags/v1/scan": ({}, (404, 404, 403, 409, 404, 409, 409)),
    "/r/acme/web/-/manifests/DIGEST/scan": ({}, (404, 404, 403, 409, 404, 409, 409)),
    "/r/acme/web/-/tags/NEW/delete": ({}, (404, 404, 403, 303, 404, 303, 303)),
    "/r/acme/web/-/settings/delete": ({"confirm": "acme/web"}, (404, 404, 403, 403, 404, 303, 404)),
}  # fmt: skip


async def _filled(here: Landing) -> tuple[str, str]:
    for name in ("root", *WHO[1:-1]):
        await here.person(name)
    owner = await here.who("owner")
    await here.hub.do(owner, people.create_organization, "acme")
    owner, do = await here.who("owner"), here.hub.do
    await do(owner, people.set_member, "acme", "member", "member")
    await do(owner, people.create_team, "acme", "core")
    digest = await here.push("acme/web", "v1", [("RUN /bin/sh -c true # buildkit", 10)], by="owner")
    for name in WHO:
        await here.push("acme/web", f"new-{name}", [(f"RUN {name}", 10)], by="owner")
    await here.push("acme/open", "v1", [("RUN /bin/sh -c true # buildkit", 10)], by="owner")
    await do(owner, repos.update, "acme/open", {"is_private": False})
    await do(owner, repos.grant, "acme/web", "account", "reader", Level.READ)
    await do(owner, repos.grant, "acme/web", "account", "writer", Level.WRITE)
    for place in ("acme/web", "acme"):
        await do(owner, repos.create_webhook, here.hub.outbound, place, "x", "https://example.org/", ["push"])
    permissions = [{"repository": "acme/*", "actions": ["pull"]}]
    robot, _ = await do(owner, people.create_robot, "acme", "ci", permissions, None)
    assert robot.kind == credentials.ROBOT
    await do(owner, people.create_organization, "copy")
    root, elsewhere = await here.who("root"), "https://registry.example.org"
    await do(root, policies.create_replication, here.hub.outbound, "nightly", "push", elsewhere, "acme/*")
    await do(root, policies.add_scanner, here.hub.outbound, "trivy", "https://scanner.example.org")
    await do(root, policies.set_default_scanner, "")
    return str(digest), str(robot.id)


def _at(path: str, digest: str, robot: str, new: str) -> str:
    return path.replace("DIGEST", digest).replace("ROBOT", robot).replace("NEW", new)


async def test_every_page_for_everybody(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        digest, _ = await _filled(here)
        for at, who in enumerate(WHO):
            visitor = await here.visitor(who)
            for path, statuses in PAGES.items():
                answer = await visitor.get(path.replace("DIGEST", digest))
                assert answer.status == statuses[at], (who or "anonymous", path)
                if (
                    answer.status == 303
                    and not who
                    and path not in ("/admin", "/favicon.ico", "/language/ko", "/theme/dark")
                ):
                    assert answer.headers["Location"].startswith("/login?next=")
                if answer.status in (403, 404):
                    assert "RUN" not in answer.text


async def test_every_form_for_everybody(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        digest, robot = await _filled(here)
        for path, (fields, statuses) in FORMS.items():
            for at, who in enumerate(WHO):
                visitor = await here.visitor(who)
                given = {name: value.replace("NEW", f"new-{who or 'x'}") for name, value in fields.items()}
                answer = await visitor.post(_at(path, digest, robot, f"new-{who}"), given)
                assert answer.status == statuses[at], (who or "anonymous", path)


def test_no_page_is_forgotten() -> None:
    shapes = [re.sub(r"\{\w+[^}]*\}+", "[^/]+(/[^/]+)*?", route.path) for route in ROUTES if route.method == "GET"]
    paths = [path.partition("?")[0] for path in PAGES]
    forgotten = [shape for shape in shapes if not any(re.fullmatch(shape, path) for path in paths)]
    assert forgotten == []


@pytest.mark.slow
async def test_every_page_on_postgresql(tmp_path: Path) -> None:
    keys, blobs = tmp_path / "keys", str(tmp_path / "blobs")
    seals.own_keys(str(keys))
    with postgresql.server() as url:
        database = url.format("postgres")
        async with landing(tmp_path, database=database, blobs=blobs, secret_keys=str(keys)) as here:
            digest, robot = await _filled(here)
            root = await here.visitor("root")
            for path, statuses in PAGES.items():
                assert (await root.get(path.replace("DIGEST", digest))).status == statuses[-1], path
            for query in ("q=v", "q=%25_", "sort=-pushed", "sort=-name&page=2"):
                assert (await root.get(f"/r/acme/web/-/tags?{query}")).status == 200
            for path, (fields, statuses) in list(FORMS.items())[:-1]:
                given = {name: value.replace("NEW", "new-root") for name, value in fields.items()}
                answer = await root.post(_at(path, digest, robot, "new-"), given)
                assert answer.status == statuses[-1], path
