"""What images are for: platforms and dates, read from their configs after a push. For lists, facets and tag pages.

image   (repository, digest) → os, architecture, variant, config, created      of a manifest; an index has none of its own
"""

from __future__ import annotations

from dataclasses import dataclass

from naru.errors import InvalidArgument, NaruError, Unavailable
from naru.hub import jobs
from naru.hub.jobs import Job
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest
from naru.oci.image import CONFIG_LIMIT_BYTES, INDEXES, Index, Json, Manifest, load_json
from naru.registry import records
from naru.registry.database import Connection, Database, one
from naru.registry.records import ManifestRecord
from naru.registry.storage import Storage
from naru.remote.answers import clean

JOB = "image"
CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")


@dataclass(frozen=True, slots=True)
class Image:
    os: str
    architecture: str
    variant: str
    config: str
    created: str

    @property
    def platform(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def want(c: Connection, repository: int, name: str, record: ManifestRecord, now_s: float) -> None:
    """Look into it, after this transaction."""
    if record.media_type not in INDEXES and record.artifact_type in CONFIGS:
        jobs.add(c, JOB, name, {"digest": record.digest}, now_s)


def find(c: Connection, repository: int, digest: Digest) -> Image | None:
    sql = "SELECT os, architecture, variant, config, created FROM image WHERE repository = ? AND digest = ?"
    found = one(c.rows(sql, repository, digest))
    return Image(*found) if found else None


def put(c: Connection, name: str, digest: Digest, image: Image) -> None:
    """Nothing, if the manifest is gone."""
    repository = records.repository_id(c, name)
    if repository is None or records.manifest(c, name, digest) is None:
        return
    c.run(
        "INSERT INTO image (repository, digest, os, architecture, variant, config, created) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (repository, digest) DO NOTHING",
        repository, digest, image.os, image.architecture, image.variant, image.config, image.created,
    )  # fmt: skip
    sql = "INSERT INTO platform (repository, name) VALUES (?, ?) ON CONFLICT DO NOTHING"
    c.run(sql, repository, f"{image.os}/{image.architecture}")


async def read_config(storage: Storage, name: str, manifest: Manifest) -> Json:
    """The config of an image of this repository. Raises InvalidArgument, Refusal, DataLoss."""
    if manifest.config.size > CONFIG_LIMIT_BYTES:
        raise InvalidArgument(f"config {manifest.config.digest}: larger than {CONFIG_LIMIT_BYTES} bytes")
    blob = await storage.blob(name, manifest.config.digest)

    def read() -> bytes:
        with storage.open(blob) as file:
            return file.read(CONFIG_LIMIT_BYTES + 1)

    return load_json(await finish_in_thread(read), f"config {manifest.config.digest}")


class Looker:
    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    async def run(self, job: Job) -> None:
        digest = Digest(job.payload["digest"])
        try:
            record, raw = await self._storage.read_manifest(job.subject, digest)
            manifest = Manifest.parse(raw, record.media_type)
            config = await read_config(self._storage, job.subject, manifest)
        except Unavailable:
            raise
        except NaruError:
            return  # gone meanwhile, or no image after all: then it has no platform
        os, architecture, variant, created = (
            clean(str(config.get(name) or ""), 100) for name in ("os", "architecture", "variant", "created")
        )
        image = Image(os, architecture, variant, str(manifest.config.digest), created)
        await self._database.write(put, job.subject, digest, image)


def children(raw: bytes, media_type: str) -> list[tuple[Digest, str]]:
    """Digest and platform of what an index lists, attestations left out."""
    found = []
    for one_ in Index.parse(raw, media_type).manifests:
        if one_.annotations.get("vnd.docker.reference.type") or (one_.platform and one_.platform.os == "unknown"):
            continue
        found.append((one_.digest, str(one_.platform) if one_.platform else ""))
    return found
