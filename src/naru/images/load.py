"""Images out of one tar: an OCI image layout, or Docker's archive of before 25 (manifest.json with layer.tar files).

The archive is hostile until shown otherwise, and nothing of it becomes a path: each regular file goes into the content
store under its digest, and names are only looked up. What no image in the archive names is garbage when the lease ends.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from naru.content.blobs import ContentStore
from naru.errors import InvalidArgument, NotFound
from naru.images.catalog import Catalog, Lease
from naru.images.feed import Pour, through_pipe
from naru.images.save import NAME, REF_NAME
from naru.images.unpack import Unpacker
from naru.linux.threads import finish_in_thread
from naru.oci import reference
from naru.oci.digest import Digest
from naru.oci.image import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFEST_LIMIT_BYTES,
    OCI_INDEX,
    Descriptor,
    Index,
    Manifest,
    Platform,
    dump_json,
    load_json,
)
from naru.oci.reference import Reference
from naru.snapshots.inflate import inflated
from naru.snapshots.tarformat import FILE, HARDLINK, SYMLINK
from naru.snapshots.tarstream import TarReader

FILE_LIMIT = 100_000
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class _Blob:
    digest: Digest
    size: int
    gzip: bool


@dataclass(slots=True)
class _Contents:
    files: dict[str, _Blob] = field(default_factory=dict)  # by cleaned name
    links: dict[str, str] = field(default_factory=dict)

    def blob(self, name: str) -> _Blob:
        """Raises InvalidArgument if the archive has no such file."""
        name = _clean(name)
        for _ in range(8):
            if name in self.files:
                return self.files[name]
            if name not in self.links:
                break
            name = self.links[name]
        raise InvalidArgument(f"invalid archive: {name[:200]!r} is missing")


@dataclass(frozen=True, slots=True)
class Loaded:
    target: Descriptor
    reference: Reference | None


async def load(
    store: ContentStore, catalog: Catalog, unpacker: Unpacker, pour: Pour, platform: Platform | None
) -> list[Loaded]:
    """Every image of the archive (plain or compressed) is here, unpacked and named, when this returns them in order.

    Raises InvalidArgument, Unsupported, DataLoss for what is no such archive or contradicts itself, NotFound if it has
    none for the platform; what pour raises. Images named before a failure stay.
    """
    with catalog.lease() as lease:

        async def consume(fd: int) -> _Contents:
            return await finish_in_thread(_take_in, store, lease, fd)

        contents = await through_pipe(pour, consume)
        found = _images(store, contents, lease)
        for each in found:
            try:
                manifest, config = catalog.documents.choose(each.target, platform, catalog.platform)
            except NotFound as error:
                if platform is None:
                    raise InvalidArgument(f"invalid archive: {error}") from error
                raise NotFound(
                    f"requested platform(s) ([{platform}]) not found: image might be filtered out"
                ) from error
            await unpacker.unpack(manifest, config)
            catalog.record(each.target, each.reference)
    return found


def _clean(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


def _take_in(store: ContentStore, lease: Lease, fd: int) -> _Contents:
    contents = _Contents()
    reader = TarReader(inflated(lambda count: os.read(fd, count), lambda buffer: os.readv(fd, [buffer]))[1])
    for entry in reader:
        name = _clean(entry.name)
        if entry.kind == FILE:
            contents.files[name] = _ingest(store, lease, name, reader)
        elif entry.kind == SYMLINK:  # Docker before 1.10 shared layers this way
            contents.links[name] = _clean(posixpath.join(posixpath.dirname(name), entry.link))
        elif entry.kind == HARDLINK:
            contents.links[name] = _clean(entry.link)
        if reader.entries > FILE_LIMIT:
            raise InvalidArgument(f"invalid archive: more than {FILE_LIMIT} entries")
    reader.drain()
    return contents


def _ingest(store: ContentStore, lease: Lease, name: str, reader: TarReader) -> _Blob:
    expected = None
    folder, _, hex_digits = name.rpartition("/")
    if folder.startswith("blobs/"):
        expected = Digest.parse(f"{folder.removeprefix('blobs/')}:{hex_digits}")
    head = bytearray()
    with store.ingest(expected.algorithm if expected else "sha256") as ingest:

        def write(piece: memoryview) -> None:
            if len(head) < len(_GZIP_MAGIC):
                head.extend(piece[: len(_GZIP_MAGIC)])
            ingest.write(piece)

        reader.copy(write)
        digest = expected or ingest.digest()
        lease.add(digest)  # before the commit: garbage may be collected at any moment
        ingest.commit(digest)
        return _Blob(digest, ingest.size_bytes, head.startswith(_GZIP_MAGIC))


def _images(store: ContentStore, contents: _Contents, lease: Lease) -> list[Loaded]:
    if "index.json" in contents.files:
        return _layout(_read(store, contents, "index.json"))
    if "manifest.json" in contents.files:
        return _docker(store, contents, lease)
    raise InvalidArgument("unrecognized image format")


def _read(store: ContentStore, contents: _Contents, name: str) -> bytes:
    return store.read(contents.blob(name).digest, MANIFEST_LIMIT_BYTES)


def _layout(raw: bytes) -> list[Loaded]:
    media_type = load_json(raw, "index.json").get("mediaType")
    index = Index.parse(raw, media_type if media_type in INDEXES else OCI_INDEX)
    return [Loaded(target, _name(target.annotations)) for target in index.manifests]


def _name(annotations: Mapping[str, str]) -> Reference | None:
    """containerd's annotation has the whole name; the specification's often the tag alone, which names nothing."""
    for key in (NAME, REF_NAME):
        text = annotations.get(key, "")
        if text and (key == NAME or "/" in text or ":" in text):
            return reference.parse(text).with_default_tag()
    return None


def _docker(store: ContentStore, contents: _Contents, lease: Lease) -> list[Loaded]:
    what = "manifest.json"
    entries = load_json(b'{"images":' + _read(store, contents, what) + b"}", what)["images"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidArgument(f"{what}: not a list of objects")
    found = []
    for entry in entries:
        config, layers, tags = entry.get("Config"), _texts(entry.get("Layers")), _texts(entry.get("RepoTags"))
        if not isinstance(config, str):
            raise InvalidArgument(f"{what}: no Config")
        target = _manifest(store, contents, config, layers, lease)
        for ref in [reference.parse(tag).with_default_tag() for tag in tags]:
            named = {NAME: str(ref), REF_NAME: ref.tag or ""}
            found.append(Loaded(replace(target, annotations=named), ref))
        if not tags:
            found.append(Loaded(target, None))
    return found


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidArgument("manifest.json: not a list of strings")
    return value


def _manifest(store: ContentStore, contents: _Contents, config: str, layers: list[str], lease: Lease) -> Descriptor:
    """The manifest that such an archive lacks, in the bytes that containerd would write, so that the id is the same."""

    def descriptor(name: str, media_type: str = "") -> dict[str, object]:
        blob = contents.blob(name)
        kind = media_type or (DOCKER_LAYER_GZIP if blob.gzip else DOCKER_LAYER)
        return {"mediaType": kind, "digest": blob.digest, "size": blob.size}

    raw = dump_json(
        {
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
            "config": descriptor(config, DOCKER_CONFIG), "layers": [descriptor(layer) for layer in layers],
        }
    )  # fmt: skip
    manifest = Manifest.parse(raw, DOCKER_MANIFEST)
    lease.add(manifest.descriptor.digest)
    store.put(raw, manifest.descriptor.digest)
    return manifest.descriptor
