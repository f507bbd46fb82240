"""Two who want at once what only one can have: on either engine, the second is told so, and nothing is half done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import postgresql
import pytest
from peer import Peer, basic, peering

from naru.errors import Conflict, Forbidden
from naru.hub.catalog import repositories
from naru.hub.people import accounts
from naru.hub.people.permissions import ANYBODY
from naru.hub.server import Settings
from naru.hub.services import people, sessions
from naru.hub.services.who import Who
from naru.oci.digest import Digest
from naru.registry.database import Connection
from naru.registry.seals import own_keys
from naru.registry.server import Settings as RegistrySettings


@asynccontextmanager
async def on(engine: str, folder: Path) -> AsyncIterator[Peer]:
    if engine == "sqlite":
        async with peering(Settings(RegistrySettings("127.0.0.1:0", str(folder)), allow_private=True)) as peer:
            yield peer
        return
    own_keys(str(folder / "keys"))
    with postgresql.server() as url:
        registry = RegistrySettings(
            "127.0.0.1:0", "/nowhere", database=url.format("postgres"), blobs=str(folder / "blobs")
        )
        async with peering(Settings(registry, allow_private=True, secret_keys=str(folder / "keys"))) as peer:
            yield peer


async def outcomes(*asked: Awaitable[object]) -> list[str]:
    found = await asyncio.gather(*asked, return_exceptions=True)
    return sorted(type(one).__name__ if isinstance(one, BaseException) else "done" for one in found)


def person(c: Connection, name: str) -> Who:
    return Who(accounts.principal(c, accounts.get(c, name)), "192.0.2.1", time.time())


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def test_at_once(engine: str, tmp_path: Path) -> None:
    """All in one hub, as a server takes its time to start."""
    async with on(engine, tmp_path) as peer:
        hub, database = peer.hub, peer.hub.database
        nobody = Who(ANYBODY, "192.0.2.1", time.time())

        # the first account of all is the only one that is an admin by that
        signed_up = (hub.do(nobody, people.sign_up, f"u{n}", "", "hash") for n in range(4))
        assert await outcomes(*signed_up) == ["done"] * 4
        made = await database.read(accounts.list_accounts, accounts.USER, "", 10)
        assert sum(one.is_admin for one in made) == 1

        # two admins put one another out
        first = next(one.name for one in made if one.is_admin)
        other = next(one.name for one in made if not one.is_admin)
        await database.write(lambda c: accounts.update(c, accounts.get(c, other).id, is_admin=True))
        whos = {name: await database.read(person, name) for name in (first, other)}
        put_out = (
            hub.do(whos[one], people.update_account, another, {"is_admin": False})
            for one, another in ((first, other), (other, first))
        )
        assert await outcomes(*put_out) == [Forbidden.__name__, "done"]

        # the last two owners leave
        await peer.organization("acme", first)
        await database.write(
            lambda c: accounts.set_role(c, accounts.get(c, "acme").id, accounts.get(c, other).id, "owner")
        )
        leaving = (hub.do(whos[name], people.remove_member, "acme", name) for name in (first, other))
        assert await outcomes(*leaving) == [Conflict.__name__, "done"]

        # one code, or one recovery code, is shown twice
        await database.write(lambda c: accounts.update(c, accounts.get(c, "u1").id, totp_secret="GEZDGNBVGY3TQOJQ"))
        account = (await database.read(accounts.get, "u1")).id
        await database.write(accounts.set_recovery_codes, account, ["digest"])
        tickets = [await hub.do(nobody, sessions.ask_code, account) for _ in range(2)]
        shown = await asyncio.gather(*(hub.do(nobody, sessions.show_code, ticket, "", "digest") for ticket in tickets))
        assert sorted(shown, key=str) == [account, None]

        # and room for one
        ann = await peer.user("ann")
        await database.write(lambda c: accounts.update(c, accounts.get(c, "ann").id, quota_bytes=1500))
        blobs = [bytes([n]) * 1000 for n in range(4)]
        bearers = [await peer.token(ann, f"repository:ann/r{n}:pull,push") for n in range(4)]
        pushed = await asyncio.gather(
            *(
                peer.ask("POST", f"/v2/ann/r{n}/blobs/uploads/?digest={Digest.of(blob)}", bearers[n], blob)
                for n, blob in enumerate(blobs)
            )
        )
        assert sorted(answer.status for answer in pushed) == [201, 403, 403, 403]
        assert await database.read(lambda c: repositories.used_bytes(c, accounts.get(c, "ann").id)) == 1000


@pytest.mark.slow
async def test_what_postgresql_does_not_take_is_no_fault_of_ours(tmp_path: Path) -> None:
    async with on("postgresql", tmp_path) as peer:
        await peer.user("ann")
        for pair in ("a\0nn:pw", "ann:p\0w", "\0:", "ann%_:x", "ann\\:x"):
            for path in ("/token", "/v1/search?q=x", "/api/v1/account"):
                assert (await peer.ask("GET", path, basic(*pair.split(":")))).status == 401, pair
        for query in ("%00", "%25", "_", "%5C", "%27"):
            assert (await peer.ask("GET", f"/v1/search?q={query}")).status == 200, query
        found = await peer.hub.database.read(accounts.list_accounts, accounts.USER, "", 10, "_")
        assert found == []
