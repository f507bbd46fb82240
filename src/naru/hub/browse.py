"""An image as people look at it: platforms, layers beside the Dockerfile they come from, config, and what refers to it. For pages and API.

Reads only. Whether the caller may see the repository is asked of `services.who`; manifests and configs are what anybody has pushed, so
everything in them is optional here, and what cannot be read is left out, never a reason to fail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naru.errors import InvalidArgument, NaruError, NotFound
from naru.hub.catalog import compare, dockerfile, images
from naru.hub.catalog.compare import Comparison
from naru.hub.catalog.dockerfile import Step
from naru.hub.catalog.referrers import Referrer, attached, referring
from naru.hub.parts import Hub
from naru.hub.peers import scans
from naru.hub.services.who import Who, visible
from naru.oci.digest import Digest
from naru.oci.image import INDEXES, Descriptor, ImageConfig, Index, Json, Manifest
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.records import ManifestRecord

_TAGS = 50
_PARTS = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One of what an index lists. `size_bytes`: of all it needs; None if the repository does not have it."""

    digest: Digest
    media_type: str
    platform: str
    size_bytes: int | None
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Image:
    """One manifest with config and layers. Of what is no container image `steps` is empty, and `config` maybe too."""

    digest: Digest
    media_type: str
    artifact_type: str
    platform: str
    created: str
    author: str
    config_digest: Digest
    config_media_type: str
    config: Json
    layers: tuple[Descriptor, ...]
    steps: tuple[Step, ...]
    annotations: Mapping[str, str]

    @property
    def dockerfile(self) -> str:
        """ "" for what is no container image."""
        return dockerfile.recovered_text(self.steps) if self.steps else ""

    @property
    def size_bytes(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def run(self) -> Json:
        found = self.config.get("config")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Scan:
    """The newest look of a scanner. `vulnerabilities`: as the scanner lists them (id, package, version, fix_version, severity, …)."""

    scanner: str
    status: str
    severity: str
    counts: Mapping[str, int]
    vulnerabilities: tuple[Json, ...]
    message: str
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Detail:
    """What a tag or digest names. `parts` of an index; `image` is the one of the platform asked for, or the first; None if there is
    none that can be read. `total_bytes`: of all it needs."""

    repository: str
    reference: str
    digest: Digest
    media_type: str
    artifact_type: str
    size_bytes: int
    total_bytes: int
    pushed_at: float
    annotations: Mapping[str, str]
    subject: Digest | None
    tags: tuple[str, ...]
    parts: tuple[Part, ...]
    image: Image | None
    referrers: tuple[Referrer, ...]
    scan: Scan | None

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES


async def detail(hub: Hub, who: Who, name: str, reference: str, platform: str = "") -> Detail:
    """`reference`: a tag or digest; `platform`: "linux/arm64" of one that an index lists. Raises NotFound, DataLoss."""
    await hub.read(who, visible, name)
    record, raw = await _manifest(hub, name, _reference(reference))
    digest, parts = record.digest, tuple[Part, ...]()
    chosen: tuple[ManifestRecord, bytes] | None = (record, raw)
    refers: list[Referrer] = []
    if record.media_type in INDEXES:
        index = _index(raw, record.media_type)
        listed = index.manifests if index else ()
        parts = await hub.database.read(_parts, name, listed)
        found = _choose(parts, platform)
        chosen = await _manifest_or_none(hub, name, found.digest) if found else None
        refers += await hub.database.read(attached, name, listed)
    image = await _image(hub, name, *chosen) if chosen else None
    subjects = dict.fromkeys([digest, *([image.digest] if image else [])])
    for subject in subjects:
        refers += await hub.database.read(referring, name, subject)
    scan = await hub.database.read(scan_of, name, image.digest if image else digest)
    tags = await hub.database.read(_tags_of, name, digest)
    return Detail(
        name, reference, digest, record.media_type, record.artifact_type, record.size_bytes,
        _total(record, parts), record.pushed_at, record.annotations, record.subject, tags, parts, image,
        tuple(dict.fromkeys(refers)), scan,
    )  # fmt: skip


async def comparison(
    hub: Hub, who: Who, name: str, before: str, after: str, platform: str = ""
) -> tuple[Detail, Detail, Comparison]:
    """Two images of a repository side by side. Raises NotFound; InvalidArgument for what has no image to compare."""
    left = await detail(hub, who, name, before, platform)
    right = await detail(hub, who, name, after, platform or (left.image.platform if left.image else ""))
    for one_ in (left, right):
        if one_.image is None:
            raise InvalidArgument(f"{one_.reference}: there is no image to compare")
    assert left.image and right.image
    found = compare.compare(left.image.config, left.image.layers, right.image.config, right.image.layers)
    return left, right, found


def _total(record: ManifestRecord, parts: tuple[Part, ...]) -> int:
    return sum(part.size_bytes or 0 for part in parts) if parts else record.total_bytes


def _reference(text: str) -> Digest | str:
    if ":" not in text:
        return text
    try:
        return Digest.parse(text)
    except InvalidArgument as error:
        raise NotFound(f"manifest {text[:150]}: not found") from error


async def _manifest(hub: Hub, name: str, reference: Digest | str) -> tuple[ManifestRecord, bytes]:
    found = await _manifest_or_none(hub, name, reference)
    if found is None:
        raise NotFound(f"{name}: there is no {reference[:150]} in it")
    return found


async def _manifest_or_none(hub: Hub, name: str, reference: Digest | str) -> tuple[ManifestRecord, bytes] | None:
    return await hub.database.read(records.manifest_with_payload, name, reference)


def _index(raw: bytes, media_type: str) -> Index | None:
    try:
        return Index.parse(raw, media_type)
    except InvalidArgument:
        return None


def _parts(c: Connection, name: str, listed: tuple[Descriptor, ...]) -> tuple[Part, ...]:
    """What is for a platform; attestations are shown with what refers to the image."""
    found = []
    for entry in listed[:_PARTS]:
        if entry.annotations.get("vnd.docker.reference.type") or (entry.platform and entry.platform.os == "unknown"):
            continue
        record = records.manifest(c, name, entry.digest)
        platform = str(entry.platform) if entry.platform else _known_platform(c, name, entry.digest)
        size = record.total_bytes if record else None
        found.append(Part(entry.digest, entry.media_type, platform, size, entry.annotations))
    return tuple(found)


def _known_platform(c: Connection, name: str, digest: Digest) -> str:
    repository = records.repository_id(c, name)
    image = images.find(c, repository, digest) if repository is not None else None
    return image.platform if image else ""


def _choose(parts: tuple[Part, ...], platform: str) -> Part | None:
    """The one asked for, by platform or digest; else what most people run; else the first there is."""
    there = [part for part in parts if part.size_bytes is not None]
    wanted = [part for part in there if platform and platform in (part.platform, part.digest)]
    usual = [part for part in there if part.platform == "linux/amd64"]
    return next(iter([*wanted, *usual, *there]), None)


async def _image(hub: Hub, name: str, record: ManifestRecord, raw: bytes) -> Image | None:
    if record.media_type in INDEXES:
        return None
    try:
        manifest = Manifest.parse(raw, record.media_type)
    except InvalidArgument:
        return None
    config: Json = {}
    steps: tuple[Step, ...] = ()
    try:
        config = await images.read_config(hub.registry.storage, name, manifest)
        if record.artifact_type in images.CONFIGS:
            steps = dockerfile.steps(ImageConfig.parse(json.dumps(config).encode()), manifest.layers)
    except NaruError:
        pass  # no JSON, as of many artifacts; or not there any more
    of = [config.get(part) for part in ("os", "architecture", "variant")]
    platform = "/".join(str(part)[:50] for part in of if part) if record.artifact_type in images.CONFIGS else ""
    return Image(
        record.digest, record.media_type, record.artifact_type, platform, str(config.get("created") or "")[:50],
        str(config.get("author") or "")[:200], manifest.config.digest, manifest.config.media_type, config, manifest.layers, steps,
        manifest.annotations,
    )  # fmt: skip


def _tags_of(c: Connection, name: str, digest: Digest) -> tuple[str, ...]:
    repository = records.repository_id(c, name)
    if repository is None:
        return ()
    sql = "SELECT name FROM tag WHERE repository = ? AND digest = ? ORDER BY name LIMIT ?"
    return tuple(str(tag) for (tag,) in c.rows(sql, repository, digest, _TAGS))


def scan_of(c: Connection, name: str, digest: str) -> Scan | None:
    repository = records.repository_id(c, name)
    found = scans.find(c, repository, digest) if repository is not None else None
    if found is None:
        return None
    listed = _object(found.report).get("vulnerabilities")
    vulnerabilities = tuple(entry for entry in listed if isinstance(entry, dict)) if isinstance(listed, list) else ()
    return Scan(
        found.scanner, found.status, found.severity, found.counts, vulnerabilities, found.message, found.finished_at
    )


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
