"""What every owner has around it: the services it calls and the paths it writes to. Made once, by the composition root."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from naru.containers.defaults import Defaults, at_start
from naru.containers.launch import every_device, host_devices
from naru.containers.monitor import Runtime
from naru.containers.networking import Networking
from naru.containers.records import Container, MountPoint
from naru.containers.runtimespec import Spec, host_capabilities
from naru.errors import Conflict, InvalidArgument, NotFound
from naru.events import Bus, Event
from naru.images.service import Images
from naru.images.values import Use
from naru.linux.host import Host
from naru.oci.image import load_json
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database
from naru.volumes.service import Volumes

if TYPE_CHECKING:
    from naru.containers.owner import Owner

_JOINABLE = (("pid", "pid_mode"), ("ipc", "ipc_mode"))


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
    data_root: str
    erase: Callable[[str], None]  # deletes a directory; it need not have ended when it returns
    cgroup_parent: str = "naru"
    defaults: Defaults = field(default_factory=Defaults)
    owners: dict[str, Owner] = field(default_factory=dict)  # by container id
    names: dict[str, str] = field(default_factory=dict)  # name → id; reserved names too
    _leaving: set[str] = field(default_factory=set)  # containers on their way out, whose volumes are in use no more
    on_start: Callable[[Owner], None] = lambda owner: None
    on_end: Callable[[Owner], None] = lambda owner: None

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

    def volume_users(self, name: str) -> list[str]:
        """Ids of the containers that have this volume."""
        return [
            id for id, owner in self.owners.items()
            if id not in self._leaving and any(mount.name == name and mount.kind == "volume" for mount in owner.record.mounts)
        ]  # fmt: skip

    def image_users(self) -> list[Use]:
        """Which containers stand on which images."""
        records = [owner.record for owner in self.owners.values()]
        return [Use(r.id, r.image_id, r.config.image, r.state.status.is_live) for r in records if r.image_id]

    def actual_mounts(self, record: Container) -> tuple[MountPoint, ...]:
        """The record's mounts with what is really mounted for a volume that has options of its own."""
        out = []
        for mount in record.mounts:
            if mount.kind == "volume" and mount.name and not mount.subpath and self.volumes.resolve(mount.name).options:
                real = self.volumes.mount(mount.name)
                kind = "tmpfs" if real.kind == "tmpfs" else "volume"
                writable = mount.writable and not real.read_only
                mount = replace(
                    mount, kind=kind, source=real.source, options=real.options, writable=writable, copy_up=False
                )
            elif mount.kind == "bind" and not os.path.lexists(mount.source):
                if mount.from_config:
                    raise InvalidArgument(
                        f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
                    )
                os.makedirs(mount.source)
            out.append(mount)
        return tuple(out)

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
        self.on_start(owner)

    def before_end(self, owner: Owner) -> None:
        self.on_end(owner)

    # -- what a launch needs to know of the rest of the world --------------------------------------------------------

    def joined_namespaces(self, record: Container) -> tuple[tuple[str, str], ...]:
        """Namespaces of other containers that this one joins: (type, path)."""
        out = []
        for kind, attribute in _JOINABLE:
            mode: str = getattr(record.host, attribute)
            if mode.startswith("container:"):
                other = self.owners.get(mode.removeprefix("container:"))
                if other is None:
                    raise NotFound(f"No such container: {mode.removeprefix('container:')}")
                if not other.record.state.status.is_live:
                    raise Conflict(f"cannot join {kind} namespace of a non running container: {other.record.id}")
                out.append((kind, f"/proc/{other.record.state.pid}/ns/{kind}"))
        return tuple(out)

    def init_program(self, record: Container) -> str | None:
        if not record.host.init:
            return None
        if self.defaults.init_path:
            return self.defaults.init_path
        for name in ("docker-init", "tini", "catatonit"):
            if name in self.host.programs:
                return self.host.programs[name]
        raise InvalidArgument("--init was asked for, but no init program (docker-init, tini or catatonit) is installed")

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the host can give at all."""
        return tuple(host_capabilities(self.host.capabilities))

    def devices(self, record: Container) -> tuple[Spec, ...]:
        requests = [
            (d.path_on_host, d.path_in_container, "".join(c for c in d.cgroup_permissions if c in "rwm") or "rwm")
            for d in record.host.devices or []
            if not (record.host.privileged and d.path_on_host == d.path_in_container)  # it has that one already
        ]
        if record.host.privileged:
            requests = every_device() + requests
        if record.host.device_requests:
            first = record.host.device_requests[0]
            words = " ".join(f"[{' '.join(group)}]" for group in first.capabilities or [])
            raise InvalidArgument(f'could not select device driver "{first.driver}" with capabilities: [{words}]')
        return host_devices(requests)

    @staticmethod
    def seccomp(record: Container) -> Spec | None:
        """None for the default profile, {} for none at all, else the user's own."""
        for option in record.host.security_opt or []:
            key, _, value = option.replace(":", "=", 1).partition("=")
            if key == "seccomp" and value == "unconfined":
                return {}
            if key == "seccomp" and value != "builtin":
                try:
                    return load_json(value.encode(), "seccomp profile")
                except InvalidArgument as error:
                    raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from error
        return None
