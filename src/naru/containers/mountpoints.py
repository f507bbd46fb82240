"""From what a client wrote (`-v`, `--mount`, `--tmpfs`, VOLUME in the image) to the container's mount points.

Pure: volumes are named here, not made. Sources: Docker's volume syntax `[source:]target[:mode,…]`, HostConfig.Mounts,
HostConfig.Tmpfs, Config.Volumes; a target may be used once (a bind or mount wins over a VOLUME of the image).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from naru.containers import tmpfs
from naru.containers.records import MountPoint
from naru.errors import Internal, InvalidArgument
from naru.wire.container import Config, HostConfig, MountRequest

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_BIND_KINDS = {  # of each kind a bind's mode may have one word
    **dict.fromkeys(("ro", "rw"), "access"),
    **dict.fromkeys(("z", "Z"), "label"),
    "nocopy": "copy",
    **dict.fromkeys(("cached", "delegated", "consistent"), "consistency"),
    **dict.fromkeys(PROPAGATIONS, "propagation"),
}


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
    own_propagation: bool = False  # of a bind: asked for, and not the default
    gives_way: bool = False  # a VOLUME: anything else that is mounted there goes before it


def wanted(config: Config, host: HostConfig) -> list[Wanted]:
    """Every mount asked for, in the order binds, mounts, tmpfs, image volumes. Raises InvalidArgument or Internal."""
    out: dict[str, Wanted] = {}

    def add(item: Wanted) -> None:
        if item.point.destination in out:
            raise InvalidArgument(f"Duplicate mount point: {item.point.destination}")
        out[item.point.destination] = item

    temporary = {item.point.destination: item for item in _tmpfs_mounts(host)}
    for text in host.binds or []:
        item = parse_bind(text, host.volume_driver)
        if item.point.destination in temporary:
            raise InvalidArgument(f"Duplicate mount point: {item.point.destination}")
        add(item)
    for request in host.mounts or []:
        add(parse_mount(request))
    for target in config.volumes or {}:
        destination = _clean(target)
        if destination not in out and destination not in temporary:
            point = MountPoint(
                "volume", "", destination, anonymous=True, copy_up=True, driver=host.volume_driver or "local"
            )
            out[destination] = Wanted(point, "", host.volume_driver, gives_way=True)
    return [*out.values(), *temporary.values()]


def _tmpfs_mounts(host: HostConfig) -> Iterator[Wanted]:
    """Those of `--tmpfs`. What their options say is looked at when the container is started."""
    for target, options in (host.tmpfs or {}).items():
        if not target.startswith("/"):
            raise InvalidArgument(f"invalid mount path: '{target}' mount path must be absolute")
        if posixpath.normpath(target) in ("/", "//"):
            raise InvalidArgument("invalid specification: destination can't be '/'")
        words = tmpfs.split(options)
        yield Wanted(MountPoint("tmpfs", "", _clean(target), "ro" not in words, options=words, from_config=True))


def with_others(own: Iterable[Wanted], others: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """One's own mounts and those of other containers (`--volumes-from`): of two at a target one's own, else the later."""
    theirs = {item.point.destination: item for item in others}
    kept = [item for item in own if not (item.gives_way and item.point.destination in theirs)]
    taken = {item.point.destination for item in kept}
    return (*kept, *(item for item in theirs.values() if item.point.destination not in taken))


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
        point = MountPoint("bind", source, destination, writable, mode=mode, propagation=propagation or "rprivate")
        return Wanted(point, make_source=True, own_propagation=bool(propagation))
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
        kind = _BIND_KINDS.get(option)
        if kind is None or kind in seen:
            raise Internal(f"invalid mode: {mode}")
        seen.add(kind)
        writable = writable and option != "ro"
        copy = copy and option != "nocopy"
        propagation = option if kind == "propagation" else propagation
    for what, field in (("copy", "VolumeOptions"), ("propagation", "BindOptions")):
        if what in seen and is_bind is (what == "copy"):
            owner = "bind" if is_bind else "volume"
            raise Internal(
                f"invalid volume specification: '{text}': invalid mount config for type \"{owner}\": field {field} must not be specified"
            )
    return writable, propagation, copy


def parse_volumes_from(text: str) -> tuple[str, bool]:
    """`container[:mode]` → (container, whether its volumes stay writable here). Raises InvalidArgument."""
    if not text:
        raise InvalidArgument("volumes-from specification cannot be an empty string")
    name, _, mode = text.partition(":")
    words = mode.split(",") if mode else []
    kinds = [_BIND_KINDS.get(word) for word in words]
    if not set(kinds) <= {"access", "label", "consistency"} or len(set(kinds)) < len(kinds):
        raise InvalidArgument(f"invalid mode: {mode}")
    return name, "ro" not in words


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
    for name, options, owner in (("BindOptions", request.bind_options, "bind"), ("VolumeOptions", request.volume_options, "volume"), ("TmpfsOptions", request.tmpfs_options, "tmpfs")):  # fmt: skip
        if options is not None and kind != owner:
            raise InvalidArgument(f'{name} must not be specified on mount type "{kind}"')
    if request.image_options is not None and kind != "image":
        raise InvalidArgument(f"{where}field ImageOptions must not be specified")
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
    if options is not None:
        point = replace(
            point, recursive=not options.non_recursive, read_only_non_recursive=options.read_only_non_recursive,
            read_only_force_recursive=options.read_only_force_recursive,
        )  # fmt: skip
    made = bool(options and options.create_mountpoint)
    return Wanted(point, make_source=made, own_propagation=bool(propagation))


def _volume_mount(request: MountRequest, base: MountPoint, where: str) -> Wanted:
    options = request.volume_options
    subpath = options.subpath if options else ""
    _check_subpath(subpath, where)
    if subpath and not request.source:
        raise InvalidArgument(f"{where}must not set Subpath when using anonymous volumes")
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


def _check_subpath(subpath: str, where: str) -> None:
    if subpath and (subpath.startswith("/") or posixpath.normpath(subpath).split("/")[0] == ".."):
        raise InvalidArgument(f"{where}subpath must be a relative path within the volume")


def _tmpfs_mount(request: MountRequest, base: MountPoint, where: str) -> Wanted:
    if request.source:
        raise InvalidArgument(f"{where}field Source must not be specified")
    return Wanted(replace(base, options=tmpfs.requested(request.tmpfs_options, request.read_only, where)))


def _image_mount(request: MountRequest, base: MountPoint, where: str) -> Wanted:
    if not request.source:
        raise InvalidArgument(f"{where}field Source must not be empty")
    subpath = request.image_options.subpath if request.image_options else ""
    _check_subpath(subpath, where)
    point = replace(base, name=request.source, writable=False, subpath=subpath, propagation="rprivate")
    return Wanted(point, image=request.source)


_MOUNTS = {"bind": _bind_mount, "volume": _volume_mount, "tmpfs": _tmpfs_mount, "image": _image_mount}
