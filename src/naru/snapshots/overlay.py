"""Snapshots: directories under overlayfs, committed ones by chain ID, active ones by key.

Owns `<root>/<n>/{fs,work}`, `<root>/empty`, `<root>/staging-*` and the tables `snapshot` and `active`. A layer's tree is
in `<n>/fs`, exactly what that layer adds (whiteouts as overlayfs writes them); stacks are put together by the kernel at
mount time (Documentation/filesystems/overlayfs.rst). Nothing is mounted here: callers get `Mount` values.

Order of a commit, so that a power cut leaves a layer whole or absent: tree written to staging → syncfs → rename →
fsync of the root → row, synced. What a crash leaves half-made has no row, and `recover` deletes it at the next start;
a row whose directory is gone is dropped, so that pulling again repairs it.

Everything blocks: `commit*`, `destroy` and `usage_bytes` for as long as the tree is large (call them in a thread), the
others for a few microseconds.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from naru.errors import Conflict, DataLoss, NotFound
from naru.linux import syscalls as sys
from naru.linux.erase import remove_tree
from naru.linux.files import keep_apart, sync_dir
from naru.linux.mounts import Mount
from naru.oci.digest import Digest
from naru.snapshots.inherit import inherit
from naru.snapshots.walk import open_dir, walk
from naru.store.db import Database

# Said outright, since their defaults are the kernel builder's. Our trees must mean the same to whoever reads them
# without the mount (`diff`, another stack, a later boot), and each of these hides part of the meaning in attributes:
# metacopy leaves files without content in upper, redirect_dir renamed directories without their children, and index
# refuses an upper whose lower was pulled again. The price: rename(2) of a lower directory answers EXDEV, as in Docker.
_OPTIONS = ("index=off", "metacopy=off", "redirect_dir=off")

_STACK = """
WITH RECURSIVE up (dir, parent, depth) AS (
    SELECT dir, parent, 0 FROM snapshot WHERE chain_id = ?
    UNION ALL SELECT below.dir, below.parent, depth + 1 FROM up JOIN snapshot AS below ON below.chain_id = up.parent
) SELECT dir, parent FROM up ORDER BY depth"""


@dataclass(frozen=True, slots=True)
class Staged:
    """A layer unpacked, not yet part of anything: `path` holds its tree until it is committed or destroyed."""

    path: str
    diff_id: Digest
    size_bytes: int
    implied: tuple[str, ...]  # directories without an entry of their own: they take their attributes from below


class Snapshots:
    def __init__(self, root: str, db: Database, erase: Callable[[str], None] = remove_tree) -> None:
        """`erase` deletes what a container wrote; it need not have ended when it returns."""
        self.root = os.path.abspath(root)
        self._erase = erase
        self._db = db
        os.makedirs(self.root, mode=0o710, exist_ok=True)
        keep_apart(self.root)
        os.chmod(self.root, 0o710)  # a layer's setuid programs are out of reach of the host's users
        os.makedirs(self._path("empty"), exist_ok=True)
        (used,) = db.row("SELECT max(dir) FROM (SELECT dir FROM snapshot UNION ALL SELECT dir FROM active)") or (0,)
        found = (int(name) for name in os.listdir(self.root) if name.isascii() and name.isdigit())
        self._numbers = itertools.count(max(used or 0, max(found, default=0)) + 1)

    def _path(self, *parts: str | int) -> str:
        return os.path.join(self.root, *map(str, parts))

    # --- reading ---------------------------------------------------------------------------------------------------

    def has(self, chain_id: Digest) -> bool:
        return self._db.row("SELECT 1 FROM snapshot WHERE chain_id = ?", chain_id) is not None

    def chains(self) -> dict[Digest, Digest | None]:
        """Every committed layer, with its parent."""
        return {Digest(c): Digest(p) if p else None for c, p in self._db.rows("SELECT chain_id, parent FROM snapshot")}

    def active_parents(self) -> set[Digest]:
        """The chains that active snapshots stand on."""
        return {Digest(p) for (p,) in self._db.rows("SELECT DISTINCT parent FROM active WHERE parent IS NOT NULL")}

    def _numbers_of(self, chain_id: Digest | None) -> list[int]:
        """Directory numbers of the stack, top first. Raises NotFound, or DataLoss if a layer below is missing."""
        if chain_id is None:
            return []
        rows = self._db.rows(_STACK, chain_id)
        if not rows:
            raise NotFound(f"snapshot {chain_id}: not found")
        if rows[-1][1] is not None:
            raise DataLoss(f"snapshot {chain_id}: its layer {rows[-1][1]} is missing; pull the image again")
        return [number for number, _ in rows]

    def stack(self, chain_id: Digest | None) -> list[str]:
        """The directories of the stack, top first; none for None. Raises NotFound, DataLoss."""
        return [self._path(number, "fs") for number in self._numbers_of(chain_id)]

    def _active(self, key: str) -> tuple[int, Digest | None]:
        row = self._db.row("SELECT dir, parent FROM active WHERE key = ?", key)
        if row is None:
            raise NotFound(f"snapshot {key}: not found")
        return row[0], Digest(row[1]) if row[1] else None

    def upper(self, key: str) -> str:
        """The directory that takes what is written to the active snapshot. Raises NotFound."""
        return self._path(self._active(key)[0], "fs")

    def parent(self, key: str) -> Digest | None:
        """The chain that the active snapshot stands on. Raises NotFound."""
        return self._active(key)[1]

    def mounts(self, key: str) -> list[Mount]:
        """How to mount the active snapshot for writing. Raises NotFound, DataLoss."""
        number, parent = self._active(key)
        lower = self._numbers_of(parent)
        if not lower:
            return [Mount("bind", self._path(number, "fs"))]
        options = (_lower(lower), f"upperdir={number}/fs", f"workdir={number}/work", *_OPTIONS)
        return [Mount("overlay", "overlay", options, cwd=self.root)]

    def view(self, chain_id: Digest | None) -> list[Mount]:
        """How to mount committed layers, read-only; None is the empty directory. Raises NotFound, DataLoss."""
        lower = self._numbers_of(chain_id)
        if len(lower) < 2:
            return [Mount("bind", self._path(lower[0], "fs") if lower else self._path("empty"), read_only=True)]
        return [Mount("overlay", "overlay", (_lower(lower), *_OPTIONS), read_only=True, cwd=self.root)]

    def usage_bytes(self, name: str) -> int:
        """Bytes on disk of the active snapshot with this key, or of the committed layer with this chain ID: of its own
        tree, not of what is below it. Raises NotFound."""
        row = self._db.row("SELECT size_bytes FROM snapshot WHERE chain_id = ?", name)
        return int(row[0]) if row is not None else _disk_bytes(self.upper(name))

    # --- active snapshots ------------------------------------------------------------------------------------------

    def prepare(self, key: str, parent: Digest | None) -> None:
        """Begin an active snapshot on top of parent. Raises Conflict if the key exists, NotFound, DataLoss."""
        lower = self.stack(parent)
        number = next(self._numbers)
        added = self._db.write("INSERT OR IGNORE INTO active (key, dir, parent) VALUES (?, ?, ?)", key, number, parent)
        if not added:
            raise Conflict(f"snapshot {key}: already exists")
        try:
            for folder in ("", "fs", "work"):
                os.mkdir(self._path(number, folder), 0o711 if not folder else 0o755)
            if lower:  # the mounted root shows upper's attributes, and has to look like the image's
                top = os.stat(lower[0])
                os.chown(self._path(number, "fs"), top.st_uid, top.st_gid)
                os.chmod(self._path(number, "fs"), stat.S_IMODE(top.st_mode))
        except BaseException:
            self.remove(key)
            raise

    def commit(self, key: str, chain_id: Digest, diff_id: Digest) -> None:
        """Make the active snapshot the committed layer chain_id; it must not be mounted for writing any more. If that
        layer exists already, ours is dropped. Raises NotFound."""
        number, parent = self._active(key)
        if self.has(chain_id):
            self.remove(key)
            return
        path = self._path(number)
        remove_tree(os.path.join(path, "work"))
        size_bytes = _disk_bytes(os.path.join(path, "fs"))
        _sync_filesystem(path)
        with self._db.transaction(durable=True) as execute:
            execute("DELETE FROM active WHERE key = ?", key)
            added = _insert(execute, chain_id, number, parent, diff_id, size_bytes)
        if not added:
            remove_tree(path)

    def remove(self, key: str) -> None:
        """Delete the active snapshot; one that does not exist is no error."""
        row = self._db.row("SELECT dir FROM active WHERE key = ?", key)
        if row is not None:
            self._db.write("DELETE FROM active WHERE key = ?", key)
            self._erase(self._path(row[0]))

    # --- committed layers ------------------------------------------------------------------------------------------

    def stage(self) -> str:
        """A new empty directory for a layer's tree. The caller commits or destroys it."""
        path = self._path(f"staging-{secrets.token_hex(8)}")
        os.mkdir(path, 0o711)
        os.mkdir(os.path.join(path, "fs"), 0o755)
        return path

    def commit_staged(self, layers: Sequence[Staged], chain_ids: Sequence[Digest], parent: Digest | None) -> None:
        """Commit layers, bottom first, the lowest on top of parent: all or none, with one sync for all.

        Those that exist already are dropped. Raises NotFound or DataLoss if the parent is not whole.
        """
        lower = self.stack(parent)
        for layer in layers:
            inherit(os.path.join(layer.path, "fs"), layer.implied, lower)
            lower.insert(0, os.path.join(layer.path, "fs"))
        _sync_filesystem(self.root)
        numbers = [next(self._numbers) for _ in layers]
        for layer, number in zip(layers, numbers, strict=True):
            os.rename(layer.path, self._path(number))
        sync_dir(self.root)
        dropped = []
        with self._db.transaction(durable=True) as execute:
            for layer, number, chain_id in zip(layers, numbers, chain_ids, strict=True):
                if not _insert(execute, chain_id, number, parent, layer.diff_id, layer.size_bytes):
                    dropped.append(self._path(number))
                parent = chain_id
        self.destroy(dropped)

    def forget(self, chain_ids: Sequence[Digest]) -> list[str]:
        """Drop the rows of these layers, all or none, and return the directories for `destroy`. Raises Conflict if
        something that stays stands on one of them."""
        paths = []
        with self._db.transaction() as execute:
            for chain_id in chain_ids:
                row = self._db.row("SELECT dir FROM snapshot WHERE chain_id = ?", chain_id)
                if row is not None:
                    paths.append(self._path(row[0]))
                    execute("DELETE FROM snapshot WHERE chain_id = ?", chain_id)
            for chain_id in chain_ids:
                for table in ("snapshot", "active"):
                    if self._db.row(f"SELECT 1 FROM {table} WHERE parent = ?", chain_id) is not None:
                        raise Conflict(f"snapshot {chain_id}: in use")
        return paths

    def remove_chain(self, chain_id: Digest) -> None:
        """Delete one committed layer; one that does not exist is no error. Raises Conflict if something stands on it."""
        self.destroy(self.forget([chain_id]))

    @staticmethod
    def destroy(paths: Sequence[str]) -> None:
        """Delete directories that no row names (any more)."""
        for path in paths:
            remove_tree(path)

    # --- start of the daemon ---------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Bring rows and directories together again; call it before anything else uses the snapshots.

        If the database is a new one in the place of a damaged one, its directories are put aside, not deleted: what
        containers wrote is in them.
        """
        if self._db.damaged is not None:
            os.rename(self.root, f"{self.root}.{os.path.basename(self._db.damaged)}")
            os.makedirs(self._path("empty"))
            os.chmod(self.root, 0o710)
        for table in ("snapshot", "active"):
            for (number,) in self._db.rows(f"SELECT dir FROM {table}"):
                if not os.path.isdir(self._path(number, "fs")):
                    self._db.write(f"DELETE FROM {table} WHERE dir = ?", number)
        kept = {str(n) for (n,) in self._db.rows("SELECT dir FROM snapshot UNION ALL SELECT dir FROM active")}
        self.destroy([self._path(name) for name in os.listdir(self.root) if name not in kept and name != "empty"])


def _lower(numbers: Sequence[int]) -> str:
    return "lowerdir=" + ":".join(f"{number}/fs" for number in numbers)


def _insert(
    execute: Callable[..., int], chain_id: Digest, number: int, parent: Digest | None, diff_id: Digest, size: int
) -> bool:
    return bool(
        execute(
            "INSERT OR IGNORE INTO snapshot (chain_id, dir, parent, diff_id, size_bytes, created_ns)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            chain_id, number, parent, diff_id, size, time.time_ns(),
        )
    )  # fmt: skip


def _sync_filesystem(path: str) -> None:
    with _opened(path) as fd:
        sys.syncfs(fd)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _disk_bytes(path: str) -> int:
    """What `du` says, hard links counted once; a tree too deep for a path counts down to that depth."""
    seen = set()
    fd = open_dir(path)
    try:
        total = os.fstat(fd).st_blocks * 512
        for found in walk(fd, strict=False):
            if found.stat.st_nlink > 1 and not stat.S_ISDIR(found.stat.st_mode):
                if (found.stat.st_dev, found.stat.st_ino) in seen:
                    continue
                seen.add((found.stat.st_dev, found.stat.st_ino))
            total += found.stat.st_blocks * 512
    finally:
        os.close(fd)
    return total
