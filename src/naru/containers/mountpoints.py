"""From what a client wrote (`-v`, `--mount`, `--tmpfs`, VOLUME in the image) to the container's mount points.

Pure: volumes are named here, not made. Sources: Docker's volume syntax `[source:]target[:mode,…]`, HostConfig.Mounts,
HostConfig.Tmpfs, Config.Volumes; a target may be used once (a bind or mount wins over a VOLUME of the image).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, replace

from naru.containers.records import MountPoint
from naru.errors import Internal, InvalidArgument
from naru.wire.container import Config, HostConfig, MountRequest

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
_TMPFS_FLAGS = {
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "sync",
    "async",
    "noatime",
    "relatime",
    "strictatime",
}
_TMPFS_VALUES = {"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mount point, and for volumes how to make it: `volume` is its name ("" for an anonymous one)."""

    point: MountPoint
    volume: str | None = None
    driver: str = ""
    driver_options: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    make_source: bool = False  # a bind whose missing host directory Docker makes
    image: str = ""


def wanted(config: Config, host: HostConfig) -> list[Wanted]:
    """Every mount asked for, in the order binds, mounts, tmpfs, image volumes. Raises InvalidArgument or Internal."""
    out: dict[str, Wanted] = {}

    def add(item: Wanted) -> None:
        if item.point.destination in out:
            raise InvalidArgument(f"Duplicate mount point: {item.point.destination}")
        out[item.point.destination] = item

    for text in host.binds or []:
        add(parse_bind(text, host.volume_driver))
    for request in host.mounts or []:
        add(parse_mount(request))
    for target, options in (host.tmpfs or {}).items():
        add(Wanted(_tmpfs(target, options)))
    for target in config.volumes or {}:
        source, separator, rest = target.partition(":")
        if separator:
            add(parse_bind(f"{source}:{rest}", host.volume_driver))
            continue
        destination = _clean(target)
        if destination not in out:
            point = MountPoint(
                "volume", "", destination, anonymous=True, copy_up=True, driver=host.volume_driver or "local"
            )
            out[destination] = Wanted(point, "", host.volume_driver)
    return list(out.values())


def _clean(path: str) -> str:
    return posixpath.normpath(path) if path.startswith("/") else path


def parse_bind(text: str, volume_driver: str = "") -> Wanted:
    """`/host:/target:ro,z` or `name:/target` or `/target` (an anonymous volume)."""
    parts = text.split(":")
    if not text or len(parts) > 3 or not all(parts[:2]):
        raise Internal(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        source, target, mode = "", parts[0], ""
    else:
        source, target, mode = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    is_bind = source.startswith("/")
    writable, propagation, copy = _mode(mode, text, is_bind)
    where = (
        f"invalid volume specification: '{text}': invalid mount config for type \"{'bind' if is_bind else 'volume'}\": "
    )
    _check_target(target, where, Internal)
    destination = _clean(target)
    if is_bind:
        source = posixpath.normpath(source)
        return Wanted(
            MountPoint("bind", source, destination, writable, mode=mode, propagation=propagation or "rprivate"),
            make_source=True,
        )
    if source:
        check_volume_name(source)
    point = MountPoint(
        "volume", "", destination, writable, name=source, driver=volume_driver or "local", mode=mode or "z",
        anonymous=not source, copy_up=copy,
    )  # fmt: skip
    return Wanted(point, source, volume_driver)


def check_volume_name(name: str) -> None:
    if len(name) == 1 and _VOLUME_NAME.fullmatch(name):
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _VOLUME_NAME.fullmatch(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" '
            "are allowed. If you intended to pass a host directory, use absolute path"
        )


def _mode(mode: str, text: str, is_bind: bool) -> tuple[bool, str, bool]:
    """(writable, propagation, copy up)."""
    writable, propagation, copy = True, "", True
    seen: set[str] = set()
    for option in mode.split(",") if mode else []:
        kind = (
            "rw"
            if option in ("ro", "rw")
            else "label"
            if option in ("z", "Z")
            else "copy"
            if option in ("copy", "nocopy")
            else "propagation"
        )
        known = option in ("ro", "rw", "z", "Z", "copy", "nocopy", "cached", "delegated", "consistent", *PROPAGATIONS)
        if not known or kind in seen:
            raise Internal(f"invalid mode: {mode}")
        seen.add(kind)
        writable = option != "ro" if kind == "rw" else writable
        copy = option != "nocopy" if kind == "copy" else copy
        if option in PROPAGATIONS:
            propagation = option
            if not is_bind:
                raise Internal(
                    f"invalid volume specification: '{text}': invalid mount config for type \"volume\": field BindOptions must not be specified"
                )
    return writable, propagation, copy


def _check_target(target: str, where: str, kind: type[Internal] | type[InvalidArgument]) -> None:
    if not target:
        raise kind(f"{where}field Target must not be empty")
    if not target.startswith("/"):
        raise kind(f"{where}invalid mount path: '{target}' mount path must be absolute")
    if posixpath.normpath(target) in ("/", "//"):
        raise kind(f"{where}invalid specification: destination can't be '/'")


def parse_mount(request: MountRequest) -> Wanted:
    kind = request.type
    where = f'invalid mount config for type "{kind}": '
    if kind not in ("bind", "volume", "tmpfs", "image"):
        raise InvalidArgument(f"{where}mount type unknown")
    for name, options, owner in (("BindOptions", request.bind_options, "bind"), ("VolumeOptions", request.volume_options, "volume"), ("TmpfsOptions", request.tmpfs_options, "tmpfs"), ("ImageOptions", request.image_options, "image")):  # fmt: skip
        if options is not None and kind != owner:
            raise InvalidArgument(f'{name} must not be specified on mount type "{kind}"')
    _check_target(request.target, where, InvalidArgument)
    destination = _clean(request.target)
    base = MountPoint(kind, request.source, destination, not request.read_only, from_config=True)
    return _MOUNTS[kind](request, base, where)


def _bind_mount(request: MountRequest, base: MountPoint, where: str) -> Wanted:
    options = request.bind_options
    if not request.source:
        raise InvalidArgument(f"{where}field Source must not be empty")
    if not request.source.startswith("/"):
        raise InvalidArgument(f"{where}invalid mount path: '{request.source}' mount path must be absolute")
    propagation = options.propagation if options else ""
    if propagation and propagation not in PROPAGATIONS:
        raise InvalidArgument(f"{where}invalid propagation mode: {propagation}")
    point = replace(base, source=posixpath.normpath(request.source), propagation=propagation or "rprivate")
    return Wanted(point, make_source=bool(options and options.create_mountpoint))


def _volume_mount(request: MountRequest, base: MountPoint, where: str) -> Wanted:
    options = request.volume_options
    subpath = options.subpath if options else ""
    if subpath and (subpath.startswith("/") or ".." in subpath.split("/")):
        raise InvalidArgument(f"{where}subpath must be a relative path within the volume")
    if request.source:
        check_volume_name(request.source)
    driver = options.driver_config if options else None
    name = driver.name if driver else ""
    point = replace(
        base, source="", name=request.source, driver=name or "local", mode="z", anonymous=not request.source,
        copy_up=not (options and options.no_copy) and not subpath, subpath=subpath,
    )  # fmt: skip
    labels = tuple((options.labels or {}).items()) if options else ()
    return Wanted(point, request.source, name, tuple(((driver.options if driver else None) or {}).items()), labels)


def _tmpfs_mount(request: MountRequest, base: MountPoint, where: str) -> Wanted:
    if request.source:
        raise InvalidArgument(f"{where}field Source must not be specified")
    options = request.tmpfs_options
    words = list(_TMPFS_DEFAULTS)
    for option in (options.options if options else None) or []:
        if not option or option[0] not in _TMPFS_FLAGS or len(option) > 1:
            raise InvalidArgument(f"{where}invalid option: {option[0] if option else ''}")
        words.append(option[0])
    if options and options.size_bytes:
        words.append(f"size={options.size_bytes}")
    if options and options.mode:
        words.append(f"mode={options.mode:o}")
    if request.read_only:
        words.append("ro")
    return Wanted(replace(base, options=tuple(words)))


def _image_mount(request: MountRequest, base: MountPoint, where: str) -> Wanted:
    if not request.source:
        raise InvalidArgument(f"{where}field Source must not be empty")
    subpath = request.image_options.subpath if request.image_options else ""
    return Wanted(replace(base, name=request.source, writable=False, subpath=subpath), image=request.source)


_MOUNTS = {"bind": _bind_mount, "volume": _volume_mount, "tmpfs": _tmpfs_mount, "image": _image_mount}


def _tmpfs(target: str, options: str) -> MountPoint:
    if not target.startswith("/"):
        raise InvalidArgument(f"invalid mount path: '{target}' mount path must be absolute")
    words = [word for word in options.split(",") if word]
    for word in words:
        if word not in _TMPFS_FLAGS and word.partition("=")[0] not in _TMPFS_VALUES:
            raise InvalidArgument(f'invalid tmpfs option "{word}"')
    opposite = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}
    kept = [d for d in _TMPFS_DEFAULTS if not any(opposite.get(word) == d for word in words)]
    return MountPoint("tmpfs", "", _clean(target), "ro" not in words, options=(*kept, *words), from_config=True)
