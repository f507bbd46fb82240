"""Descriptor, manifest, index and image config (OCI image-spec 1.1; Docker's schema 2 equivalents read the same).

Parsing is strict about what decides where bytes go (digests, sizes, media types, mixed bodies) and tolerant about the
rest. `raw` is what was received: the digest of a manifest or config is the digest of `raw`, never of a re-encoding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from naru.errors import InvalidArgument
from naru.oci.digest import Digest, chain_id

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_FOREIGN_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)

MANIFEST_LIMIT_BYTES = 4 << 20
CONFIG_LIMIT_BYTES = 4 << 20

Json = dict[str, Any]


def load_json(raw: bytes, what: str) -> Json:
    """A JSON object, or InvalidArgument naming `what`; deep nesting and absurd integers are errors too, not crashes."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{what}: invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"{what}: not a JSON object")
    return cast(Json, value)


def dump_json(value: Any) -> bytes:
    """The one encoding we use for documents of our own making: compact, keys in the order given, not ASCII-escaped, but where there is
    half of a surrogate pair in somebody's text, which JSON can say by an escape only."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Platform:
    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`os/arch[/variant]`, or `arch` alone meaning linux. Raises InvalidArgument."""
        parts = text.lower().split("/")
        if len(parts) > 3 or not all(
            part and part.replace("_", "").replace("-", "").replace(".", "").isalnum() for part in parts
        ):
            raise InvalidArgument(f"invalid platform: {text[:100]!r}")
        if len(parts) == 1:
            parts = [parts[0], ""] if parts[0] in ("linux", "windows", "darwin", "freebsd") else ["linux", parts[0]]
        architecture = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm"}.get(
            parts[1], parts[1]
        )
        return cls(parts[0], architecture, parts[2] if len(parts) == 3 else "")

    def satisfies(self, wanted: Platform) -> bool:
        """True if an image for this platform runs where `wanted` is asked for."""
        if (self.os, self.architecture) != (wanted.os, wanted.architecture):
            return False
        default = {"arm64": "v8", "arm": "v7"}.get(self.architecture, "")
        return (self.variant or default) == (wanted.variant or default)


@dataclass(frozen=True, slots=True)
class Descriptor:
    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str = ""

    @classmethod
    def parse(cls, value: Any, what: str) -> Descriptor:
        if not isinstance(value, dict):
            raise InvalidArgument(f"{what}: descriptor is not an object")
        media_type, size = value.get("mediaType"), value.get("size")
        if not isinstance(media_type, str) or not media_type:
            raise InvalidArgument(f"{what}: descriptor without mediaType")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 53:
            raise InvalidArgument(f"{what}: descriptor with invalid size {size!r}"[:300])
        digest = value.get("digest")
        if not isinstance(digest, str):
            raise InvalidArgument(f"{what}: descriptor without digest")
        platform = value.get("platform")
        where = None
        if isinstance(platform, dict):
            where = Platform(
                str(platform.get("os", "")), str(platform.get("architecture", "")), str(platform.get("variant", ""))
            )
        return cls(
            media_type, Digest.parse(digest), size, strings(value.get("annotations")), where,
            str(value.get("artifactType") or ""),
        )  # fmt: skip

    def to_json(self) -> Json:
        out: Json = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            out["annotations"] = dict(self.annotations)
        if self.platform is not None:
            out["platform"] = platform_json(self.platform)
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        return out


def platform_json(platform: Platform) -> Json:
    out: Json = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        out["variant"] = platform.variant
    return out


def strings(value: Any) -> dict[str, str]:
    """The string entries of a JSON object; anything else is {}."""
    if not isinstance(value, dict):
        return {}
    return {k: v for k, v in value.items() if isinstance(v, str)}


def _children(document: Json, key: str, what: str) -> tuple[Descriptor, ...]:
    items = document.get(key)
    if not isinstance(items, list):
        raise InvalidArgument(f"{what}: {key} is not a list")
    return tuple(Descriptor.parse(item, f"{what}: {key}[{i}]") for i, item in enumerate(items))


def _check_media_type(document: Json, media_type: str, what: str) -> None:
    stated = document.get("mediaType")
    if stated is not None and stated != media_type:
        raise InvalidArgument(f"{what}: mediaType {str(stated)[:100]!r} is not the Content-Type {media_type!r}")
    if "manifests" in document and ("layers" in document or "config" in document):
        raise InvalidArgument(f"{what}: both an image manifest and an index")


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest; `digest` and `size` are those of `raw`."""

    media_type: str
    raw: bytes
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None = None
    artifact_type: str = ""

    @classmethod
    def parse(cls, raw: bytes, media_type: str = OCI_MANIFEST) -> Manifest:
        what = "manifest"
        document = load_json(raw, what)
        _check_media_type(document, media_type, what)
        if "config" not in document:
            raise InvalidArgument("manifest: no config")
        subject = document.get("subject")
        return cls(
            media_type, raw, Descriptor.parse(document["config"], f"{what}: config"), _children(document, "layers", what),
            strings(document.get("annotations")),
            Descriptor.parse(subject, f"{what}: subject") if subject is not None else None,
            str(document.get("artifactType") or ""),
        )  # fmt: skip

    @classmethod
    def build(
        cls, config: Descriptor, layers: tuple[Descriptor, ...], annotations: Mapping[str, str] | None = None
    ) -> Manifest:
        document: Json = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": config.to_json(), "layers": [layer.to_json() for layer in layers],
        }  # fmt: skip
        if annotations:
            document["annotations"] = dict(annotations)
        return cls(OCI_MANIFEST, dump_json(document), config, layers, dict(annotations or {}))

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, Digest.of(self.raw), len(self.raw))


@dataclass(frozen=True, slots=True)
class Index:
    media_type: str
    raw: bytes
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None = None
    artifact_type: str = ""

    @classmethod
    def parse(cls, raw: bytes, media_type: str = OCI_INDEX) -> Index:
        what = "index"
        document = load_json(raw, what)
        _check_media_type(document, media_type, what)
        subject = document.get("subject")
        return cls(
            media_type, raw, _children(document, "manifests", what), strings(document.get("annotations")),
            Descriptor.parse(subject, f"{what}: subject") if subject is not None else None,
            str(document.get("artifactType") or ""),
        )  # fmt: skip

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, Digest.of(self.raw), len(self.raw))

    def choose(self, wanted: Platform) -> Descriptor | None:
        """The first image manifest that runs on `wanted`; attestations (platform unknown/unknown) never match."""
        images = [m for m in self.manifests if m.media_type in MANIFESTS]
        for manifest in images:
            if manifest.platform is not None and manifest.platform.satisfies(wanted):
                return manifest
        alone = images[0] if len(images) == 1 else None
        return alone if alone is not None and alone.platform is None else None


@dataclass(frozen=True, slots=True)
class History:
    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    def to_json(self) -> Json:
        named = {"created": self.created, "created_by": self.created_by, "author": self.author, "comment": self.comment}
        out: Json = {k: v for k, v in named.items() if v}
        if self.empty_layer:
            out["empty_layer"] = True
        return out


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image configuration (config.md). `run` is the `config` object in Docker's field names (Env, Cmd, Entrypoint,
    ExposedPorts, Volumes, WorkingDir, User, Labels, StopSignal, Healthcheck, Shell, OnBuild, ArgsEscaped), as received."""

    raw: bytes
    platform: Platform
    run: Json
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
    created: str = ""
    author: str = ""

    @classmethod
    def parse(cls, raw: bytes) -> ImageConfig:
        what = "image config"
        document = load_json(raw, what)
        rootfs = document.get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if diff_ids is None:
            diff_ids = []
        if not isinstance(diff_ids, list) or not all(isinstance(d, str) for d in diff_ids):
            raise InvalidArgument(f"{what}: rootfs.diff_ids is not a list of digests")
        run = document.get("config")
        if run is not None and not isinstance(run, dict):
            raise InvalidArgument(f"{what}: config is not an object")
        history = document.get("history") or []
        if not isinstance(history, list) or not all(isinstance(h, dict) for h in history):
            raise InvalidArgument(f"{what}: history is not a list of objects")
        return cls(
            raw,
            Platform(str(document.get("os") or "linux"), str(document.get("architecture") or ""), str(document.get("variant") or "")),
            dict(run or {}),
            tuple(Digest.parse(d) for d in diff_ids),
            tuple(
                History(
                    str(h.get("created") or ""), str(h.get("created_by") or ""), str(h.get("author") or ""),
                    str(h.get("comment") or ""), bool(h.get("empty_layer")),
                )
                for h in history
            ),
            str(document.get("created") or ""),
            str(document.get("author") or ""),
        )  # fmt: skip

    @classmethod
    def build(
        cls, *, platform: Platform, run: Json, diff_ids: tuple[Digest, ...], history: tuple[History, ...],
        created: str, author: str = "",
    ) -> ImageConfig:  # fmt: skip
        document: Json = {
            "created": created,
            **({"author": author} if author else {}),
            **platform_json(platform),
            "config": run,
        }
        document["rootfs"] = {"type": "layers", "diff_ids": [str(d) for d in diff_ids]}
        document["history"] = [h.to_json() for h in history]
        return cls(dump_json(document), platform, run, diff_ids, history, created, author)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(OCI_CONFIG, Digest.of(self.raw), len(self.raw))

    @property
    def chain_id(self) -> Digest | None:
        return chain_id(self.diff_ids)
