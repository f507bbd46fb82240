"""Having images scanned: the job of `scans`, and what a scanner is given to pull with.

Each step is a turn of the job, which holds no worker while the scanner is at it. The token is for this repository alone, and does not
live for long.
"""

from __future__ import annotations

import time

from naru.errors import Internal, InvalidArgument, NaruError, NotFound, Unavailable, Unsupported
from naru.hub.authority import SCANNER, Authority, Scope
from naru.hub.jobs import Job, Retry, backoff_s
from naru.hub.outbound import Outbound
from naru.hub.peers import scans
from naru.hub.peers.scanner import SBOM, VULNERABILITY, Artifact, Metadata, NotReady, Report, Scanner
from naru.hub.peers.scans import Task
from naru.oci.digest import Digest
from naru.oci.image import MANIFESTS, Manifest
from naru.registry.database import Database
from naru.registry.storage import Storage

_TOKEN_S = 1800  # a scanner has a queue of its own
_PATIENCE_S = 3600.0  # from when the scanner took it
_TRIES = 8  # at a scanner that does not answer
_PAUSE_S = 15.0  # when one that is at it does not
_IN_TOTO = "application/vnd.in-toto+json"  # layers of an attestation: nothing to scan


class Scanning:
    """The job. `url` is where scanners find this hub."""

    def __init__(self, storage: Storage, outbound: Outbound, authority: Authority, url: str) -> None:
        self._storage = storage
        self._database: Database = storage.database
        self._outbound = outbound
        self._authority = authority
        self._url = url

    async def run(self, job: Job) -> None:
        """One step. Raises Retry for the next one."""
        task = await self._database.read(scans.task, str(job.payload["repository"]), Digest(job.payload["digest"]))
        if task is None or task.status not in (scans.WAITING, scans.RUNNING):
            return
        now_s = time.time()
        try:
            if task.status == scans.WAITING:
                await self._begin(task)
                raise Retry("the scanner is at it", 1.0)
            if now_s - task.started_at > _PATIENCE_S:
                raise InvalidArgument(f"scanner {task.scanner.name} did not finish within {_PATIENCE_S:.0f} s")
            await self._collect(task)
        except Unsupported as error:
            await self._database.write(scans.end, task, scans.UNSUPPORTED, str(error), now_s)
        except Unavailable as error:
            if task.status == scans.RUNNING:  # which ends with our patience; the attempts were looks at how far it is
                raise Retry(str(error), _PAUSE_S) from error
            if job.attempts < _TRIES:
                raise Retry(str(error), backoff_s(5.0, job.attempts, 600.0)) from error
            await self._database.write(scans.end, task, scans.FAILED, str(error), now_s)
        except NaruError as error:
            await self._database.write(scans.end, task, scans.FAILED, str(error), now_s)

    async def _begin(self, task: Task) -> None:
        """Raises Unsupported for what this scanner does not scan."""
        name, digest, media_type = task.name, task.record.digest, task.record.media_type
        await self._check_image(name, digest)
        scanner_ = self._scanner(task)
        metadata = await scanner_.metadata()
        types = tuple(one for one in (VULNERABILITY, SBOM) if metadata.can(one, media_type))
        if not types:
            raise Unsupported(f"scanner {task.scanner.name} does not scan {media_type}")
        token = self._authority.sign(
            SCANNER, [Scope("repository", name, frozenset({"pull"}))], time.time(), life_s=_TOKEN_S
        )
        artifact = Artifact(self._url, f"Bearer {token}", name, digest, task.tag, media_type)
        request = await scanner_.scan(artifact, metadata, types)
        await self._database.write(scans.begun, task, request, time.time())

    async def _check_image(self, name: str, digest: Digest) -> None:
        record, raw = await self._storage.read_manifest(name, digest)
        if record.media_type in MANIFESTS:
            layers = Manifest.parse(raw, record.media_type).layers
            if layers and all(layer.media_type == _IN_TOTO for layer in layers):
                raise Unsupported("an attestation: there is nothing to scan in it")

    async def _collect(self, task: Task) -> None:
        scanner_ = self._scanner(task)
        metadata = await scanner_.metadata()
        media_type = task.record.media_type
        report: Report | None = None
        if (capability := metadata.can(VULNERABILITY, media_type)) is not None:
            found = await scanner_.vulnerabilities(task.request, capability)
            if isinstance(found, NotReady):
                raise Retry("the scanner is at it", found.after_s)
            report = found
        sbom, message = await self._sbom(scanner_, metadata, task) if metadata.can(SBOM, media_type) else ("", "")
        await self._database.write(scans.finish, task, report, sbom, message, time.time())

    async def _sbom(self, scanner_: Scanner, metadata: Metadata, task: Task) -> tuple[str, str]:
        """It, or why there is none: what was found is not thrown away for that."""
        capability = metadata.can(SBOM, task.record.media_type)
        assert capability is not None
        try:
            found = await scanner_.sbom(task.request, capability)
        except (NotFound, Unsupported, InvalidArgument, Internal) as error:
            return "", f"no SBOM: {error}"
        if isinstance(found, NotReady):
            raise Retry("the scanner is at the SBOM", found.after_s)
        return found, ""

    def _scanner(self, task: Task) -> Scanner:
        return Scanner(self._outbound, task.scanner.url, task.scanner.authorization)
