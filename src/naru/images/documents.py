"""Manifests, indexes and configs out of the content store: read, verified, parsed, kept in memory while hot.

A blob is named by its digest, so what was once read from it stays true; only whether it is still there is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from naru.content.blobs import ContentStore
from naru.errors import DataLoss, InvalidArgument, NotFound, Unsupported
from naru.oci.digest import Digest
from naru.oci.image import (
    CONFIG_LIMIT_BYTES,
    INDEXES,
    MANIFEST_LIMIT_BYTES,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    load_json,
)

_KEPT = 512
Parsed = TypeVar("Parsed", Manifest, Index, ImageConfig)


class Documents:
    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._hot: dict[Digest, Manifest | Index | ImageConfig] = {}

    def _hot_or(self, digest: Digest, kind: type[Parsed]) -> Parsed | None:
        found = self._hot.get(digest)
        return found if isinstance(found, kind) and self._store.has(digest) else None

    def _keep(self, digest: Digest, value: Parsed) -> Parsed:
        if len(self._hot) >= _KEPT:
            del self._hot[next(iter(self._hot))]
        self._hot[digest] = value
        return value

    def manifest(self, descriptor: Descriptor) -> Manifest:
        """Raises NotFound, DataLoss, InvalidArgument."""
        digest = descriptor.digest
        return self._hot_or(digest, Manifest) or self._keep(
            digest, Manifest.parse(self._store.read(digest, MANIFEST_LIMIT_BYTES), descriptor.media_type)
        )

    def index(self, descriptor: Descriptor) -> Index:
        """Raises NotFound, DataLoss, InvalidArgument."""
        digest = descriptor.digest
        return self._hot_or(digest, Index) or self._keep(
            digest, Index.parse(self._store.read(digest, MANIFEST_LIMIT_BYTES), descriptor.media_type)
        )

    def config(self, manifest: Manifest) -> ImageConfig:
        """Raises NotFound, DataLoss, InvalidArgument."""
        digest = manifest.config.digest
        return self._hot_or(digest, ImageConfig) or self._keep(
            digest, ImageConfig.parse(self._store.read(digest, CONFIG_LIMIT_BYTES))
        )

    def choose(self, target: Descriptor, wanted: Platform | None, default: Platform) -> tuple[Manifest, ImageConfig]:
        """The image behind target: the one for `wanted`; if nothing is wanted, the default's, or else the first that is
        here. Raises NotFound if there is none, Unsupported if target is neither a manifest nor an index."""
        for candidate in self._candidates(target, wanted, default):
            try:
                manifest = self.manifest(candidate)
                config = self.config(manifest)
            except NotFound:
                continue  # of an index, often only the children for one platform have been pulled
            if wanted is None or config.platform.satisfies(wanted):
                return manifest, config
        raise NotFound(f"image {target.digest}: no manifest for platform {wanted or default} is present")

    def _candidates(self, target: Descriptor, wanted: Platform | None, default: Platform) -> Iterator[Descriptor]:
        if target.media_type in MANIFESTS:
            yield target
        elif target.media_type in INDEXES:
            index = self.index(target)
            if (best := index.choose(wanted or default)) is not None:
                yield best
            for child in index.manifests:
                attestation = child.platform is not None and child.platform.os == "unknown"
                if child.media_type in MANIFESTS and not attestation:
                    yield child
        else:
            raise Unsupported(f"{target.digest}: unsupported media type {target.media_type}")

    def manifests(self, target: Descriptor) -> list[Descriptor]:
        """Every manifest beneath target, itself included, that is here; attestations too."""
        if target.media_type in MANIFESTS:
            return [target] if self._store.has(target.digest) else []
        return [child for child in self.index(target).manifests if self._store.has(child.digest)]

    def blobs(self, target: Descriptor) -> dict[Digest, Descriptor]:
        """Every blob of target that is here, indexes and manifests included."""
        found = {target.digest: target}
        for child in self.manifests(target):
            found[child.digest] = child
            if child.media_type in MANIFESTS:
                manifest = self.manifest(child)
                found.update((d.digest, d) for d in (manifest.config, *manifest.layers))
        return {digest: descriptor for digest, descriptor in found.items() if self._store.has(digest)}

    def sniff(self, digest: Digest) -> Descriptor | None:
        """A descriptor of a blob whose media type nobody noted, if it is a manifest or an index, and whole."""
        try:
            size = self._store.size(digest)
            if size > MANIFEST_LIMIT_BYTES:
                return None
            document = load_json(self._store.read(digest, MANIFEST_LIMIT_BYTES), "blob")
        except (NotFound, InvalidArgument, DataLoss):
            return None
        default = OCI_INDEX if "manifests" in document else OCI_MANIFEST if "layers" in document else ""
        media_type = document.get("mediaType") or default
        return Descriptor(media_type, digest, size) if media_type in (*MANIFESTS, *INDEXES) else None
