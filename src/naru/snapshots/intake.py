"""A layer that comes as a file: into the content store, compressed as it came if registries know the format."""

from __future__ import annotations

from collections.abc import Callable

from naru.content.blobs import ContentStore
from naru.errors import InvalidArgument
from naru.oci.digest import Hasher
from naru.oci.image import OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from naru.snapshots.diff import BlobWriter, Claim, Layer, LayerWriter, unclaimed
from naru.snapshots.inflate import inflated

_KEPT = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}


class _Tee:
    """Hands on what it reads, and keeps a copy: in `head` until there is a `sink`."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.head = bytearray()
        self.sink: Callable[[bytes], object] = self.head.extend

    def read(self, size: int) -> bytes:
        piece = self._read(size)
        self.sink(piece)
        return piece


def store_archive(
    store: ContentStore, read: Callable[[int], bytes], claim: Claim = unclaimed, *, limit_bytes: int
) -> Layer:
    """Store the tar that `read(n)` gives up to n bytes of, b"" at the end. gzip and zstd stay as they are, anything else
    is stored as gzip. That it is a tar is not checked: unpacking does. Blocks; it belongs in a thread.

    Raises InvalidArgument for a damaged stream or one of more than limit_bytes uncompressed; nothing is kept then.
    """
    tee = _Tee(read)
    kind, more = inflated(tee.read)
    with store.ingest() as ingest:
        if kind not in _KEPT:
            tee.sink = len
            writer, size_bytes = LayerWriter(ingest, claim), 0
            while piece := more():
                size_bytes = _within(size_bytes + len(piece), limit_bytes)
                writer.write(piece)
            return writer.commit()
        blob = BlobWriter(ingest, claim)
        blob.write(bytes(tee.head))
        tee.sink = blob.write
        hasher, size_bytes = Hasher(), 0
        while piece := more():
            hasher.update(piece)
            size_bytes = _within(size_bytes + len(piece), limit_bytes)
        return Layer(blob.commit(_KEPT[kind]), hasher.digest(), size_bytes)


def _within(size_bytes: int, limit_bytes: int) -> int:
    if size_bytes > limit_bytes:
        raise InvalidArgument(f"archive of more than {limit_bytes} bytes uncompressed")
    return size_bytes
