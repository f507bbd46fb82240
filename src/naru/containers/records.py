"""What the engine knows about a container: frozen values, replaced whole by its owner task, read by everybody.

Pure: no clock, no I/O. Times are nanoseconds since 1970, 0 for never. `config` and `host` are what the client asked for,
with defaults filled in (`wire.container`); everything else is ours. The JSON of a record is what the database keeps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from naru.oci.digest import Digest
from naru.wire.container import Config, EndpointSettings, HostConfig
from naru.wire.decode import encode, from_builtins


class Status(Enum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"  # ended, and a restart is due
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"  # removal failed half-way; removing again finishes it

    @property
    def is_live(self) -> bool:
        """True while its processes exist."""
        return self in (Status.RUNNING, Status.PAUSED)


@dataclass(frozen=True, slots=True)
class State:
    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    restart_count: int = 0
    stopped_by_user: bool = False  # then `unless-stopped` stays down, also over a daemon's restart
    monitor_pid: int = 0
    monitor_start: int = 0  # field 22 of /proc/<pid>/stat: with the pid, names one process for ever
    log_count: int = 0
    renamed: bool = False  # while it ran; since then Docker tells its names on the default bridge too


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A mount of the container, as decided when it was created."""

    kind: str  # bind, volume, tmpfs, image
    source: str  # host path; for volumes their mount point
    destination: str
    writable: bool = True
    name: str = ""  # of the volume
    driver: str = ""
    mode: str = ""
    propagation: str = ""
    options: tuple[str, ...] = ()  # of tmpfs
    anonymous: bool = False  # a volume made for this container alone: goes with `rm -v` and `--rm`
    copy_up: bool = False  # fill an empty volume from the image at first start
    subpath: str = ""
    image_id: str = ""  # of an image: its target digest
    chain_id: str = ""  # of an image: its layers
    from_config: bool = False  # asked for by HostConfig.Mounts or Tmpfs: not listed as a bind
    recursive: bool = True  # of a bind: what is mounted below its source comes with it
    slave_by_default: bool = False  # nobody asked for its propagation: where a slave cannot be, it is private
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    id: str
    name: str  # without the slash
    created_ns: int
    image_id: str  # target digest; "" for none
    image_manifest: str  # JSON of the descriptor, as inspect shows it
    chain_id: Digest | None
    config: Config
    host: HostConfig
    networks: Mapping[str, EndpointSettings]  # by network name, in order of attachment
    mounts: tuple[MountPoint, ...]
    state: State = field(default_factory=State)

    @property
    def argv(self) -> tuple[str, ...]:
        """Entrypoint, then command: what is executed."""
        return (*(self.config.entrypoint or ()), *(self.config.cmd or ()))

    def with_state(self, **changes: Any) -> Container:
        return replace(self, state=replace(self.state, **changes))


def to_json(container: Container) -> str:
    state = {f.name: getattr(container.state, f.name) for f in fields(State)}
    state["status"] = container.state.status.value
    mounts = [{f.name: getattr(mount, f.name) for f in fields(MountPoint)} for mount in container.mounts]
    return encode(
        {
            "id": container.id, "name": container.name, "created_ns": container.created_ns,
            "image_id": container.image_id, "image_manifest": container.image_manifest, "chain_id": container.chain_id,
            "config": container.config, "host": container.host, "networks": dict(container.networks),
            "mounts": mounts, "state": state,
        }
    ).decode()  # fmt: skip


def from_json(text: str) -> Container:
    """Raises ValueError, KeyError or TypeError for what is no record."""
    value = json.loads(text)
    state = dict(value["state"])
    state["status"] = Status(state["status"])
    return Container(
        id=value["id"], name=value["name"], created_ns=value["created_ns"], image_id=value["image_id"],
        image_manifest=value["image_manifest"], chain_id=Digest(value["chain_id"]) if value["chain_id"] else None,
        config=from_builtins(value["config"], Config), host=from_builtins(value["host"], HostConfig),
        networks={name: from_builtins(s, EndpointSettings) for name, s in value["networks"].items()},
        mounts=tuple(MountPoint(**{**m, "options": tuple(m["options"])}) for m in value["mounts"]),
        state=State(**state),
    )  # fmt: skip
