"""Unpacking foreign tars: has the confined child started, judges its report. The archive itself is never parsed here.

Layers go to a staging directory of their own (`extract_layer`), any number at the same time, and become part of a
stack by `Snapshots.commit_staged`. `extract_into` puts an archive into an existing tree (docker cp).
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass

import isal

import naru.errors
from naru.content.blobs import ContentStore
from naru.errors import DataLoss, Internal, InvalidArgument, NaruError, Unavailable
from naru.linux.forkserver import ForkServer
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest, chain_on
from naru.oci.image import Descriptor
from naru.snapshots.overlay import Snapshots, Staged
from naru.snapshots.walk import open_dir

LIMIT_BYTES = 1 << 38  # uncompressed size of one archive; the free space of the disk is the other limit
MEMORY_BYTES = 1 << 30
_PYTHON = os.path.realpath(sys.executable)
_SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(naru.errors.__file__)))
_LIBRARIES = os.path.dirname(os.path.dirname(os.path.abspath(isal.__file__)))
# A module, unlike a script, is compiled once and for all.
_BOOT = f"import sys; sys.path[:0] = {[_SOURCE, _LIBRARIES]!r}; from naru.snapshots.unpack_child import run; run()"
_children = ForkServer([_PYTHON, "-I", "-S", "-X", "utf8", "-c", _BOOT])
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What the child reports."""

    diff_id: Digest | None  # of the whole uncompressed stream, if it is a layer
    size_bytes: int
    entries: int
    disk_bytes: int
    implied: tuple[str, ...]


async def extract_layer(
    snapshots: Snapshots,
    store: ContentStore,
    descriptor: Descriptor,
    diff_id: Digest,
    *,
    limit_bytes: int = LIMIT_BYTES,
) -> Staged:
    """Unpack the layer's blob into a staging directory, which is the caller's from then on.

    Raises DataLoss if its content is not diff_id, InvalidArgument or Unsupported for a malformed archive, Unavailable
    for a full disk, NotFound if the blob is missing; nothing is left then.
    """
    blob = store.open(descriptor.digest)
    try:
        path = snapshots.stage()
        try:
            unpacked = await _unpack(blob, os.path.join(path, "fs"), limit_bytes)
            if unpacked.diff_id != diff_id:
                raise DataLoss(f'wrong diff id calculated on extraction "{unpacked.diff_id}", expected "{diff_id}"')
        except BaseException as error:
            await finish_in_thread(snapshots.destroy, [path])
            if isinstance(error, NaruError):
                raise type(error)(f"failed to extract layer {descriptor.digest}: {error}") from error
            raise
    finally:
        os.close(blob)
    return Staged(path, diff_id, unpacked.disk_bytes, unpacked.implied)


async def apply_layer(
    snapshots: Snapshots, store: ContentStore, descriptor: Descriptor, diff_id: Digest, parent: Digest | None
) -> Digest:
    """Unpack one layer and commit it on top of parent; returns its chain ID. Raises as `extract_layer`."""
    chain = chain_on(parent, diff_id)
    if not snapshots.has(chain):
        staged = await extract_layer(snapshots, store, descriptor, diff_id)
        try:
            await finish_in_thread(snapshots.commit_staged, [staged], [chain], parent)
        finally:
            await finish_in_thread(snapshots.destroy, [staged.path])  # gone already if it was committed
    return chain


async def extract_into(
    root: int, folder: str, archive: int, *, no_overwrite_dir_non_dir: bool = False,
    owner: tuple[int, int] | None = None, user_namespace: int = -1, limit_bytes: int = LIMIT_BYTES,
) -> Unpacked:  # fmt: skip
    """Unpack the tar (of any compression) that can be read from `archive` into `folder` of the tree `root`, which is
    taken as `/`: links in folder and in the archive lead nowhere else. `owner` replaces the owners in the archive. With a
    descriptor of a user namespace it is done by that one's root, with its ids.

    Raises InvalidArgument, Unsupported, Unavailable; entries before the faulty one have been written.
    """
    ids = f"{owner[0]}:{owner[1]}" if owner is not None else "-"
    settings = [
        "copy",
        str(limit_bytes),
        str(MEMORY_BYTES),
        "01"[no_overwrite_dir_non_dir],
        ids,
        "/" + folder.lstrip("/"),
    ]
    return await _run(root, archive, settings, user_namespace)


async def _unpack(blob: int, target: str, limit_bytes: int) -> Unpacked:
    root = open_dir(target)
    try:
        disk = os.fstatvfs(root)
        limit = min(limit_bytes, disk.f_bavail * disk.f_frsize)
        return await _run(root, blob, ["layer", str(limit), str(MEMORY_BYTES), "0", "-", "/"])
    finally:
        os.close(root)


async def _run(root: int, archive: int, settings: list[str], user_namespace: int = -1) -> Unpacked:
    inside = () if user_namespace < 0 else (user_namespace,)
    faults = os.memfd_create("faults", os.MFD_CLOEXEC)
    try:
        report = await _children.job(settings, (archive, root, *inside), errors=faults)
        if not report:
            text = os.pread(faults, 4096, 0).decode("utf-8", "replace").strip()
            raise Internal(f"unpack: the child ended without a word: {text}")
        return _judge(report.decode("utf-8", "surrogateescape").split("\0"))
    finally:
        os.close(faults)


def _judge(fields: list[str]) -> Unpacked:
    kind, *rest = fields
    if kind == "ok":
        digest, size, entries, disk, *implied = rest
        return Unpacked(Digest.parse(digest) if digest else None, int(size), int(entries), int(disk), tuple(implied))
    if kind == "OSError":
        number, entry, reason = rest
        fault = Unavailable if int(number) in _OURS else InvalidArgument
        raise fault(f"{reason}: {entry[:200]!r}" if entry else reason)
    raise getattr(naru.errors, kind, Internal)(rest[0])
