"""The composition root: the only place where services are constructed, and the order in which they wake and rest.

`running` is an async context manager: inside it the daemon is complete and has re-adopted what ran on without it; at its
end everything is closed and the containers go on.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import naru
from naru.api.app import EXPERIMENTAL, SERVER, App
from naru.api.http import Handler
from naru.api.routes.archives import ArchiveRoutes
from naru.api.routes.builds import BuildRoutes
from naru.api.routes.checkpoints import CheckpointRoutes
from naru.api.routes.containers import ContainerRoutes
from naru.api.routes.images import ImageRoutes
from naru.api.routes.networks import NetworkRoutes
from naru.api.routes.streams import StreamRoutes
from naru.api.routes.system import SystemRoutes
from naru.build.solve import Builder
from naru.containers import remapcheck
from naru.containers.adoption import Adoption
from naru.containers.bringup import BringUp
from naru.containers.checkpoints import Checkpoints
from naru.containers.checks import Checks
from naru.containers.commits import Commits
from naru.containers.engine import Engine
from naru.containers.execs import Execs
from naru.containers.files import Files
from naru.containers.logkeeping import LogKeeping
from naru.containers.monitor import Runtime
from naru.containers.networking import Networking
from naru.containers.owner import Owner
from naru.containers.processes import Processes
from naru.containers.records import Container
from naru.containers.recovery import Recovery
from naru.containers.remap import load as load_remap
from naru.containers.service import Containers
from naru.containers.steprunner import Steps
from naru.containers.surroundings import Surroundings
from naru.content.blobs import ContentStore
from naru.daemon.config import Config, table_of
from naru.daemon.live import Live, default_label
from naru.daemon.observation import Observation
from naru.daemon.parts import (
    address_blocks,
    bridge_options,
    container_defaults,
    own_runtime,
    registry_config,
    runtime_programs,
)
from naru.errors import Conflict, Unsupported
from naru.events import Bus
from naru.images.service import Images
from naru.linux.cgroup import vacate_root
from naru.linux.files import keep_apart, write_atomic
from naru.linux.host import Host, probe
from naru.linux.trash import Trash
from naru.logs.service import Logs
from naru.networks.service import Networks
from naru.oci.image import Platform
from naru.remote.client import RegistryClient
from naru.remote.fetch import Fetcher
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database
from naru.store.reserve import Reserve
from naru.volumes.service import Volumes

log = logging.getLogger(__name__)

_USER_AGENT = f"naru/{naru.__version__}"
_ENGINE_ID_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that is complete: what answers requests, and metrics if they are served, and what is reloaded."""

    app: App
    metrics: Handler | None
    live: Live


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Raises Conflict if another daemon has the data root, Unsupported for a host that cannot run containers."""
    host = probe()
    _prepare_host(host)
    async with AsyncExitStack() as stack:
        _make_roots(config)
        _lock(config, stack)
        db = Database(os.path.join(config.data_root, "naru.db"), Reserve(os.path.join(config.data_root, "reserve")))
        stack.callback(db.close)
        if db.damaged:
            log.error("the database was damaged: it has been put aside as %s, and a new one begun", db.damaged)
        yield await _compose(config, host, db, stack)


def _prepare_host(host: Host) -> None:
    if os.geteuid() != 0:
        raise Unsupported("naru daemon has to run as root")
    for program in ("conmon",):
        if program not in host.programs:
            raise Unsupported(f"{program} is not installed: apt-get install {program}")
    if "crun" not in host.programs and "runc" not in host.programs:
        raise Unsupported("no OCI runtime is installed: apt-get install crun")
    if not host.overlay:
        raise Unsupported("this kernel has no overlayfs: modprobe overlay")
    try:
        vacate_root(host)
    except OSError as error:
        log.warning("containers cannot have limits on this host: %s: %s", error.filename, error.strerror)
    if not host.apparmor:
        log.info("AppArmor is not enabled on this host: containers run without it")


def _make_roots(config: Config) -> None:
    for path, mode in ((config.data_root, 0o710), (config.exec_root, 0o711)):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
    for name in ("containers", "snapshots", "content", "volumes", "build"):
        os.makedirs(os.path.join(config.data_root, name), mode=0o711 if name == "volumes" else 0o710, exist_ok=True)
    keep_apart(os.path.join(config.data_root, "containers"))


def _lock(config: Config, stack: AsyncExitStack) -> None:
    for root in (config.data_root, config.exec_root):
        fd = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"another naru daemon is using {root}: give this one a --data-root and --exec-root of its own"
            ) from error


def _engine_id(config: Config) -> str:
    path = os.path.join(config.data_root, "engine-id")
    try:
        with open(path) as file:
            if found := file.read(_ENGINE_ID_LIMIT).strip():
                return found
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    made = "-".join(secrets.token_hex(n) for n in (4, 2, 2, 2, 6))
    try:
        write_atomic(path, made.encode(), durable=True)
    except OSError as error:  # a full disk is no reason not to start
        log.error("the engine's id cannot be kept: %s: %s", error.filename or path, error.strerror)
    return made


async def _compose(config: Config, host: Host, db: Database, stack: AsyncExitStack) -> Running:
    """Bottom up: stores, then what uses them; then take up what runs; then the API."""
    remap = await load_remap(config.userns_remap, config.exec_root, host.programs)
    if remap is not None:
        await asyncio.to_thread(remapcheck.check, remap, config.data_root)
    bus = Bus()
    store = ContentStore(os.path.join(config.data_root, "content"))
    trash = Trash(os.path.join(config.data_root, "trash"))
    stack.callback(trash.close)
    snapshots = Snapshots(os.path.join(config.data_root, "snapshots"), db, trash.throw)
    await asyncio.to_thread(snapshots.recover)
    registry = RegistryClient(registry_config(config), _USER_AGENT)
    stack.push_async_callback(registry.close)
    platform = Platform.parse(host.machine)
    images = Images(store, snapshots, db, bus, platform, registry)
    images.limit(downloads=config.max_concurrent_downloads, uploads=config.max_concurrent_uploads)
    networks = Networks(
        db, bus, bridge=config.bridge, bip=config.bip or None, table=table_of(config.bridge), options=bridge_options(config),
        blocks=address_blocks(config),
    )  # fmt: skip
    observation = Observation() if config.metrics_addr else None
    if observation is not None:
        observation.networks(networks)
    await networks.start()
    stack.callback(networks.close)

    runtime = _runtime(config, host)
    stack.callback(runtime.close)
    group = await stack.enter_async_context(_tasks())
    logs = Logs(group.create_task)
    stack.callback(logs.close)
    around = _surroundings(config, host, db, bus, runtime, images, snapshots, networks, trash, logs)
    around.log_default = config.log_config
    around.networking.remap = remap
    images.uses = around.image_users
    containers = Containers(around, lambda owner: _spawn(group, owner))
    execs = Execs(around, group)
    checks = Checks(execs, group, Recovery(containers, group).begin)
    keeping = LogKeeping(around, logs)
    around.on_start, around.on_end = (keeping.begin, checks.begin), (keeping.end, checks.end)
    await Adoption(around, lambda owner: _spawn(group, owner), BringUp(around, group)).adopt()
    keeping.resume()

    builder = Builder(
        images, snapshots, store, Steps(around), Fetcher(_USER_AGENT), db, bus, os.path.join(config.data_root, "build"),
        platform, around.now_ns,
    )  # fmt: skip
    images.kept = builder.cache.blobs
    await images.recover()
    engine = Engine(
        around, containers, execs, Processes(containers, host), Files(around), Commits(around),
        Checkpoints(around, containers, enabled=config.experimental), keeping, images, networks,
        around.volumes, registry, bus,
    )  # fmt: skip
    return _serving(engine, builder, config, checks, observation)


def _runtime(config: Config, host: Host) -> Runtime:
    own = own_runtime(config)
    known = own in host.programs or "/" in own
    return Runtime(host, config.exec_root, own if known else "runc", runtime_programs(config), default_label(config))


def _surroundings(
    config: Config,
    host: Host,
    db: Database,
    bus: Bus,
    runtime: Runtime,
    images: Images,
    snapshots: Snapshots,
    networks: Networks,
    trash: Trash,
    logs: Logs,
) -> Surroundings:
    owners: dict[str, Owner] = {}

    def lookup(id: str) -> Container | None:
        return owners[id].record if id in owners else None

    def users(volume: str) -> Sequence[str]:
        return around.volume_users(volume)

    networking = Networking(networks, lambda id: around.directory(id), lookup)
    volumes = Volumes(os.path.join(config.data_root, "volumes"), db, bus, users)
    around = Surroundings(
        host,
        db,
        bus,
        runtime,
        images,
        snapshots,
        networking,
        volumes,
        logs,
        config.data_root,
        trash.throw,
        config.cgroup_parent.strip("/"),
        container_defaults(config),
        owners,
    )
    return around


def _serving(
    engine: Engine, builder: Builder, config: Config, checks: Checks, observation: Observation | None
) -> Running:
    live = Live(config, engine, _engine_id(config))
    system = SystemRoutes(engine, builder.cache, live.shown())
    live.on_change = system.show
    groups = (
        ContainerRoutes(engine), CheckpointRoutes(engine), StreamRoutes(engine), ArchiveRoutes(engine), ImageRoutes(engine), NetworkRoutes(engine),
        BuildRoutes(builder, engine.images), system,
    )  # fmt: skip
    routes = [route for group in groups for route in group.routes()]
    headers = [
        ("Api-Version", "1.56"), (EXPERIMENTAL, str(config.experimental).lower()), ("Ostype", "linux"),
        ("Server", SERVER),
    ]  # fmt: skip
    least = system.shown.min_version
    if observation is None:
        return Running(App(routes, headers, least), None, live)
    return Running(
        App(observation.routes(routes), headers, least), observation.handler(engine, checks, system.shown.id), live
    )


def _spawn(group: asyncio.TaskGroup, owner: Owner) -> None:
    group.create_task(owner.run(), name=f"owner-{owner.record.id[:12]}")


class _Tasks(asyncio.TaskGroup):
    """A task that fails is told of and ends alone: a fault of one container's must not end the daemon and all the others."""

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        return super().create_task(_told(coro), **options)


async def _told(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except Exception:
        log.exception("a task has failed")


@asynccontextmanager
async def _tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose tasks are cancelled, not awaited, at the end: owners never finish by themselves."""
    started: asyncio.Future[asyncio.TaskGroup] = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        async with _Tasks() as group:
            started.set_result(group)
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    try:
        yield await started
    finally:
        holder.cancel()
        await asyncio.wait([holder])
