"""`--volume`, `--mount` and `--tmpfs` of run and create as the API's Binds, Volumes, Tmpfs and Mounts.

Pure but for the working directory, which relative sources start from. Readers raise ValueError with Docker's words.
"""

from __future__ import annotations

import os

from naru.cli.units import read_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

_TYPES = ("bind", "volume", "tmpfs", "image", "cluster", "npipe")

# key of --mount: (options object of the API, field in it, reader); "" = the mount itself
_FIELDS: dict[str, tuple[str, str, Any]] = {
    "type": ("", "Type", str.lower),
    "source": ("", "Source", str),
    "target": ("", "Target", str),
    "readonly": ("", "ReadOnly", bool),
    "consistency": ("", "Consistency", str.lower),
    "bind-propagation": ("BindOptions", "Propagation", str.lower),
    "bind-nonrecursive": ("BindOptions", "NonRecursive", bool),
    "bind-create-src": ("BindOptions", "CreateMountpoint", bool),
    "volume-subpath": ("VolumeOptions", "Subpath", str),
    "volume-nocopy": ("VolumeOptions", "NoCopy", bool),
    "image-subpath": ("ImageOptions", "Subpath", str),
    "tmpfs-size": ("TmpfsOptions", "SizeBytes", read_size),
    "tmpfs-mode": ("TmpfsOptions", "Mode", lambda text: int(text, 8)),
}
_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_RECURSIVE: dict[str, Json] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def absolute(path: str) -> str:
    """path from the working directory, if it is written as relative (`./x`, `.`)."""
    return os.path.abspath(path) if path.startswith(".") else path


def add_volume(text: str, body: Json, host: Json) -> None:
    """-v: an anonymous volume (`/data`) or a bind (`name:/data`, `/host:/data:ro`, `./here:/data`)."""
    source, colon, rest = text.partition(":")
    if not source and colon:
        raise ValueError(f"invalid volume specification: '{text}'")
    if not colon:
        body.setdefault("Volumes", {})[text] = {}
    else:
        host.setdefault("Binds", []).append(f"{absolute(source)}:{rest}")


def split_csv(text: str) -> list[str]:
    """Fields of a line of comma-separated values, in which quotes protect commas and a doubled quote is one (RFC 4180)."""
    fields, current, quoted, position = [], "", False, 0
    while position < len(text):
        character = text[position]
        if character == '"' and quoted and text[position + 1 : position + 2] == '"':
            current += '"'
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            fields.append(current)
            current = ""
        else:
            current += character
        position += 1
    return [*fields, current]


def _read(key: str, value: str, has_value: bool, reader: Any) -> Any:
    if reader is not bool:
        try:
            return reader(value)
        except ValueError as error:
            raise ValueError(f"invalid value for {key}: {value}") from error
    if not has_value or value in ("1", "true", "True", "TRUE", "t", "T"):
        return True
    if value in ("0", "false", "False", "FALSE", "f", "F"):
        return False
    raise ValueError(f"invalid value for {key}: {value}")


def read_mount(text: str) -> Json:
    """One --mount."""
    mount: Json = {"Type": "volume"}
    for field in split_csv(text):
        name, equals, value = field.partition("=")
        key = _SYNONYMS.get(name.strip().lower(), name.strip().lower())
        if not equals and (key not in _FIELDS or _FIELDS[key][2] is not bool):
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        if key in _FIELDS:
            group, wire, reader = _FIELDS[key]
            target = mount.setdefault(group, {}) if group else mount
            target[wire] = _read(name, value, bool(equals), reader)
        elif key == "bind-recursive":
            if value not in _RECURSIVE:
                raise ValueError(
                    f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or "readonly")'
                )
            mount.setdefault("BindOptions", {}).update(_RECURSIVE[value])
        elif key == "volume-driver":
            mount.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})["Name"] = value
        elif key in ("volume-opt", "volume-label"):
            options = mount.setdefault("VolumeOptions", {})
            kept = (
                options.setdefault("DriverConfig", {}).setdefault("Options", {})
                if key == "volume-opt"
                else options.setdefault("Labels", {})
            )
            option, _, setting = value.partition("=")
            kept[option] = setting
        else:
            raise ValueError(f"unexpected key '{name}' in '{field}'")
    _check(mount)
    return mount


def _check(mount: Json) -> None:
    kind = mount["Type"]
    if kind not in _TYPES:
        raise ValueError(f"invalid mount type: '{kind}'")
    if not mount.get("Target"):
        raise ValueError("target is required")
    for group in ("BindOptions", "VolumeOptions", "ImageOptions", "TmpfsOptions"):
        if group in mount and group.lower() != f"{kind}options":
            raise ValueError(f"cannot mix '{group[:-7].lower()}-*' options with mount type '{kind}'")
    if kind == "bind":
        mount["Source"] = absolute(mount.get("Source", ""))


def read_tmpfs(text: str) -> tuple[str, str]:
    """--tmpfs: (path, options)."""
    path, _, options = text.partition(":")
    return path, options
