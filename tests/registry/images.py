"""Pushing small things without HTTP."""

from __future__ import annotations

import pytest

from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, Manifest
from naru.registry.access import Caller
from naru.registry.errors import Refusal
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads

SOMEBODY = Caller("somebody")


async def put(
    storage: Storage,
    uploads: Uploads,
    repository: str,
    data: bytes,
    digest: Digest | None = None,
    hashed_as: str = "sha256",
) -> Digest:
    digest = digest or Digest.of(data)
    session = await uploads.begin(repository, "somebody", hashed_as)
    async with uploads.turn(session.id, repository, "somebody") as upload:
        upload.write(data)
        await storage.commit(SOMEBODY, upload, digest)
    return digest


async def push(
    storage: Storage, uploads: Uploads, repository: str, tag: str, layer: bytes = b"layer", config: bytes = b"{}"
) -> Digest:
    described = Descriptor(OCI_CONFIG, await put(storage, uploads, repository, config), len(config))
    layers = (Descriptor(OCI_LAYER, await put(storage, uploads, repository, layer), len(layer)),)
    raw = Manifest.build(described, layers).raw
    return (await storage.put_manifest(SOMEBODY, repository, tag, OCI_MANIFEST, raw)).digest


def refused(code: str) -> pytest.RaisesExc[Refusal]:
    return pytest.RaisesExc(Refusal, check=lambda error: error.code == code)
