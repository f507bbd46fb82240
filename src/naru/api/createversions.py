"""What a create request meant under the API version that its client speaks (docs/api/version-history of the Engine API). Pure.

A field that is younger than the client is dropped where clients sent it unknowingly, and refused where it would be a
promise; one that is gone is put where it went.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from naru.api.parameters import Version
from naru.errors import Internal, InvalidArgument
from naru.wire.container import CreateRequest, HostConfig, MountRequest
from naru.wire.decode import replace_struct

_INTERFACE_SYSCTL = re.compile(r"net\.[^.]+\.(?:conf|neigh)\.eth[0-9]+\..+")

_MAC_WARNING = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)


@dataclass(frozen=True, slots=True)
class Meaning:
    request: CreateRequest
    flat_read_only: bool  # read-only binds leave what is mounted below them writable
    tell_empty_bindings: bool
    warnings: tuple[str, ...]


def meaning(request: CreateRequest, version: Version) -> Meaning:
    """Raises InvalidArgument, Internal."""
    host = request.host_config
    if host is not None:
        _check_types(host)
        for mount in host.mounts or []:
            _check_mount(mount, version)
        if version >= (1, 46):  # before that they are set as they come, for the interface is there by then
            _check_sysctls(host)
    networks = request.networking_config.endpoints_config if request.networking_config else None
    if version < (1, 44) and len(networks or {}) > 1:
        names = ", ".join(sorted(networks or {}))
        raise InvalidArgument(f"Container cannot be created with multiple network endpoints: {names}")
    warnings: tuple[str, ...] = ()
    if version >= (1, 52):
        request = replace_struct(request, mac_address="")
    elif version >= (1, 44) and request.mac_address:
        warnings = (_MAC_WARNING,)
    if version < (1, 44) and request.healthcheck is not None:
        request = replace_struct(request, healthcheck=replace_struct(request.healthcheck, start_interval=0))
    if version < (1, 40) and host is not None and not host.ipc_mode:
        request = replace_struct(request, host_config=replace_struct(host, ipc_mode="shareable"))
    return Meaning(request, version < (1, 44), version >= (1, 52), warnings)


def _check_types(host: HostConfig) -> None:
    for name, value in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        if isinstance(value, str):
            raise InvalidArgument(
                f"invalid JSON: json: cannot unmarshal string into Go struct field HostConfig.HostConfig.{name} of type []string"
            )
    for size in host.console_size:
        if size < 0:
            raise InvalidArgument(
                f"invalid JSON: json: cannot unmarshal number {size} into Go struct field HostConfig.HostConfig.ConsoleSize of type uint"
            )


def _check_mount(mount: MountRequest, version: Version) -> None:
    bind, volume = mount.bind_options, mount.volume_options
    for since, asked, what in (
        ((1, 44), bind is not None and bind.read_only_force_recursive, "BindOptions.ReadOnlyForceRecursive"),
        ((1, 45), volume is not None and volume.subpath, "VolumeOptions.Subpath"),
        ((1, 48), mount.type == "image", 'Mount type "Image"'),
    ):
        if asked and version < since:
            raise InvalidArgument(f"{what} needs API v{since[0]}.{since[1]} or newer")


def _check_sysctls(host: HostConfig) -> None:
    for key in host.sysctls or {}:
        if _INTERFACE_SYSCTL.fullmatch(key):
            raise Internal(
                f'interface specific sysctl setting "{key}" must be supplied using driver option '
                "'com.docker.network.endpoint.sysctls'"
            )
