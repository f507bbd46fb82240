"""Who says where a hub copies from, and what becomes of a namespace then."""

from __future__ import annotations

import time

import pytest
from peer import peering
from test_retain import as_user

from naru.errors import Conflict, Forbidden, InvalidArgument, NotFound, Unauthenticated
from naru.hub import audit
from naru.hub.people.permissions import ANYBODY
from naru.hub.server import Settings
from naru.hub.services import policies
from naru.hub.services.who import Who

URL = "http://127.0.0.1:5000"


async def test_an_admin_makes_a_namespace_a_copy(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        root, ann = await peer.user("root", is_admin=True), await peer.user("ann")
        admin, outbound = await as_user(peer, root), peer.hub.outbound
        await peer.organization("copy", "root")
        await peer.organization("mine", "ann")
        set_upstream = policies.set_upstream
        for who, kind in ((await as_user(peer, ann), Forbidden), (Who(ANYBODY, "", time.time()), Unauthenticated)):
            with pytest.raises(kind):
                await peer.hub.do(who, set_upstream, outbound, "mine", URL)
        made = await peer.hub.do(
            admin, set_upstream, outbound, "copy", URL, username="u", password="secret", fresh_s=60
        )
        assert (made.url, made.username, made.fresh_s) == (URL, "u", 60) and "secret" not in repr(made)
        kept = await peer.hub.do(admin, set_upstream, outbound, "copy", URL, username="u", fresh_s=0)
        assert (kept.password, kept.fresh_s) == ("secret", 0)
        other = await peer.hub.do(admin, set_upstream, outbound, "copy", "docker.io", username="u")
        assert (other.url, other.password) == ("https://registry-1.docker.io", "")  # it does not go to another registry
        assert [one.name for one in await peer.hub.read(admin, policies.list_upstreams)] == ["copy"]
        await peer.hub.do(admin, policies.remove_upstream, "copy")
        for call in (policies.upstream_of, policies.remove_upstream):
            with pytest.raises(NotFound):
                await peer.hub.database.write(call, admin, "copy")
        entries = await peer.hub.database.read(audit.read, namespace="copy")
        assert [one.action for one in entries][:2] == ["upstream.remove", "upstream.set"]
        assert all("secret" not in str(one) for one in entries)


async def test_what_cannot_be_an_upstream(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        admin = await as_user(peer, await peer.user("root", is_admin=True))
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)
        outbound = peer.hub.outbound
        with pytest.raises(Conflict, match="of its own"):
            await peer.hub.do(admin, policies.set_upstream, outbound, "ann", URL)
        with pytest.raises(NotFound):
            await peer.hub.do(admin, policies.set_upstream, outbound, "nobody", URL)
        for url in (
            "",
            "nonsense//",
            "https://a/path",
            "ftp://a",
            "https://u:p@a",
            "http://169.254.169.254",
            "http://[::]",
        ):
            with pytest.raises((InvalidArgument, Forbidden)):
                await peer.hub.do(admin, policies.set_upstream, outbound, "root", url)
        for more in (
            {"fresh_s": -1.0},
            {"fresh_s": float("nan")},
            {"username": "a:b"},
            {"password": "p"},
            {"username": "a\nb"},
        ):
            with pytest.raises(InvalidArgument):
                await peer.hub.do(admin, policies.set_upstream, outbound, "root", URL, **more)  # type: ignore[arg-type]
        assert await peer.hub.read(admin, policies.list_upstreams) == []


async def test_who_has_no_account_there_gets_no_token_for_more(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        root = await peer.user("root", is_admin=True)
        admin = await as_user(peer, root)
        await peer.organization("copy", "root")
        await peer.hub.do(admin, policies.set_upstream, peer.hub.outbound, "copy", URL)

        async def granted(authorization: str, name: str) -> str:
            answer = await peer.ask("GET", f"/token?scope=repository:{name}:pull,push,delete", authorization)
            return str(answer.json["scope"])

        assert await granted("", "copy/a/b") == ""  # what is copied is private, as the namespace says
        assert await granted(root, "copy/a/b") == "repository:copy/a/b:pull"
        assert await granted(root, "root/a") == "repository:root/a:delete,pull,push"
        await peer.hub.database.write(lambda c: c.run("UPDATE account SET is_private = 0 WHERE name = 'copy'"))
        assert await granted("", "copy/a/b") == "repository:copy/a/b:pull"
        assert await granted("", "copy") == "" == await granted("", "copy/../a") == await granted("", "nobody/a")
