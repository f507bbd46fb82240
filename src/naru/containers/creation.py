"""From a create request to a container's record: defaults from the image, the host, other containers and volumes.

`Creation.plan` is checks and values; `Creation.realise` makes volumes, the snapshot and the row, and undoes what it made
if one of them fails.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from naru.containers import defaults, limits, modes, remap, validate
from naru.containers.inherit import merge_image
from naru.containers.mountpoints import Wanted, parse_volumes_from, wanted, with_others
from naru.containers.names import generate_name
from naru.containers.placing import near
from naru.containers.records import Container, MountPoint, to_json
from naru.containers.restarts import ON_FAILURE_LABEL, on_failure
from naru.containers.surroundings import Surroundings
from naru.errors import Conflict, InvalidArgument, NotFound
from naru.images.values import Image
from naru.logs.options import merge
from naru.oci.image import dump_json, platform_json
from naru.wire.container import (
    Config,
    CreateRequest,
    EndpointSettings,
    HostConfig,
)
from naru.wire.decode import replace_struct, subset

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_LINKS_DEPRECATED = (
    "Links on the default bridge network are deprecated and will be removed in a future release. "
    "Use a custom network instead."
)


@dataclass(frozen=True, slots=True)
class Plan:
    record: Container
    mounts: tuple[Wanted, ...]
    warnings: tuple[str, ...]


class Creation:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def plan(self, name: str, request: CreateRequest, image: Image | None, *, flat_read_only: bool = False) -> Plan:
        """The record that this request would give. Raises InvalidArgument, NotFound, Conflict; makes nothing."""
        around = self._around
        config, host = subset(request, Config), request.host_config or HostConfig()
        modes.conflicts(config, host)
        limits.requested(host, around.host)
        host = replace_struct(host, log_config=merge(host.log_config, around.log_default))
        validate.config(config)
        host, warnings = limits.adapt(host, around.host)
        validate.host_config(host)
        around.runtime.programs.check(host.runtime)
        if around.networking.remap is not None:
            remap.check(host)
        id = secrets.token_hex(32)
        config = merge_image(config, image.config.run if image else {})
        if on_failure(config.labels) == "restart" and host.auto_remove:
            raise InvalidArgument(f"can't create 'AutoRemove' container with label {ON_FAILURE_LABEL}=restart")
        config = replace_struct(config, exposed_ports=defaults.exposed_ports(config.exposed_ports))
        host = defaults.fill(host, around.host, around.runtime.label, around.defaults)
        host = self._resolve_others(host)
        config = self._names(config, host, id)
        mounts = with_others(self._wanted(config, host, flat_read_only), self._volumes_from(host))
        networks = self._networks(config, host, request)
        for network, settings in networks.items():
            self._check_network(network, settings)
        if host.network_mode == "host" and any(host.port_bindings or {}):
            warnings = (*warnings, "Published ports are discarded when using host network mode")
        if host.links:
            warnings = (*warnings, _LINKS_DEPRECATED)
        record = Container(
            id=id,
            name=name,
            created_ns=around.now_ns(),
            image_id=str(image.id) if image else "",
            image_manifest=_manifest_json(image) if image else "",
            chain_id=image.chain_id if image else None,
            config=config,
            host=host,
            networks=networks,
            mounts=(),
        )
        if not record.argv:
            raise InvalidArgument("no command specified")
        return Plan(record, mounts, warnings)

    def _check_network(self, network: str, settings: EndpointSettings) -> None:
        """A network that does not exist yet is found missing at start, as Docker has it."""
        try:
            self._around.networking.check(network, settings)
        except NotFound:
            return
        except InvalidArgument as error:
            if str(error).startswith("invalid JSON"):
                raise
            raise InvalidArgument(f"invalid config for network {network}: {error}") from error

    def _resolve_others(self, host: HostConfig) -> HostConfig:
        """Modes and links that name other containers, by their full ids."""
        changes: dict[str, object] = {}
        for attribute in ("network_mode", "ipc_mode", "pid_mode"):
            mode: str = getattr(host, attribute)
            if mode.startswith("container:"):
                changes[attribute] = self._joined(mode, attribute)
        if host.links:  # elsewhere than on the default bridge they are the endpoint's, and these mean nothing
            changes["links"] = [self._link(text) for text in host.links] if _on_default_bridge(host) else None
        return replace_struct(host, **changes) if changes else host

    def _link(self, text: str) -> str:
        """`id:alias`. Raises InvalidArgument for a container that is not there."""
        target, _, alias = text.partition(":")
        try:
            return f"{self.find(target)}:{alias or target.removeprefix('/')}"
        except NotFound as error:
            raise InvalidArgument(f"could not get container for {target}: {error}") from error

    def _joined(self, mode: str, attribute: str) -> str:
        """`container:<name>` with the full id; Docker finds a missing one at create, a network's only at start."""
        wanted_name = mode.removeprefix("container:")
        if not wanted_name:
            return mode
        try:
            return f"container:{self.find(wanted_name)}"
        except NotFound as error:
            if attribute == "network_mode":
                return mode
            raise InvalidArgument(str(error)) from error

    def find(self, text: str) -> str:
        """The id that a name, id or unique id prefix means. Raises NotFound, InvalidArgument."""
        around = self._around
        if text in around.owners:
            return text
        bare = text.removeprefix("/")
        if bare in around.names and around.names[bare] in around.owners:
            return around.names[bare]
        found = [id for id in around.owners if id.startswith(text)] if text else []
        if len(found) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {text}")
        if not found:
            raise NotFound(f"No such container: {text}")
        return found[0]

    def _names(self, config: Config, host: HostConfig, id: str) -> Config:
        mode = host.network_mode
        hostname = config.hostname
        if not hostname:  # one that joins another's network takes its name when it is started
            hostname = self._around.host.name if mode == "host" or host.uts_mode == "host" else id[:12]
        return replace_struct(config, hostname=hostname)

    def _wanted(self, config: Config, host: HostConfig, flat_read_only: bool) -> Iterable[Wanted]:
        for item in wanted(config, host):
            if item.point.kind == "bind":
                point = near(item.point, self._around.data_root, asked=item.own_propagation)
                if flat_read_only and not point.writable:
                    point = replace(point, read_only_non_recursive=True)
                item = replace(item, point=point)
            yield item

    def _volumes_from(self, host: HostConfig) -> Iterable[Wanted]:
        for text in host.volumes_from or []:
            name, writable_here = parse_volumes_from(text)
            try:
                other = self._around.owners[self.find(name)].record
            except NotFound as error:
                raise InvalidArgument(str(error)) from error
            for mount in other.mounts:
                if mount.kind != "tmpfs":
                    yield Wanted(
                        replace(
                            mount, writable=mount.writable and writable_here, mode="", copy_up=False, anonymous=False
                        ),
                        mount.name if mount.kind == "volume" else None,
                    )

    def _networks(self, config: Config, host: HostConfig, request: CreateRequest) -> dict[str, EndpointSettings]:
        mode = host.network_mode
        asked = request.networking_config.endpoints_config if request.networking_config else None
        out = {
            "bridge" if name == "default" else name: settings or EndpointSettings()
            for name, settings in (asked or {}).items()
        }
        if config.network_disabled or mode.startswith("container:"):
            return {}
        if mode in ("host", "none"):
            if any(name != mode for name in out):
                raise InvalidArgument(
                    "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                )
            return {mode: out.get(mode, EndpointSettings())}
        if (
            out
            and mode not in out
            and mode == "bridge"
            and (request.host_config is None or request.host_config.network_mode in ("", "default"))
        ):
            out["bridge"] = EndpointSettings()
        elif mode not in out:
            out = {mode: EndpointSettings(), **out}
        if _MAC.fullmatch(config.mac_address) and not out[mode].mac_address:
            out[mode] = replace_struct(out[mode], mac_address=config.mac_address)
        return {mode: out[mode], **out}

    # -- effects ------------------------------------------------------------------------------------------------------

    def reserve(self, name: str) -> str:
        """Take a name (or make one up) before anything else is made. Raises InvalidArgument, Conflict."""
        names = self._around.names
        if not name:
            name = generate_name(names)
        else:
            name = validate.name(name)
        if name in names:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{names[name]}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        names[name] = ""
        return name

    def realise(self, plan: Plan, undo: AsyncExitStack) -> Container:
        """Volumes, snapshot, directory, row, which is not durable yet; each with its undo. Blocks a millisecond or two."""
        around, record = self._around, plan.record
        mounts = []
        for item in plan.mounts:
            mounts.append(self._realise_mount(item, record, undo))
        record = replace(record, mounts=tuple(mounts))
        around.snapshots.prepare(record.id, record.chain_id)
        undo.callback(around.snapshots.remove, record.id)
        os.makedirs(around.directory(record.id), mode=0o710)
        undo.callback(os.rmdir, around.directory(record.id))
        row = record.id, record.name, to_json(record)
        around.db.write("INSERT INTO container (id, name, record) VALUES (?, ?, ?)", *row)
        undo.callback(around.db.write, "DELETE FROM container WHERE id = ?", record.id)
        return record

    def _realise_mount(self, item: Wanted, record: Container, undo: AsyncExitStack) -> MountPoint:
        point, around = item.point, self._around
        if point.kind == "bind":
            if not os.path.lexists(point.source):
                if not item.make_source:
                    raise InvalidArgument(
                        f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
                    )
                os.makedirs(point.source)
            return point
        if item.image:
            image = around.images.resolve(item.image)
            top = around.snapshots.stack(image.chain_id)[0]
            return replace(point, source=top, image_id=str(image.id), chain_id=str(image.chain_id))
        if item.volume is None or point.kind == "tmpfs":
            return point
        fresh = not item.volume or not around.volumes.has(item.volume)
        volume = around.volumes.create(
            item.volume or None, driver=item.driver, options=dict(item.driver_options), labels=dict(item.labels) or None
        )
        if fresh:
            undo.push_async_callback(around.volumes.remove, volume.name)
        source = around.volumes.mountpoint(volume.name)
        return replace(point, name=volume.name, source=source, driver=point.driver or "local")


def empty_bindings(request: CreateRequest) -> tuple[str, ...]:
    """A warning about ports that are bound to nothing."""
    bindings = (request.host_config.port_bindings if request.host_config else None) or {}
    empty = sorted("/".join(map(str, validate.parse_port(port))) for port, given in bindings.items() if not given)
    if not empty:
        return ()
    return (
        f"Following container port(s) have an empty list of port-bindings: {', '.join(empty)}. Such bindings will be discarded in a "
        "future version.",
    )


def _manifest_json(image: Image) -> str:
    manifest = image.manifest.descriptor
    descriptor = (image.target if image.target.digest == manifest.digest else manifest).to_json()
    descriptor["platform"] = platform_json(image.config.platform)
    return dump_json(descriptor).decode()


def _on_default_bridge(host: HostConfig) -> bool:
    return host.network_mode in ("", "default", "bridge")
