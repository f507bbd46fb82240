"""What every owner has around it: the services it calls and the paths it writes to. Made once, by the composition root."""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from naru.containers import cdi, devices, modes, placing, seccompfile, securityopt, tmpfs
from naru.containers.apparmor import DEFAULT_PROFILE
from naru.containers.cdi import Edits
from naru.containers.defaults import Defaults, at_start
from naru.containers.monitor import Runtime
from naru.containers.networking import Networking
from naru.containers.records import Container, MountPoint
from naru.containers.runtimespec import Spec, capabilities, host_capabilities
from naru.errors import InvalidArgument, NotFound
from naru.events import Bus, Event
from naru.images.service import Images
from naru.images.values import Use
from naru.linux.cgroup import Cgroup
from naru.linux.host import Host
from naru.linux.mounts import Mount
from naru.linux.threads import in_own_thread
from naru.logs.service import Logs
from naru.oci.digest import Digest
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database
from naru.volumes.service import Volumes
from naru.wire.container import LogConfig
from naru.wire.decode import replace_struct

if TYPE_CHECKING:
    from naru.containers.owner import Owner


@dataclass(slots=True)
class Surroundings:
    host: Host
    db: Database
    bus: Bus
    runtime: Runtime
    images: Images
    snapshots: Snapshots
    networking: Networking
    volumes: Volumes
    logs: Logs
    data_root: str
    erase: Callable[[str], None]  # deletes a directory; it need not have ended when it returns
    cgroup_parent: str = "naru"
    defaults: Defaults = field(default_factory=Defaults)
    owners: dict[str, Owner] = field(default_factory=dict)  # by container id
    names: dict[str, str] = field(default_factory=dict)  # name → id; reserved names too
    _leaving: set[str] = field(default_factory=set)  # containers on their way out, whose volumes are in use no more
    log_default: LogConfig = field(
        default_factory=lambda: LogConfig(type="json-file")
    )  # of containers that ask for no other
    on_start: tuple[Callable[[Owner], None], ...] = ()
    on_end: tuple[Callable[[Owner], None], ...] = ()

    @staticmethod
    def now_ns() -> int:
        return time.time_ns()

    def effective(self, record: Container) -> Container:
        """As it is run: with what the daemon's configuration says where the record says nothing. Never stored or shown."""
        host = at_start(record.host, self.defaults)
        return record if host is record.host else replace(record, host=host)

    def directory(self, id: str) -> str:
        return os.path.join(self.data_root, "containers", id)

    def remove_directory(self, id: str) -> None:
        self.erase(self.directory(id))

    def log_path(self, record: Container) -> str | None:
        """None for the log driver `none`."""
        if record.host.log_config.type == "none":
            return None
        return os.path.join(self.directory(record.id), f"{record.id}.log")

    def cgroup_path(self, record: Container) -> str:
        """Beneath the root whatever the client wrote: what is at this path is killed and removed."""
        parent = record.host.cgroup_parent or self.cgroup_parent
        return posixpath.normpath(f"/{parent.strip('/')}/{record.id}")

    def cgroup(self, record: Container) -> Cgroup:
        return Cgroup(self.host, self.cgroup_path(record))

    def volume_users(self, name: str) -> list[str]:
        """Ids of the containers that have this volume."""
        return [
            id for id, owner in self.owners.items()
            if id not in self._leaving and any(mount.name == name and mount.kind == "volume" for mount in owner.record.mounts)
        ]  # fmt: skip

    def image_users(self) -> list[Use]:
        """Which containers stand on which images, or have them mounted."""
        records = [owner.record for owner in self.owners.values()]
        stand = [Use(r.id, r.image_id, r.config.image, r.state.status.is_live) for r in records if r.image_id]
        mounted = [(r, mount) for r in records for mount in r.mounts if mount.image_id]
        return stand + [Use(r.id, mount.image_id, mount.name, r.state.status.is_live) for r, mount in mounted]

    @staticmethod
    async def wait_sources(mounts: Sequence[MountPoint]) -> None:
        """The binds' sources answer when this returns. One on a file system whose server is away holds up its own container
        here, and not everybody."""
        sources = [mount.source for mount in mounts if mount.kind == "bind"]
        if sources:
            await in_own_thread(lambda: [os.path.lexists(source) for source in sources])

    def actual_mounts(self, record: Container) -> tuple[MountPoint, ...]:
        """The record's mounts with what is really mounted for a volume that has options of its own."""
        return tuple(self._actual(mount) for mount in record.mounts)

    def _actual(self, mount: MountPoint) -> MountPoint:
        if mount.kind == "volume" and mount.name:
            real = self.volumes.mount(mount.name)
            if not self.volumes.resolve(mount.name).options:
                return replace(mount, source=real.source)
            kind = "tmpfs" if real.kind == "tmpfs" else "volume"
            writable = mount.writable and not real.read_only
            return replace(mount, kind=kind, source=real.source, options=real.options, writable=writable, copy_up=False)
        if mount.kind == "tmpfs":
            return replace(mount, options=tmpfs.merge(mount.options))
        if mount.kind != "bind":
            return mount
        if not os.path.lexists(mount.source):
            if mount.from_config:
                raise InvalidArgument(
                    f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
                )
            os.makedirs(mount.source)
        return placing.check(mount)

    def image_layers(self, record: Container) -> dict[str, Sequence[Mount]]:
        """What to mount for the record's image mounts, by destination."""
        return {
            mount.destination: self.snapshots.view(Digest(mount.chain_id))
            for mount in record.mounts
            if mount.kind == "image" and mount.chain_id
        }

    def tell_volumes(self, record: Container, action: str) -> None:
        """`mount` and `unmount` events of the container's volumes."""
        for mount in record.mounts:
            if mount.kind == "volume":
                attributes = {"driver": mount.driver, "container": record.id}
                if action == "mount":
                    attributes |= {
                        "destination": mount.destination, "propagation": mount.propagation,
                        "read/write": "true" if mount.writable else "false",
                    }  # fmt: skip
                self.bus.publish(Event("volume", action, mount.name, self.now_ns(), attributes))

    def forget(self, owner: Owner) -> None:
        """The container is no more: its name is free, nobody finds it."""
        record = owner.record
        self.db.write("DELETE FROM container WHERE id = ?", record.id)
        self.owners.pop(record.id, None)
        self.runtime.programs.choose(record.id, "")
        if self.names.get(record.name) == record.id:
            del self.names[record.name]

    async def delete_files(self, record: Container, volumes: bool) -> None:
        """Root file system, directory, and with `volumes` the anonymous ones made for it. Raises OSError."""
        await self.networking.leave(record)
        await self.logs.forget(record.id)
        self.snapshots.remove(record.id)
        self.remove_directory(record.id)
        if volumes:
            for mount in record.mounts:
                if mount.anonymous and mount.name and self.volume_users(mount.name) in ([], [record.id]):
                    self._leaving.add(record.id)
                    try:
                        await self.volumes.remove(mount.name, force=True)
                    finally:
                        self._leaving.discard(record.id)

    def after_start(self, owner: Owner) -> None:
        for tell in self.on_start:
            tell(owner)

    def before_end(self, owner: Owner) -> None:
        for tell in self.on_end:
            tell(owner)

    # -- what a launch needs to know of the rest of the world --------------------------------------------------------

    def with_joined_name(self, record: Container) -> Container:
        """With the host name of the container whose network it joins."""
        donor = self.owners.get(modes.other(record.host.network_mode) or "")
        if donor is None:
            return record
        return replace(record, config=replace_struct(record.config, hostname=donor.record.config.hostname))

    def joined_namespaces(self, record: Container) -> tuple[tuple[str, str], ...]:
        """Namespaces of other containers that this one joins: (type, path). Raises what Docker does if one cannot be."""
        out = []
        for kind, mode, check in (
            ("pid", record.host.pid_mode, modes.check_pid),
            ("ipc", record.host.ipc_mode, modes.check_ipc),
        ):
            name = modes.other(mode)
            if name is None:
                continue
            if not name:
                raise InvalidArgument(f'failed to join {kind.upper()} namespace: invalid name or ID supplied: ""')
            donor = self.owners.get(name)
            if donor is None:
                raise NotFound(f"failed to join {kind.upper()} namespace: No such container: {name}")
            check(donor.record)
            out.append((kind, f"/proc/{donor.record.state.pid}/ns/{kind}"))
        return tuple(out)

    def init_program(self, record: Container) -> str | None:
        if not record.host.init:
            return None
        if self.defaults.init_path:
            return self.defaults.init_path
        for name in (
            "docker-init",
            "tini-static",
            "catatonit",
            "tini",
        ):  # a tini that needs libraries not every image has
            if name in self.host.programs:
                return self.host.programs[name]
        raise InvalidArgument("--init was asked for, but no init program (docker-init, tini or catatonit) is installed")

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the host can give at all."""
        return tuple(host_capabilities(self.host.capabilities))

    @staticmethod
    def devices(record: Container) -> tuple[Spec, ...]:
        host = record.host
        asked = list(host.devices or [])
        if host.privileged:  # it has those already that are to be where they are
            others = [
                replace_struct(d, cgroup_permissions="rwm") for d in asked if d.path_on_host != d.path_in_container
            ]
            asked = devices.every_device() + others
        return devices.host_devices(asked)

    def vendor_devices(self, record: Container) -> Edits:
        """What `--gpus` and CDI devices change. Specifications are read anew each time: they come and go with drivers."""
        requests = record.host.device_requests
        if not requests:
            return Edits()
        registry = cdi.read(self.defaults.cdi_folders or cdi.FOLDERS)
        return registry.edits(cdi.named(requests, registry))

    def seccomp(self, record: Container) -> Spec | None:
        """None for the default profile, {} for none at all, else the user's own."""
        text = securityopt.parse(record.host.security_opt or []).seccomp
        if text == securityopt.UNCONFINED:
            return {}
        if text in ("", "builtin"):
            return None
        bounding = capabilities(record, self.capabilities)
        return seccompfile.convert(text, bounding, self.host.machine, self.host.kernel_version) or {}

    def apparmor(self, record: Container) -> str:
        """The profile to run under; "" for none, and on hosts without AppArmor, where Docker takes any name too."""
        profile = self.shown_apparmor(record)
        off = not self.host.apparmor or record.host.privileged or profile == securityopt.UNCONFINED
        return "" if off else profile

    def shown_apparmor(self, record: Container) -> str:
        """The profile as inspect shows it."""
        asked = securityopt.apparmor(record.host.security_opt or [])
        if asked or not self.host.apparmor:
            return asked
        return securityopt.UNCONFINED if record.host.privileged else DEFAULT_PROFILE
