"""What a hub keeps that is worth stealing: sealed in its database, with keys that can be followed by others."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
from peer import Peer, peering
from world import ask

from naru.errors import InvalidArgument, NotFound
from naru.hub import resealed, signingkeys
from naru.hub.authority import Authority, Scope
from naru.hub.catalog import upstreams
from naru.hub.peers import deliveries, replications, scans
from naru.hub.people import accounts
from naru.hub.places import Place
from naru.hub.server import Settings
from naru.registry.database import Connection
from naru.registry.seals import new_key
from naru.registry.server import Settings as RegistrySettings

SECRETS = ("upstream-password", "rule-password", "scanner-value", "hook-secret", "JBSWY3DPEHPK3PXP")


async def fill(peer: Peer) -> None:
    """One of everything."""
    await peer.user("ann")
    now_s = time.time()

    def make(c: Connection) -> None:
        ann = accounts.get(c, "ann").id
        upstreams.put(c, ann, Place("https://example.org", "u", SECRETS[0]), 300.0)
        replications.create(c, "r", replications.PUSH, Place("https://example.org", "u", SECRETS[1]), "*", now_s)
        scans.add_scanner(c, "s", "https://example.org", SECRETS[2], now_s)
        deliveries.create(c, ann, None, "h", "https://example.org", ["push"], now_s, secret=SECRETS[3])
        accounts.update(c, ann, totp_secret=SECRETS[4])

    await peer.hub.database.write(make)


def raw(root: str) -> bytes:
    """All that a thief of the database has."""
    return b"".join(path.read_bytes() for path in Path(root).glob("registry.db*"))


def known(c: Connection) -> tuple[str, ...]:
    """The same secrets, as the hub has them."""
    ann = accounts.get(c, "ann")
    found = accounts.secrets(c, "ann")
    (hook,) = deliveries.of_namespace(c, ann.id)
    assert found is not None and found.totp_secret is not None
    return (
        upstreams.get(c, ann.id).password, replications.get(c, "r").password, scans.scanner(c, "s").authorization,
        hook.secret, found.totp_secret,
    )  # fmt: skip


async def test_a_thief_of_the_database_has_no_secrets(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        await fill(peer)
        assert await peer.hub.database.read(known) == SECRETS
        found = raw(hub_settings.registry.data_root)
        assert b"https://example.org" in found  # it is the place to look
        assert not [secret for secret in (*SECRETS, "BEGIN PRIVATE KEY") if secret.encode() in found]


async def test_a_new_key_follows_an_old_one(hub_settings: Settings, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    old, new = new_key(), new_key()

    def with_keys(*given: str) -> Settings:
        keys.write_text("\n".join(given))
        return dataclasses.replace(hub_settings, secret_keys=str(keys))

    async with peering(with_keys(old)) as peer:
        await fill(peer)
        assert await peer.hub.database.write(resealed.seal_anew) == 0
        before = peer.hub.authority.keys[0].id
    with pytest.raises(NotFound, match=r"secret key [0-9a-f]{8}, which is not among those given"):
        async with peering(with_keys(new)):
            pass
    async with peering(with_keys(new, old)) as peer:
        assert await peer.hub.database.read(known) == SECRETS
        assert peer.hub.authority.keys[0].id == before
    async with peering(with_keys(new)) as peer:  # nothing takes the old one any more
        assert await peer.hub.database.read(known) == SECRETS


async def test_a_shared_database_takes_a_shared_key(tmp_path: Path) -> None:
    settings = Settings(RegistrySettings("127.0.0.1:0", str(tmp_path), database=str(tmp_path / "elsewhere.db")))
    with pytest.raises(InvalidArgument, match="takes --secret-keys"):
        async with peering(settings):
            pass


async def test_a_new_signing_key_ends_all_tokens(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        root, ann = await peer.user("root", is_admin=True), await peer.user("ann")
        await peer.push("ann/app", "v1", ann)
        bearer = await peer.token(ann, "repository:ann/app:pull")
        path = "/v2/ann/app/manifests/v1"
        assert (await peer.ask("GET", path, bearer)).status == 200  # and remembered
        assert (await ask(peer, "POST", "/api/v1/admin/signing-key", ann)).status == 403
        assert (await peer.ask("GET", path, bearer)).status == 200
        assert (await ask(peer, "POST", "/api/v1/admin/signing-key", root)).status == 204
        assert (await peer.ask("GET", path, bearer)).status == 401
        bearer = await peer.token(ann, "repository:ann/app:pull")
        assert (await peer.ask("GET", path, bearer)).status == 200
        (entry,) = [
            one for one in (await ask(peer, "GET", "/api/v1/audit", root)).json["results"]
            if one["action"] == "signing_key.replace"
        ]  # fmt: skip
        assert entry["actor"] == "root"


async def test_another_instance_has_made_a_key(hub_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/app", "v1", ann)
        here = peer.hub.authority
        first = here.keys
        await peer.hub.database.write(signingkeys.replace, time.time())
        elsewhere = await Authority.open(peer.hub.database, peer.hub.identities)
        assert here.keys == first and elsewhere.keys != first
        bearer = f"Bearer {elsewhere.sign('ann', [Scope('repository', 'ann/app', frozenset({'pull'}))], time.time())}"
        monkeypatch.setattr("naru.hub.authority._LOOK_AGAIN_S", 0.0)
        assert (await peer.ask("GET", "/v2/ann/app/manifests/v1", bearer)).status == 200
        assert here.keys[0].id == elsewhere.keys[0].id


async def test_keys_follow_each_other(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        database = peer.hub.database
        now_s = time.time()
        (first,) = await database.read(signingkeys.current)
        assert not signingkeys.is_due([first], now_s)
        later = now_s + signingkeys.LIFE_S + 1
        assert signingkeys.is_due([first], later)
        second, old = await database.write(signingkeys.renew, later)
        assert old.id == first.id != second.id  # which verifies what it has signed
        assert not signingkeys.is_due([second, old], later + 60)
        (only,) = await database.write(signingkeys.renew, later + signingkeys.GOOD_S + 1)
        assert only.id == second.id
        assert [key.id for key in await database.read(signingkeys.current)] == [second.id]


def test_the_table_names_every_sealed_column() -> None:
    """What `resealed` walks is what the code seals."""
    source = Path(resealed.__file__).parent
    sealing = [
        path.name for path in source.rglob("*.py") if "seals.seal(" in path.read_text() and path.name != "resealed.py"
    ]
    assert sorted(sealing) == [
        "accounts.py",
        "deliveries.py",
        "replications.py",
        "scans.py",
        "signingkeys.py",
        "upstreams.py",
    ]
