"""RUN --mount: from what was written to what the runner mounts, and cache mounts' directories.

Owns `<root>/<hash of the id>`, one directory per cache id. An id never becomes a path: it is hashed. A source is resolved
beneath its root here, to a path without links, so that whoever binds it cannot be led elsewhere; in trees that nobody
changes meanwhile (contexts, committed layers), that is.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import secrets
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from naru.build.flags import RunMount
from naru.build.needs import StepMount
from naru.build.sources import canonical, mapped
from naru.build.workspace import Workspace
from naru.errors import InvalidArgument, NotFound, Unsupported
from naru.linux.erase import remove_tree
from naru.linux.files import Root
from naru.linux.mounts import Mount
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest

_PRUNED = "pruned-"


class CacheMounts:
    """The directories behind `type=cache`. One per daemon: who may use which at the same time is known here alone."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._locks: dict[str, asyncio.Lock] = {}
        self._used: dict[str, int] = {}
        os.makedirs(root, mode=0o700, exist_ok=True)

    @asynccontextmanager
    async def hold(self, name: str, mount: RunMount) -> AsyncIterator[str]:
        """The directory of a cache id, for the duration: shared, waited for (locked), or another if in use (private)."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        async with AsyncExitStack() as held:
            if mount.sharing == "locked":
                await held.enter_async_context(self._locks.setdefault(digest, asyncio.Lock()))
            number = 0
            while mount.sharing == "private" and self._used.get(f"{digest}-{number}"):
                number += 1
            key = f"{digest}-{number}"
            self._used[key] = self._used.get(key, 0) + 1
            try:
                path = os.path.join(self._root, key)
                if not os.path.exists(path):
                    make_cache_dir(path, mount)
                yield path
            finally:
                self._used[key] -= 1
                if not self._used[key]:
                    del self._used[key]

    async def prune(self) -> None:
        """Delete every cache that no step uses just now: first out of reach, all at once, then from the disk."""
        for key in os.listdir(self._root):
            if key not in self._used and not key.startswith(_PRUNED):
                os.rename(os.path.join(self._root, key), os.path.join(self._root, _PRUNED + secrets.token_hex(8)))
        for key in os.listdir(self._root):  # those of a process that died, too
            if key.startswith(_PRUNED):
                await finish_in_thread(remove_tree, os.path.join(self._root, key))


def make_cache_dir(path: str, mount: RunMount) -> None:
    os.mkdir(path)
    os.chown(path, mount.uid or 0, mount.gid or 0)
    os.chmod(path, 0o755 if mount.mode is None else mount.mode)


@dataclass(frozen=True, slots=True)
class Tree:
    """What --mount=from names: committed layers, or (path) the context."""

    chain: Digest | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Trees:
    """What the mounts of one build may show."""

    find: Callable[[str], Awaitable[Tree]]  # by the text of from=; "" is the context
    namespace: str  # of cache ids: BUILDKIT_CACHE_MOUNT_NS
    fresh: bool  # --no-cache: cache mounts are empty


@dataclass(frozen=True, slots=True)
class Mounting:
    """What the mounts of one RUN need to know."""

    workspace: Workspace
    caches: CacheMounts
    trees: Trees
    cwd: str


async def enter(mount: RunMount, to: Mounting, held: AsyncExitStack) -> StepMount:
    """Make one mount ready until `held` ends. Raises Unsupported, InvalidArgument, NotFound."""
    if mount.kind in ("secret", "ssh"):
        raise Unsupported(f"RUN --mount=type={mount.kind} needs a build session, which this builder does not have")
    target = posixpath.normpath(posixpath.join("/", to.cwd, mount.target))
    if target.strip("/") == "":
        raise InvalidArgument(f'invalid mount target "{mount.target}"')
    if mount.kind == "tmpfs":
        return StepMount("tmpfs", target, read_only=bool(mount.read_only), size_bytes=mount.size_bytes)
    if mount.kind == "cache":
        return await _cache(mount, target, to, held)
    tree = await to.trees.find(mount.from_)
    subpath, is_file = await _resolve(mount, tree, to)
    mounts = _read_only(tree, to) if mount.read_only else await _discarded(tree, to, held)
    return StepMount("bind", target, mounts, subpath, is_file, bool(mount.read_only))


async def _cache(mount: RunMount, target: str, to: Mounting, held: AsyncExitStack) -> StepMount:
    if mount.from_ or mount.source:
        raise Unsupported("RUN --mount=type=cache: from and source are not supported yet")
    if to.trees.fresh:
        parent = await _temporary(to, held)
        path = os.path.join(parent, "cache")
        make_cache_dir(path, mount)
    else:
        name = posixpath.normpath(mount.id) if mount.id else target
        path = await held.enter_async_context(to.caches.hold(f"{to.trees.namespace}/{name}", mount))
    return StepMount("cache", target, (Mount("bind", path),), read_only=bool(mount.read_only))


async def _temporary(to: Mounting, held: AsyncExitStack) -> str:
    path = tempfile.mkdtemp(prefix="mount-", dir=to.workspace.scratch)
    held.push_async_callback(finish_in_thread, remove_tree, path)
    return path


async def _resolve(mount: RunMount, tree: Tree, to: Mounting) -> tuple[str, bool]:
    """The source's path without links, and whether it is anything but a directory."""
    try:
        if tree.path:
            with Root.at(tree.path) as root:
                return _look(root, mount.source)
        async with to.workspace.viewed(tree.chain) as root:
            return _look(root, mount.source)
    except FileNotFoundError as error:
        raise NotFound(f'RUN --mount: "{mount.source}": not found') from error
    except OSError as error:
        raise mapped(error, f"RUN --mount: {mount.source}") from error


def _look(root: Root, source: str) -> tuple[str, bool]:
    path = canonical(root, source)
    return path, not stat.S_ISDIR(root.stat(path or "/").st_mode)


def _read_only(tree: Tree, to: Mounting) -> tuple[Mount, ...]:
    if tree.path:
        return (Mount("bind", tree.path, read_only=True),)
    return tuple(to.workspace.snapshots.view(tree.chain))


async def _discarded(tree: Tree, to: Mounting, held: AsyncExitStack) -> tuple[Mount, ...]:
    """Writable, and what is written is thrown away."""
    if not tree.path:
        key = await held.enter_async_context(to.workspace.writable(tree.chain))
        return tuple(to.workspace.snapshots.mounts(key))
    parent = await _temporary(to, held)
    for name in ("upper", "work"):
        os.mkdir(os.path.join(parent, name))
    options = (
        f"lowerdir={tree.path}",
        "upperdir=upper",
        "workdir=work",
        "index=off",
        "metacopy=off",
        "redirect_dir=off",
    )
    return (Mount("overlay", "overlay", options, cwd=parent),)
