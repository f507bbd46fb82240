"""Devices as vendors describe them: the Container Device Interface (CDI 1.1, SPEC.md), read from /etc/cdi and /var/run/cdi.

A device is named `vendor/class=name`. What a specification says of it is put into the runtime spec as it is: environment,
device nodes, mounts, hooks, groups. Files are JSON or YAML. Errors are Internal, in Docker's words: they come up when the container is started.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naru.containers.devices import node
from naru.errors import Internal
from naru.wire.container import DeviceRequest

log = logging.getLogger(__name__)
Json = dict[str, Any]
FOLDERS = ("/etc/cdi", "/var/run/cdi")  # the later ones go before the earlier ones
_KIND = re.compile(r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_GPU_VENDORS = ("nvidia.com", "amd.com")  # whose devices `--gpus` means, if a file of theirs is there
_FAILED = "CDI device injection failed: "
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer")
_LIMIT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Edits:
    """What a set of devices changes in a runtime spec, in its words (config.md); devices have `access` besides."""

    env: tuple[str, ...] = ()
    devices: tuple[Json, ...] = ()
    mounts: tuple[Json, ...] = ()
    hooks: tuple[tuple[str, Json], ...] = ()  # (name of the list, hook)
    groups: tuple[int, ...] = ()

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.env + other.env, self.devices + other.devices, self.mounts + other.mounts, self.hooks + other.hooks,
            self.groups + other.groups,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Registry:
    """Devices by qualified name: (the edits of their kind, their own)."""

    devices: Mapping[str, tuple[Json, Json]]

    def vendors(self) -> set[str]:
        return {name.partition("/")[0] for name in self.devices}

    def edits(self, names: Sequence[str]) -> Edits:
        """Those of a kind once, of each device, in order. Raises Internal."""
        missing = [name for name in names if name not in self.devices]
        if missing:
            raise Internal(f"{_FAILED}unresolvable CDI devices {', '.join(missing)}")
        out, kinds = Edits(), set()
        for name in names:
            shared, own = self.devices[name]
            kind = name.partition("=")[0]
            out += Edits() if kind in kinds else _edits(shared)
            kinds.add(kind)
            out += _edits(own)
        return out


def read(folders: Iterable[str] = FOLDERS) -> Registry:
    """What is installed now. A file that is none of ours is passed over, and said so; two of one folder that name the same
    device cancel each other, for nobody can know which is meant."""
    found: dict[str, tuple[Json, Json]] = {}
    for folder in folders:
        here: dict[str, tuple[Json, Json]] = {}
        twice: set[str] = set()
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            for device, edits in _read_file(f"{folder}/{name}"):
                if device in here:
                    log.warning("CDI device %s is described twice in %s: neither counts", device, folder)
                    twice.add(device)
                here[device] = edits
        found |= {device: edits for device, edits in here.items() if device not in twice}
        for device in twice:
            found.pop(device, None)
    return Registry(found)


def _read_file(path: str) -> list[tuple[str, tuple[Json, Json]]]:
    parse = next((parse for ending, parse in _FORMATS.items() if path.endswith(ending)), None)
    if parse is None:
        return []
    try:
        with open(path, "rb") as file:
            value = parse(file.read(_LIMIT_BYTES))
        kind = value["kind"]
        if not _KIND.fullmatch(kind):
            raise ValueError(f"invalid kind {kind!r}")
        shared = value.get("containerEdits") or {}
        return [
            (f"{kind}={device['name']}", (shared, device.get("containerEdits") or {})) for device in value["devices"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is passed over: no CDI specification: %r", path, error)
        return []


def _parse_yaml(data: bytes) -> Any:
    """Raises ValueError."""
    import yaml  # noqa: PLC0415 - few hosts have such files, and no other start of the daemon is to wait for it

    try:
        return yaml.load(data, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


_FORMATS: dict[str, Callable[[bytes], Any]] = {".json": json.loads, ".yaml": _parse_yaml, ".yml": _parse_yaml}


def _edits(value: Json) -> Edits:
    """`containerEdits` → Edits; what is missing of a device node is the host's. Raises Internal."""
    for field in ("netDevices", "intelRdt"):
        if value.get(field):
            raise Internal(f"{_FAILED}containerEdits.{field} is not supported")
    try:
        return Edits(
            env=tuple(map(str, value.get("env") or [])),
            devices=tuple(_node(entry) for entry in value.get("deviceNodes") or []),
            mounts=tuple(_mount(entry) for entry in value.get("mounts") or []),
            hooks=tuple(_hook(entry) for entry in value.get("hooks") or []),
            groups=tuple(int(group) for group in value.get("additionalGids") or [] if group),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Internal(f"{_FAILED}invalid containerEdits: {error!r}") from error


def _node(entry: Json) -> Json:
    path = entry["path"]
    known = {"path": path, "access": entry.get("permissions") or "rwm"}
    for theirs, ours in (("type", "type"), ("major", "major"), ("minor", "minor"), ("fileMode", "fileMode"), ("uid", "uid"), ("gid", "gid")):  # fmt: skip
        if entry.get(theirs) is not None:
            known[ours] = entry[theirs]
    if entry.get("type") == "p" or {"type", "major", "minor"} <= known.keys():
        return known
    return {**node(entry.get("hostPath") or path, path, ""), **known}


def _mount(entry: Json) -> Json:
    return {
        "source": entry["hostPath"], "destination": entry["containerPath"], "type": entry.get("type") or "bind",
        "options": list(entry.get("options") or []),
    }  # fmt: skip


def _hook(entry: Json) -> tuple[str, Json]:
    name = entry["hookName"]
    if name not in _HOOKS:  # nobody would run the others: the monitor starts and deletes without the runtime
        raise Internal(f"{_FAILED}hooks of kind {name!r} are not supported")
    hook = {"path": entry["path"]}
    hook |= {field: entry[field] for field in ("args", "env", "timeout") if entry.get(field) is not None}
    return name, hook


def named(requests: Sequence[DeviceRequest], registry: Registry) -> list[str]:
    """The CDI devices that requests mean, those of `--gpus` among them. Raises Internal for what no driver here can give."""
    names: list[str] = []
    for request in requests:
        if request.driver == "cdi":
            if request.count:
                raise Internal("unexpected count in CDI device request")
            if request.options:
                raise Internal("unexpected options in CDI device request")
            names += request.device_ids or []
        elif not request.driver and any(set(wanted) <= {"gpu"} for wanted in request.capabilities or []):
            names += _gpus(request, registry)
        else:
            words = " ".join(f"[{' '.join(group)}]" for group in request.capabilities or [])
            raise Internal(f'could not select device driver "{request.driver}" with capabilities: [{words}]')
    return names


def _gpus(request: DeviceRequest, registry: Registry) -> list[str]:
    vendor = next((vendor for vendor in _GPU_VENDORS if vendor in registry.vendors()), None)
    if vendor is None:
        raise Internal("failed to discover GPU vendor from CDI: no known GPU vendor found")
    ids = request.device_ids or (["all"] if request.count < 0 else [str(n) for n in range(request.count)])
    return [f"{vendor}/gpu={id}" for id in ids]
