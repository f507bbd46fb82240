"""Volumes of the local driver: a directory `<root>/<name>/_data` each, or a mount that its options describe.

Owns `<root>` and the table `volume`. Who uses a volume is asked of `in_use`. A directory without a row (the database was
lost) is taken up again at start: it is the user's data. What a removed volume held goes by way of `<root>/.removed`, so
that a volume is there whole or not at all, whenever the power fails.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from naru.errors import Conflict, Internal, InvalidArgument, NotFound, Unsupported
from naru.events import Bus, Event
from naru.linux.erase import remove_tree
from naru.linux.files import sync_dir
from naru.linux.mounts import Mount
from naru.store.db import Database
from naru.volumes.records import ANONYMOUS, LOCAL, Volume, check_driver, check_name, check_options, decode, encode
from naru.wire.filters import Filters, check_keys, has_labels, name_matches, one_of

InUse = Callable[[str], Sequence[str]]  # name of a volume → ids of the containers that have it

_DATA, _REMOVED = "_data", ".removed"
_LIST_FILTERS = ("dangling", "driver", "label", "name")
_PRUNE_FILTERS = ("all", "label", "label!")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class Volumes:
    def __init__(self, root: str, db: Database, bus: Bus, in_use: InUse) -> None:
        self._root = root
        self._db = db
        self._bus = bus
        self._in_use = in_use
        os.makedirs(os.path.join(root, _REMOVED), mode=0o701, exist_ok=True)
        self._volumes = {name: decode(record) for name, record in db.rows("SELECT name, record FROM volume")}
        self._adopt()

    def _adopt(self) -> None:
        remove_tree(os.path.join(self._root, _REMOVED))
        os.mkdir(os.path.join(self._root, _REMOVED), 0o701)
        for name in os.listdir(self._root):
            data = os.path.join(self._root, name, _DATA)
            if name not in self._volumes and not name.startswith(".") and os.path.isdir(data):
                self._put(Volume(name, os.stat(data).st_mtime_ns))

    # -- reading

    def mountpoint(self, name: str) -> str:
        """Where the volume's directory is, as shown to users."""
        return os.path.join(self._root, name, _DATA)

    def has(self, name: str) -> bool:
        return name in self._volumes

    def resolve(self, name: str) -> Volume:
        """Raises NotFound."""
        try:
            return self._volumes[name]
        except KeyError as error:
            raise NotFound(f"get {name}: no such volume") from error

    def mount(self, name: str) -> Mount:
        """What gives the volume to a container. Raises NotFound, InvalidArgument (its device is missing), Unsupported.

        A tmpfs volume is empty in each container that mounts it.
        """
        options = self.resolve(name).options or {}
        if not options:
            return Mount("bind", self.mountpoint(name))
        kind, device, flags = (
            options["type"],
            options["device"],
            [flag for flag in options.get("o", "").split(",") if flag],
        )
        if kind == "tmpfs":
            return Mount("tmpfs", "tmpfs", tuple(flag for flag in flags if flag != "ro"), read_only="ro" in flags)
        if kind != "none":
            raise Unsupported(f"failed to mount local volume {name}: filesystem type {kind} is not supported")
        if not os.path.isdir(device):
            target = self.mountpoint(name)
            raise InvalidArgument(f"failed to mount local volume: mount {device}:{target}: no such file or directory")
        return Mount("bind", device, read_only="ro" in flags)

    def is_empty(self, name: str) -> bool:
        """True for a directory of ours without entries: the one case in which an image's content is copied in."""
        if self.resolve(name).options:
            return False
        with os.scandir(self.mountpoint(name)) as entries:
            return next(entries, None) is None

    async def size_bytes(self, name: str) -> int:
        """What the files of the volume hold, walked in a thread; 0 for a mount. Raises NotFound."""
        if self.resolve(name).options:
            return 0
        return await asyncio.to_thread(_usage, self.mountpoint(name))

    # -- changing

    def create(
        self,
        name: str | None = None,
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """A new volume, on disk when this returns; or the one that has this name already, if no other options are asked for.

        Raises InvalidArgument, NotFound (driver), Unsupported, Conflict (other options), Internal (the disk).
        """
        if not name:
            name, labels = secrets.token_hex(32), {**(labels or {}), ANONYMOUS: ""}
        check_name(name)
        check_driver(name, driver)
        check_options(name, options or {})
        known = self._volumes.get(name)
        if known is not None:
            if options and dict(options) != dict(known.options or {}):
                raise Conflict(f"create {name}: a volume of this name exists with other options")
            return known
        volume = Volume(
            name, time.time_ns(), LOCAL, dict(options) if options else None, None if labels is None else dict(labels)
        )
        with ExitStack() as undo:
            self._make_directory(name, undo)
            self._put(volume)
            undo.pop_all()
        self._tell("create", volume)
        return volume

    def _make_directory(self, name: str, undo: ExitStack) -> None:
        """Raises Internal."""
        path = os.path.join(self._root, name)
        if not os.path.lexists(path):
            undo.callback(remove_tree, path)
        try:
            os.makedirs(self.mountpoint(name), mode=0o755, exist_ok=True)
            os.chmod(path, 0o701)
            sync_dir(self._root)
        except OSError as error:
            reason = f"mkdir {error.filename or self._root}: {(error.strerror or '').lower()}"
            raise Internal(f"create {name}: error while creating volume root path: {reason}") from error

    async def remove(self, name: str, *, force: bool = False) -> None:
        """The volume and what it held are gone when this returns; what a bind volume points to is left alone.

        Raises NotFound (not with force), Conflict (in use), Internal (the disk).
        """
        if name not in self._volumes and force:
            return
        volume = self.resolve(name)
        if users := self._in_use(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        aside = os.path.join(self._root, _REMOVED, secrets.token_hex(8))
        try:
            os.rename(os.path.join(self._root, name), aside)
        except FileNotFoundError:
            aside = ""
        except OSError as error:
            raise Internal(f"remove {name}: {error.strerror}") from error
        sync_dir(self._root)  # or a power cut could leave the directory without its row, to be taken up again
        self._db.write("DELETE FROM volume WHERE name = ?", name, durable=True)
        del self._volumes[name]
        self._tell("destroy", volume)
        if aside:
            await asyncio.to_thread(remove_tree, aside)

    async def prune(self, filters: Filters, *, only_anonymous: bool = True) -> tuple[list[str], int]:
        """Remove unused volumes, those with a name only if `all` says so (or the caller, for old API versions): names
        and bytes freed. Raises InvalidArgument."""
        check_keys(filters, _PRUNE_FILTERS)
        everything = _truth("all", filters) or not only_anonymous
        names, freed = [], 0
        for name, volume in sorted(self._volumes.items()):
            if (
                self._in_use(name)
                or not (everything or volume.anonymous)
                or not has_labels(volume.labels or {}, filters.get("label", ()))
                or any(has_labels(volume.labels or {}, [label]) for label in filters.get("label!", ()))
            ):
                continue
            try:
                size = await self.size_bytes(name)
                await self.remove(name)
            except (Conflict, NotFound):  # taken, or removed, a moment ago
                continue
            names.append(name)
            freed += size
        self._bus.publish(Event("volume", "prune", "", time.time_ns(), {"reclaimed": str(freed)}))
        return names, freed

    def _put(self, volume: Volume) -> None:
        self._db.write("REPLACE INTO volume VALUES (?, ?)", volume.name, encode(volume), durable=True)
        self._volumes[volume.name] = volume

    def _tell(self, action: str, volume: Volume) -> None:
        self._bus.publish(Event("volume", action, volume.name, time.time_ns(), {"driver": volume.driver}))

    def list(self, filters: Filters) -> list[Volume]:
        """By name. Raises InvalidArgument."""
        check_keys(filters, _LIST_FILTERS)
        dangling = _truth("dangling", filters)
        return [
            volume
            for name, volume in sorted(self._volumes.items())
            if (dangling is None or dangling is not bool(self._in_use(name)))
            and one_of(filters.get("driver"), volume.driver.__eq__)
            and one_of(filters.get("name"), lambda value, name=name: name_matches(value, name))  # type: ignore[misc]
            and has_labels(volume.labels or {}, filters.get("label", ()))
        ]


def _usage(path: str) -> int:
    """As Docker counts: what files say their size is, hard links once, and nothing for directories."""
    total, seen = 0, set()
    for folder, _, files in os.walk(path):
        for name in files:
            status = os.lstat(os.path.join(folder, name))
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def _truth(key: str, filters: Filters) -> bool | None:
    """The one boolean value of a filter; None if it is not given."""
    values = list(filters.get(key, ()))
    if not values:
        return None
    if len(values) == 1 and values[0] in (*_TRUE, *_FALSE):
        return values[0] in _TRUE
    if key == "all" and len(values) == 1:
        raise InvalidArgument(f"invalid filter 'all': strconv.ParseBool: parsing \"{values[0]}\": invalid syntax")
    raise InvalidArgument(f"invalid filter '{key}=[{' '.join(values)}]'")
