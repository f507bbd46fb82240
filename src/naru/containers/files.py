"""A container's files from outside: cp, export, diff, size. Running or not, nothing in it can lead us astray.

Every path is resolved by the kernel beneath the container's root (`Root`): that of its first process while it runs, else
its mounts put together in a private namespace, volumes included. Archives are unpacked in a confined child.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from naru.containers.accounts import find_user
from naru.containers.owner import Owner
from naru.containers.placing import open_part
from naru.containers.records import Container, MountPoint
from naru.containers.surroundings import Surroundings
from naru.errors import Internal, InvalidArgument, NotFound
from naru.images.feed import Pour, through_pipe
from naru.linux import userns
from naru.linux.files import Root
from naru.linux.mounts import open_detached
from naru.linux.threads import in_own_thread
from naru.linux.userns import IdMaps
from naru.snapshots.apply import extract_into
from naru.snapshots.diff import is_mount_point, tar_tree
from naru.snapshots.walk import open_dir, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from naru.snapshots.tarstream import Sink

Writing = Callable[["Sink"], None]  # writes an archive; blocks, and belongs in a thread


@dataclass(frozen=True, slots=True)
class PathStat:
    """What `HEAD …/archive` says; `mode` is the unix mode."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link_target: str


@dataclass(frozen=True, slots=True)
class Change:
    kind: int  # 0 modified, 1 added, 2 deleted
    path: str


class Files:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    @contextmanager
    def root(self, record: Container) -> Iterator[Root]:
        """The container's root; closed at the end. Blocks up to a millisecond."""
        with Root(self._open_root(record)) as root:
            yield root

    def _open_root(self, record: Container) -> int:
        if record.state.status.is_live:
            return os.open(f"/proc/{record.state.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._around.runtime.mounts.let_go(record.id)
        mounts = self._around.snapshots.mounts(record.id)
        with Root(open_detached(mounts, self._around.directory(record.id))) as bare:
            shown = [mount for mount in record.mounts if mount.source and mount.kind != "image"]
            for mount in shown:
                _make_mount_point(bare, mount)
        binds = [(mount.source, mount.subpath, mount.destination) for mount in shown]
        return open_detached(mounts, self._around.directory(record.id), binds)

    # -- archive ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _volumes_told(self, record: Container) -> Iterator[None]:
        """Docker mounts the volumes for each look at a container's files, and says so."""
        self._around.tell_volumes(record, "mount")
        try:
            yield
        finally:
            self._around.tell_volumes(record, "unmount")

    async def stat(self, owner: Owner, path: str) -> PathStat:
        """Raises NotFound."""

        def look() -> PathStat:
            with self.root(owner.record) as root:
                return self._stat(root, owner.record, path)

        with self._volumes_told(owner.record):
            return await in_own_thread(look)

    def _stat(self, root: Root, record: Container, path: str) -> PathStat:
        follow = path.endswith("/") or path.endswith("/.")
        absolute = "/" + path.lstrip("/")
        try:
            found = root.stat(absolute, follow=follow)
            target = ""
            if stat.S_ISLNK(found.st_mode):
                with root.parent(absolute) as (folder, name):
                    target = os.readlink(name, dir_fd=folder)
                target = (
                    target
                    if target.startswith("/")
                    else posixpath.normpath(posixpath.join(posixpath.dirname(absolute), target))
                )
        except OSError as error:
            raise _missing(record, path) from error
        name = "." if path.endswith("/.") else posixpath.basename(posixpath.normpath(absolute)) or "/"
        return PathStat(name, found.st_size, found.st_mode, found.st_mtime_ns, target)

    @asynccontextmanager
    async def read_archive(self, owner: Owner, path: str) -> AsyncIterator[tuple[PathStat, Writing]]:
        """What is at path, and what writes its tar, whose first name is the path's last component."""

        def look() -> tuple[Root, PathStat]:
            root = Root(self._open_root(owner.record))
            try:
                return root, self._stat(root, owner.record, path)
            except BaseException:
                root.close()
                raise

        with self._volumes_told(owner.record), ExitStack() as opened:
            root, found = await in_own_thread(look)
            opened.enter_context(root)
            absolute = "/" + path.lstrip("/")
            # a trailing slash means: through the link
            real = f"{absolute}." if path.endswith("/") else absolute
            name = "" if posixpath.normpath(absolute) == "/" else found.name
            owners = maps.inside if (maps := _maps_of(owner.record)) is not None else None
            yield found, lambda out: tar_tree(root, real, out, name=name, owners=owners)

    async def write_archive(self, owner: Owner, path: str, body: Pour, *, keep_kind: bool, copy_owner: bool) -> None:
        """Unpack a tar into the directory at path. Raises NotFound, InvalidArgument; Internal for a faulty archive."""
        record = owner.record
        absolute = "/" + path.lstrip("/")
        with self._volumes_told(record), Root(await in_own_thread(lambda: self._open_root(record))) as root:
            try:
                found = await in_own_thread(lambda: root.stat(absolute))
            except OSError as error:
                raise _missing(record, path) from error
            if not stat.S_ISDIR(found.st_mode):
                raise InvalidArgument("extraction point is not a directory")
            self._check_writable(record, absolute)
            owner_ids = self._owner_of(root, record) if copy_owner else None

            with _user_namespace(record) as namespace:

                async def consume(fd: int) -> None:
                    await extract_into(
                        root.fd,
                        absolute,
                        fd,
                        no_overwrite_dir_non_dir=keep_kind,
                        owner=owner_ids,
                        user_namespace=namespace,
                    )

                try:
                    await through_pipe(body, consume)
                except InvalidArgument as error:  # to Docker it is no fault of the client's
                    raise Internal(str(error)) from error
            owner.announce("extract-to-dir")

    @staticmethod
    def _owner_of(root: Root, record: Container) -> tuple[int, int] | None:
        """Its user; None if it has none of its own: then those of the archive stay."""
        if not record.config.user:
            return None
        user = find_user(root, record.config.user, ())
        return user.uid, user.gid

    @staticmethod
    def _check_writable(record: Container, path: str) -> None:
        inside = [m for m in record.mounts if path == m.destination or path.startswith(m.destination.rstrip("/") + "/")]
        if inside:
            nearest = max(inside, key=lambda mount: len(mount.destination))
            if not nearest.writable:
                raise InvalidArgument("mounted volume is marked read-only")
        elif record.host.readonly_rootfs:
            raise InvalidArgument("container rootfs is marked read-only")

    # -- export, diff, size -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def export(self, owner: Owner) -> AsyncIterator[Writing]:
        """What writes the root file system as a tar, without what is mounted in it."""
        record = owner.record
        mounts = self._around.snapshots.mounts(record.id)
        with Root(await asyncio.to_thread(open_detached, mounts, self._around.directory(record.id))) as root:
            owner.announce("export")
            yield lambda out: tar_tree(root, "/", out)

    def changes(self, owner: Owner) -> list[Change]:
        """What the container has changed in its image, sorted by path."""
        snapshots, id = self._around.snapshots, owner.record.id
        below = snapshots.view(owner.record.chain_id)
        scratch = self._around.directory(id)
        out: dict[str, int] = {}
        touched: set[str] = set()  # directories that differ only because the runtime made a mount point in them
        with Root(open_detached(below, scratch)) as image:
            top = open_dir(snapshots.upper(id))
            try:
                for found in walk(top):
                    if is_mount_point(found):
                        touched.add(posixpath.dirname("/" + found.path))
                        continue
                    path = "/" + found.path
                    whiteout = stat.S_ISCHR(found.stat.st_mode) and found.stat.st_rdev == 0
                    out[path] = 2 if whiteout else 0 if _exists(image, path, follow=False) else 1
            finally:
                os.close(top)
        for folder in touched:
            if out.get(folder) != 2 and not any(path.startswith(folder + "/") for path in out):
                out.pop(folder, None)
        return [Change(kind, path) for path, kind in sorted(out.items())]

    def sizes(self, record: Container) -> tuple[int, int]:
        """(bytes of its own, bytes with its image)."""
        own = self._around.snapshots.usage_bytes(record.id)
        below = 0
        chain = record.chain_id
        parents = self._around.snapshots.chains()
        while chain is not None and chain in parents:
            below += self._around.snapshots.usage_bytes(str(chain))
            chain = parents[chain]
        return own, own + below


def _maps_of(record: Container) -> IdMaps | None:
    """What owners are called in it, which runs; while it does not, we see its files with the owners that it sees."""
    return userns.maps_of(record.state.pid) if record.state.status.is_live else None


@contextmanager
def _user_namespace(record: Container) -> Iterator[int]:
    """A descriptor of the one that it runs in; -1 for the host's, and while it does not run."""
    if _maps_of(record) is None:
        yield -1
        return
    fd = os.open(f"/proc/{record.state.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _make_mount_point(root: Root, mount: MountPoint) -> None:
    """What the runtime would make at the container's first start: an empty directory or file to mount on."""
    destination = mount.destination
    if _exists(root, destination):
        return
    is_directory = os.path.isdir(mount.source)
    if mount.subpath:
        fd = open_part(mount.source, mount.subpath)
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        os.close(fd)
    if is_directory:
        root.make_dirs(destination)
        return
    root.make_dirs(posixpath.dirname(destination))
    os.close(root.open(destination, os.O_WRONLY | os.O_CREAT, 0o644))


def _missing(record: Container, path: str) -> NotFound:
    return NotFound(f"Could not find the file {path} in container {record.id}")


def _exists(root: Root, path: str, *, follow: bool = True) -> bool:
    try:
        root.stat(path, follow=follow)
    except OSError:
        return False
    return True
