"""What is read from pushed images and what refers to them: whatever anybody has written into them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from peer import peering, with_tables
from shelf import wait_quiet

from naru.errors import Unavailable
from naru.hub.catalog import images, repositories
from naru.hub.catalog.images import Looker
from naru.hub.catalog.referrers import OTHER, SIGNATURE, attached, referring
from naru.hub.jobs import Job
from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.records import Blob, ManifestRecord
from naru.registry.storage import Storage

SUBJECT = Digest.of(b"image")


class Away(Storage):
    """A store that does not answer."""

    async def blob(self, repository: str, digest: Digest) -> Blob:
        raise Unavailable("the store is away")


async def test_a_config_with_what_no_database_takes(hub_settings: Settings) -> None:
    config = b'{"os": "li\\u0000nux", "architecture": "\\ud800", "variant": "v8\\u001b", "created": "\\u0000"}'
    async with peering(hub_settings) as peer:
        ann = await peer.user("ann")
        await peer.push("ann/web", "1", ann)
        bearer = await peer.token(ann, "repository:ann/web:pull,push")
        answer = await peer.ask("POST", f"/v2/ann/web/blobs/uploads/?digest={Digest.of(config)}", bearer, config)
        assert answer.status == 201
        raw = Manifest.build(Descriptor(OCI_CONFIG, Digest.of(config), len(config)), ()).raw
        answer = await peer.ask("PUT", "/v2/ann/web/manifests/2", bearer, raw, Content_Type=OCI_MANIFEST)
        assert answer.status == 201
        await wait_quiet(peer)
        profile = await peer.hub.database.read(repositories.get, "ann/web")
        found = await peer.hub.database.read(images.find, profile.id, Digest.of(raw))
        assert found is not None and (found.os, found.architecture, found.variant) == ("li nux", "", "v8")


async def test_a_store_that_is_away_is_asked_again(hub_settings: Settings) -> None:
    async with peering(hub_settings) as peer:
        digest = await peer.push("ann/web", "1", await peer.user("ann"))
        storage = peer.hub.registry.storage
        job = Job(0, images.JOB, "ann/web", {"digest": digest}, 0, "", 0.0)
        with pytest.raises(Unavailable):
            await Looker(storage.database, Away(storage.database, storage.blobs)).run(job)


def signature(c: Connection, padding: int) -> Digest:
    """One that refers to the image, and says only by its layer what it is."""
    repository = records.ensure_repository(c, "ann/web", 0.0)
    document = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": Descriptor(OCI_CONFIG, SUBJECT, 2).to_json(),
        "layers": [Descriptor("application/vnd.dev.cosign.simplesigning.v1+json", SUBJECT, 2).to_json()] + [
            Descriptor(OCI_LAYER, Digest.of(str(number).encode()), 1).to_json() for number in range(padding)
        ],
    }  # fmt: skip
    raw = json.dumps(document).encode()
    record = ManifestRecord(Digest.of(raw), OCI_MANIFEST, len(raw), len(raw), SUBJECT, OCI_CONFIG)
    records.put_manifest(c, repository, record, raw, [])
    return record.digest


async def test_a_page_does_not_read_what_is_large_nor_what_is_much(tmp_path: Path) -> None:
    """Fifty are shown; one that is large is not looked into for what it is."""
    async with with_tables(tmp_path) as database:
        small = await database.write(signature, 0)
        for number in range(3):
            await database.write(signature, 1_000 + number)
        found = await database.read(referring, "ann/web", SUBJECT)
        assert sorted(one.kind for one in found) == [OTHER] * 3 + [SIGNATURE]
        for before, shown in ((49, 1), (50, 0)):
            digests = [*(Digest.of(str(number).encode()) for number in range(before)), small]
            listed = [
                Descriptor(OCI_MANIFEST, one, 9, {"vnd.docker.reference.type": "attestation-manifest"})
                for one in digests
            ]
            assert len(await database.read(attached, "ann/web", listed)) == shown
