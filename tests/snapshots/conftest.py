"""A content store and snapshots of a test's own, and a look at everything that must not change meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from naru.content.blobs import ContentStore
from naru.oci.digest import Digest
from naru.oci.image import OCI_LAYER_GZIP, Descriptor
from naru.snapshots.apply import apply_layer
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database


def tree_digest(top: Path, *, times: bool = True) -> str:
    """Everything that stat, readlink, read and listxattr say about a tree, without following links."""
    lines = []
    for folder, names, files in os.walk(top):
        names.sort()
        for name in sorted([*names, *files]):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            xattrs = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
            content = b""
            if stat.S_ISREG(found.st_mode):
                content = Path(path).read_bytes()
            elif stat.S_ISLNK(found.st_mode):
                content = os.readlink(path).encode()
            size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
            when = found.st_mtime_ns // 10**9 if times else 0
            facts = (
                os.path.relpath(path, top),
                found.st_mode,
                found.st_uid,
                found.st_gid,
                size,
                found.st_rdev,
                when,
                found.st_nlink,
            )
            lines.append(repr((facts, sorted(xattrs.items()), content)))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass
class Place:
    top: Path
    db: Database
    store: ContentStore
    snapshots: Snapshots

    def put(self, raw: bytes, *, compress: Callable[[bytes], bytes] = lambda raw: gzip.compress(raw, 1)) -> Descriptor:
        data = compress(raw)
        return Descriptor(OCI_LAYER_GZIP, self.store.put(data, durable=False), len(data))

    def apply(self, raw: bytes, parent: Digest | None = None) -> Digest:
        return asyncio.run(apply_layer(self.snapshots, self.store, self.put(raw), Digest.of(raw), parent))

    def tree(self, chain: Digest) -> Path:
        return Path(self.snapshots.stack(chain)[0])

    def staging(self) -> list[str]:
        return [name for name in os.listdir(self.snapshots.root) if name.startswith("staging-")]


def _place(folder: Path) -> Iterator[Place]:
    top = folder / "naru"
    top.mkdir()
    db = Database(str(top / "naru.db"))
    yield Place(top, db, ContentStore(str(top / "content")), Snapshots(str(top / "snapshots"), db))
    db.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield from _place(tmp_path)


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """For tests that leave nothing behind, and say so by looking."""
    yield from _place(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def digest_of() -> Callable[..., str]:
    return tree_digest
