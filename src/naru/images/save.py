"""Images into one tar: an OCI image layout (image-spec image-layout.md) that has Docker's manifest.json beside it.

Written as it goes, entries in the order of names, times zero: the same images give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from naru.content.blobs import ContentStore
from naru.errors import NotFound
from naru.images.catalog import Catalog
from naru.images.values import Image
from naru.oci.digest import Digest
from naru.oci.image import OCI_INDEX, Descriptor, Json, Manifest, Platform, dump_json
from naru.snapshots.tarformat import DIR, Entry, encode_header, padding
from naru.snapshots.tarstream import TarWriter

if TYPE_CHECKING:
    from naru.snapshots.tarstream import Sink

NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(slots=True)
class Plan:
    """What goes into the archive; made before the first byte, so that a missing image is an error and not half a tar."""

    index: list[Json] = field(default_factory=list)
    images: dict[Digest, Json] = field(default_factory=dict)  # manifest → its entry in manifest.json
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    saved: list[Image] = field(default_factory=list)  # for events


def plan(catalog: Catalog, names: Sequence[str], platform: Platform | None) -> Plan:
    """Raises NotFound, InvalidArgument in Docker's words."""
    out = Plan()
    for name in names:
        row = catalog.find(name)[0]
        try:
            image = catalog.resolve(name, platform)
        except NotFound as error:
            if platform is None:
                raise
            raise NotFound(f"no suitable export target found: {error}") from error
        target = image.target if platform is None else image.manifest.descriptor
        ref = None if catalog.is_id(name, row.target.digest) else row.reference
        named = {NAME: str(ref), REF_NAME: ref.tag} if ref is not None and ref.tag else {}
        out.index.append(replace(target, annotations={**target.annotations, **named}).to_json())
        out.blobs.update(catalog.documents.blobs(target))
        entry = out.images.setdefault(image.manifest.descriptor.digest, _docker(image.manifest))
        if ref is not None and ref.tag:
            entry["RepoTags"] = [*(entry["RepoTags"] or ()), ref.familiar]
        out.saved.append(image)
    return out


def _docker(manifest: Manifest) -> Json:
    return {
        "Config": _path(manifest.config.digest),
        "RepoTags": None,
        "Layers": [_path(layer.digest) for layer in manifest.layers],
    }


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def save(store: ContentStore, planned: Plan, out: Sink) -> None:
    """Write the archive; blocks. Raises NotFound if a blob is deleted before its turn, what out raises."""
    archive = TarWriter(out)
    algorithms = sorted({digest.algorithm for digest in planned.blobs})
    for folder in ("blobs/", *(f"blobs/{algorithm}/" for algorithm in algorithms)):
        archive.add(Entry(folder, DIR, mode=0o755))
    for digest in sorted(planned.blobs):
        fd = store.open(digest)
        try:
            archive.add(Entry(_path(digest), mode=0o444, size=os.fstat(fd).st_size), fd)
        finally:
            os.close(fd)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": planned.index}
    documents = {
        "index.json": dump_json(index),
        "manifest.json": dump_json(list(planned.images.values())),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    }
    for name, data in documents.items():
        out.write(encode_header(Entry(name, mode=0o444, size=len(data))) + data + bytes(padding(len(data))))
    archive.close()
