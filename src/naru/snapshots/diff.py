"""Trees into tars: an overlay's upper directory into a layer, any tree into an archive (docker cp, docker export).

Deterministic: names in byte order, numeric owners, whole seconds, no names of users. Overlayfs's whiteouts and opaque
directories become `.wh.` entries (OCI image-spec layer.md "Whiteouts"); none of its attributes leave this module.
Everything blocks and belongs in a thread; hashing, compressing and reading release the GIL.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isal import isal_zlib

from naru.content.blobs import ContentStore, Ingest
from naru.linux.files import Root
from naru.oci.digest import Digest, Hasher
from naru.oci.image import OCI_LAYER_GZIP, Descriptor
from naru.snapshots.extract import OPAQUE_MARK, OPAQUE_XATTR, WHITEOUT, is_whiteout, kept_xattr
from naru.snapshots.overlay import Snapshots
from naru.snapshots.sinks import Copied
from naru.snapshots.tarformat import BLOCKDEV, CHAR, DIR, FIFO, FILE, HARDLINK, SYMLINK, Entry
from naru.snapshots.tarstream import TarWriter
from naru.snapshots.walk import Found, open_dir, walk

if TYPE_CHECKING:
    from naru.snapshots.tarstream import Owners, Sink

_BATCH = 1 << 18
_GZIP = 31  # zlib's window bits for a gzip header and trailer
_NODES = {stat.S_IFCHR: CHAR, stat.S_IFBLK: BLOCKDEV, stat.S_IFIFO: FIFO}
_MOUNTED_FILES = {".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "sbin/docker-init"}
_MOUNTED_DIRECTORIES = {"dev", "proc", "sys"}


@dataclass(frozen=True, slots=True)
class Layer:
    descriptor: Descriptor  # of the gzip blob, in the content store
    diff_id: Digest
    size_bytes: int  # uncompressed


Claim = Callable[[Digest], None]  # told of a blob before it is in the store: who keeps a lease adds it there, so that
# it is nobody's garbage for a moment


def unclaimed(digest: Digest) -> None:
    """For callers beside whom nobody collects garbage."""


class BlobWriter:
    """An ingest whose digest is known, and claimed, before its commit."""

    def __init__(self, ingest: Ingest, claim: Claim) -> None:
        self._ingest = ingest
        self._claim = claim
        self.write = ingest.write

    def commit(self, media_type: str) -> Descriptor:
        digest = self._ingest.digest()
        self._claim(digest)
        return Descriptor(media_type, self._ingest.commit(digest), self._ingest.size_bytes)


class LayerWriter:
    """Plain tar bytes in, a gzip blob in the content store and the diff ID out, in one pass."""

    def __init__(self, ingest: Ingest, claim: Claim) -> None:
        self._blob = BlobWriter(ingest, claim)
        self._hasher = Hasher()
        self._gzip = isal_zlib.compressobj(level=1, wbits=_GZIP)
        self._batch = bytearray()
        self._size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._batch += data
        if len(self._batch) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        data, self._batch = bytes(self._batch), bytearray()
        self._hasher.update(data)
        self._size += len(data)
        self._blob.write(self._gzip.compress(data))

    def commit(self) -> Layer:
        """The blob is in the store when this returns."""
        self._flush()
        self._blob.write(self._gzip.flush())
        return Layer(self._blob.commit(OCI_LAYER_GZIP), self._hasher.digest(), self._size)


def write_layer(snapshots: Snapshots, key: str, store: ContentStore, claim: Claim = unclaimed) -> Layer:
    """Store what the active snapshot has changed as a layer blob. Raises NotFound, InvalidArgument, OSError."""
    top = open_dir(snapshots.upper(key))
    try:
        with store.ingest() as ingest:
            layer = LayerWriter(ingest, claim)
            _tar_dir(top, "", Copied(layer.write), whiteouts=True)
            return layer.commit()
    finally:
        os.close(top)


def tar_tree(root: Root, path: str, out: Sink, *, name: str = "", owners: Owners | None = None) -> None:
    """Write the file or the tree at path, beneath root, as a tar whose first entry is called `name`; with no name, the
    content of the directory alone. A link at path itself is written as a link. `owners` renames owners. Raises OSError, InvalidArgument.
    """
    fd = root.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            top = open_dir(".", fd)
            try:
                _tar_dir(top, name, out, whiteouts=False, owners=owners)
            finally:
                os.close(top)
            return
        with root.parent(path) as (folder, last):
            writer = TarWriter(out, owners)
            _add(writer, Found(name or last, last, folder, os.stat(last, dir_fd=folder, follow_symlinks=False)), {})
            writer.close()
    finally:
        os.close(fd)


def _tar_dir(top: int, name: str, out: Sink, *, whiteouts: bool, owners: Owners | None = None) -> None:
    writer = TarWriter(out, owners)
    links: dict[tuple[int, int], str] = {}
    if name:
        writer.add(_entry(name + "/", DIR, os.fstat(top), _xattrs(top)))
    if whiteouts and OPAQUE_XATTR in os.listxattr(top):
        writer.add(_mark(OPAQUE_MARK))
    for found in walk(top, name):
        if whiteouts and is_mount_point(found):
            continue
        if whiteouts and is_whiteout(found.stat):
            writer.add(_mark(found.path.removesuffix(found.name) + WHITEOUT + found.name))
            continue
        with contextlib.suppress(FileNotFoundError):  # it vanished, or was replaced, between two looks
            _add(writer, found, links)
            if whiteouts and stat.S_ISDIR(found.stat.st_mode) and _is_opaque(found):
                writer.add(_mark(f"{found.path}/{OPAQUE_MARK}"))
    writer.close()


def is_mount_point(found: Found) -> bool:
    """True for what was made to mount something of the engine's on, or to say whose it is: no change of the container's."""
    if stat.S_ISDIR(found.stat.st_mode):
        return found.path in _MOUNTED_DIRECTORIES
    return found.path in _MOUNTED_FILES and stat.S_ISREG(found.stat.st_mode) and found.stat.st_size == 0


def _mark(name: str) -> Entry:
    return Entry(name, mode=0)


def _entry(name: str, kind: str, found: os.stat_result, xattrs: dict[str, bytes] | None = None) -> Entry:
    return Entry(
        name, kind, mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, gid=found.st_gid,
        mtime_s=max(0, min(found.st_mtime_ns // 10**9, (1 << 33) - 1)), xattrs=xattrs,
    )  # fmt: skip


def _xattrs(fd: int) -> dict[str, bytes]:
    return {name: os.getxattr(fd, name) for name in sorted(os.listxattr(fd)) if kept_xattr(name)}


def _is_opaque(found: Found) -> bool:
    fd = found.open(os.O_RDONLY | os.O_DIRECTORY)
    try:
        return OPAQUE_XATTR in os.listxattr(fd) and os.getxattr(fd, OPAQUE_XATTR) == b"y"
    finally:
        os.close(fd)


def _add(writer: TarWriter, found: Found, links: dict[tuple[int, int], str]) -> None:
    kind = stat.S_IFMT(found.stat.st_mode)
    if kind == stat.S_IFSOCK:
        return  # tar has no word for it; Docker leaves them out too
    if kind != stat.S_IFDIR and found.stat.st_nlink > 1:
        first = links.setdefault((found.stat.st_dev, found.stat.st_ino), found.path)
        if first != found.path:
            entry = _entry(found.path, HARDLINK, found.stat)
            entry.link = first
            writer.add(entry)
            return
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        fd = found.open()
        try:
            now = os.fstat(fd)
            if kind == stat.S_IFDIR:
                writer.add(_entry(found.path + "/", DIR, now, _xattrs(fd)))
                return
            entry = _entry(found.path, FILE, now, _xattrs(fd))
            entry.size = now.st_size if stat.S_ISREG(now.st_mode) else 0
            writer.add(entry, fd)
        finally:
            os.close(fd)
        return
    entry = _entry(found.path, SYMLINK if kind == stat.S_IFLNK else _NODES[kind], found.stat)
    if kind == stat.S_IFLNK:
        entry.link = os.readlink(found.name, dir_fd=found.folder)
    elif kind != stat.S_IFIFO:
        entry.major, entry.minor = os.major(found.stat.st_rdev), os.minor(found.stat.st_rdev)
    writer.add(entry)
