"""Devices of the host, looked up when a container is started: what `--device` gives, what a privileged one has, block devices of limits.

All raise Internal, as Docker does: it takes a device that is not there for a fault of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from naru.errors import Internal
from naru.wire.container import Device, Resources

Spec = dict[str, Any]
_NO_DEVICES = {"pts", "shm", "fd", "mqueue"}  # folders of /dev that are mounts of a container's own
_MADE_BY_RUNTIME = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console")}
_ADDING = "error gathering device information while adding custom device "


def every_device() -> list[Device]:
    """All devices of the host, but those that the runtime makes itself."""
    found = []
    for folder, folders, names in os.walk("/dev"):
        folders[:] = [name for name in folders if name not in _NO_DEVICES]
        for path in (os.path.join(folder, name) for name in names):
            if path not in _MADE_BY_RUNTIME:
                with suppress(FileNotFoundError):
                    if _kind(os.lstat(path).st_mode):
                        found.append(Device(path_on_host=path, path_in_container=path, cgroup_permissions="rwm"))
    return found


def _kind(mode: int) -> str:
    """`c`, `b`, or "" for what is no device."""
    return "c" if stat.S_ISCHR(mode) else "b" if stat.S_ISBLK(mode) else ""


def host_devices(requests: Sequence[Device]) -> tuple[Spec, ...]:
    """`linux.devices` entries, with `access` for the device cgroup; a folder means every device in it."""
    return tuple(spec for request in requests for spec in _found(request))


def _found(request: Device) -> Iterator[Spec]:
    on_host, inside = request.path_on_host, request.path_in_container
    access = request.cgroup_permissions
    if not os.path.isdir(on_host):
        yield node(on_host, inside, access)
        return
    base = os.path.realpath(on_host)
    for folder, _, names in os.walk(base):
        for name in names:
            path = os.path.join(folder, name)
            with suppress(FileNotFoundError):
                if _kind(os.stat(path).st_mode):
                    yield node(path, inside + path.removeprefix(base), access)


def node(on_host: str, inside: str, access: str) -> Spec:
    """One entry. Permissions are the host's. Raises Internal."""
    try:
        info = os.stat(on_host)
    except OSError as error:
        raise Internal(f'{_ADDING}"{on_host}": {os.strerror(error.errno or 0).lower()}') from error
    kind = _kind(info.st_mode)
    if not kind:
        raise Internal(f'{_ADDING}"{on_host}": not a device node')
    return {
        "path": inside, "type": kind, "major": os.major(info.st_rdev), "minor": os.minor(info.st_rdev),
        "fileMode": stat.S_IMODE(info.st_mode), "uid": info.st_uid, "gid": info.st_gid, "access": access,
    }  # fmt: skip


def limited(value: Resources) -> Mapping[str, tuple[int, int]]:
    """(major, minor) of every block device that a limit names, by path. Raises Internal."""
    found = {}
    weights, throttles = value.blkio_weight_device or [], (
        value.blkio_device_read_bps, value.blkio_device_write_bps, value.blkio_device_read_iops, value.blkio_device_write_iops,
    )  # fmt: skip
    for path in (*(w.path for w in weights), *(t.path for entries in throttles for t in entries or [])):
        try:
            number = os.stat(path).st_rdev
        except OSError as error:
            raise Internal(f"stat {path}: {os.strerror(error.errno or 0).lower()}") from error
        found[path] = os.major(number), os.minor(number)
    return found
