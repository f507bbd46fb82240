"""The builder: a Dockerfile and a context to an image. Owns requests, results and what outlives one build.

A build is: parse → instructions → plan, then the walk of `stages.py` in a workspace of its own. This is the classic builder
(POST /build); whatever else wants to build starts from the same plan.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from naru.build.bases import Bases
from naru.build.cache import Cache
from naru.build.context import Context
from naru.build.needs import Fetch, StepRunner
from naru.build.parse import parse
from naru.build.plan import plan, platform_args
from naru.build.reading import read
from naru.build.runmounts import CacheMounts
from naru.build.stages import Miss, Order, Stages
from naru.build.steps import Limits, Steps
from naru.build.workspace import Workspace
from naru.content.blobs import ContentStore
from naru.errors import InvalidArgument
from naru.events import Bus, Event, Progress, Report
from naru.images.make import store_documents
from naru.images.service import Images
from naru.images.values import Image
from naru.linux.erase import remove_tree
from naru.linux.threads import finish_in_thread
from naru.oci import reference
from naru.oci.digest import Digest
from naru.oci.image import ImageConfig, Manifest, Platform
from naru.oci.reference import Reference
from naru.remote.auth import Credentials
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """`build_args` with the value None were named without one, and count as not given."""

    context: Context
    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    no_cache: bool = False
    pull: bool = False
    network_mode: str = "default"
    platform: str = ""
    limits: Limits = field(default_factory=Limits)
    credentials: Mapping[str, Credentials] = field(default_factory=dict)  # by registry host


@dataclass(frozen=True, slots=True)
class BuildResult:
    image_id: Digest
    tags: tuple[str, ...]
    misses: tuple[Miss, ...]  # the steps that had to be done, and why


class Builder:
    """`root` is a private directory of ours. One Builder serves any number of builds at the same time."""

    def __init__(
        self, images: Images, snapshots: Snapshots, store: ContentStore, runner: StepRunner, fetch: Fetch,
        db: Database, bus: Bus, root: str, platform: Platform, now_ns: Callable[[], int],
    ) -> None:  # fmt: skip
        self._images = images
        self._snapshots = snapshots
        self._store = store
        self._runner = runner
        self._fetch = fetch
        self._bus = bus
        self._platform = platform
        self._now_ns = now_ns
        self.cache = Cache(db, now_ns)
        os.makedirs(root, mode=0o700, exist_ok=True)
        self._cache_mounts = CacheMounts(os.path.join(root, "cache-mounts"))
        self.scratch = os.path.join(root, "scratch")  # for `context.receive` too; what a dead process left is nobody's
        remove_tree(self.scratch)
        os.mkdir(self.scratch, 0o700)

    async def build(self, request: BuildRequest, report: Report) -> BuildResult:
        """The image is recorded, and named by every tag, when this returns.

        Raises InvalidArgument (DockerfileError) for the Dockerfile, StepFailed for a RUN, and what images, runner and
        disk raise, each with file and line; nothing is left then but what the cache keeps.
        """
        tags = [_tag(text) for text in dict.fromkeys(request.tags)]
        target = Platform.parse(request.platform) if request.platform else None
        _check_text(request)
        given = {name: value for name, value in request.build_args.items() if value is not None}
        file = parse(request.context.dockerfile(request.dockerfile), request.dockerfile)
        platforms = platform_args(target or self._platform, self._platform, request.target)
        graph = plan(file, read(file), given, platforms)
        last = graph.target(request.target)
        order = Order(
            graph, request.context.path, given, request.labels, target, self._platform, request.network_mode or "default",
            request.no_cache, _epoch_ns(given.get("SOURCE_DATE_EPOCH", "0")),
        )  # fmt: skip
        await finish_in_thread(request.context.apply_ignore, request.dockerfile)
        scratch = tempfile.mkdtemp(prefix="build-", dir=self.scratch)
        try:
            with self._images.lease() as lease:
                async with AsyncExitStack() as held:
                    workspace = Workspace(self._snapshots, self._store, scratch, lease.add)
                    hostname = given.get("BUILDKIT_SANDBOX_HOSTNAME", "")
                    steps = Steps(workspace, self._runner, self._fetch, self._cache_mounts, request.limits, hostname)
                    bases = Bases(self._images, workspace, held, report, request.credentials, pull=request.pull)
                    stages = Stages(order, workspace, bases, steps, self.cache, report, self._now_ns)
                    manifest, config = await stages.solve(last)
                await finish_in_thread(store_documents, self._store, manifest, config, lease.add)
                image_id = manifest.descriptor.digest
                self._name(image_id, manifest, config, tags)
        finally:
            await finish_in_thread(remove_tree, scratch)
        report(Progress(aux={"ID": str(image_id)}))
        report(Progress(stream=f"Successfully built {image_id.hex[:12]}\n"))
        for ref in tags:
            report(Progress(stream=f"Successfully tagged {ref.familiar}\n"))
        return BuildResult(image_id, tuple(ref.familiar for ref in tags), tuple(stages.misses))

    async def prune(self, unused_since_ns: int | None = None) -> int:
        """Forget all results of steps, and cache mounts with them, or the results not used since then; returns the bytes
        that this gave back."""
        self.cache.prune(unused_since_ns)
        if unused_since_ns is None:
            await self._cache_mounts.prune()
        size_bytes = await self._images.collect()
        self._bus.publish(Event("builder", "prune", "", self._now_ns(), {"reclaimed": str(size_bytes)}))
        return size_bytes

    def _name(self, image_id: Digest, manifest: Manifest, config: ImageConfig, tags: list[Reference]) -> None:
        image = Image(manifest.descriptor, manifest, config)
        if not tags:
            self._images.record(image, None)
        for ref in tags:
            self._images.tag(image, ref)


def _check_text(request: BuildRequest) -> None:
    """No environment or JSON of ours can hold a NUL or half a character."""
    for what, values in (("build-arg", request.build_args), ("label", request.labels)):
        for name, value in values.items():
            text = f"{name}={value}"
            if "\0" in text or (not text.isascii() and text.encode(errors="replace").decode() != text):
                raise InvalidArgument(f"invalid {what} {name!a}: it contains characters that cannot be passed on")


def _epoch_ns(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidArgument(f"invalid SOURCE_DATE_EPOCH: {text}")
    return int(text) * 10**9


def _tag(text: str) -> Reference:
    ref = reference.parse(text).with_default_tag()
    if ref.digest is not None:
        raise InvalidArgument("build tag cannot contain a digest")
    return ref
