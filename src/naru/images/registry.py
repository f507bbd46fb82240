"""What the image service asks of a registry client (`naru.remote.client` is one): six verbs, typed where they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from naru.content.blobs import Ingest
from naru.oci.digest import Digest
from naru.oci.image import Descriptor
from naru.oci.reference import Reference

if TYPE_CHECKING:
    from naru.remote.auth import Credentials


class RegistryClient(Protocol):
    async def resolve(self, ref: Reference, credentials: Credentials | None) -> tuple[Descriptor, bytes]:
        """The manifest or index that ref names: verified bytes and their descriptor."""
        ...

    async def fetch_manifest(
        self, ref: Reference, digest: Digest, media_type: str, credentials: Credentials | None
    ) -> bytes:
        """The verified bytes of a manifest in ref's repository."""
        ...

    async def fetch_blob(
        self, ref: Reference, descriptor: Descriptor, ingest: Ingest, on_bytes: Callable[[int], None],
        credentials: Credentials | None,
    ) -> None:  # fmt: skip
        """Write the blob to ingest, whose commit verifies it; `on_bytes(n)`: n more have come."""
        ...

    async def push_blob(
        self, ref: Reference, descriptor: Descriptor, open_blob: Callable[[], int], on_bytes: Callable[[int], None],
        credentials: Credentials | None, mount_from: Reference | None,
    ) -> str:  # fmt: skip
        """Bring the blob into ref's repository: "exists", "mounted" or "pushed"."""
        ...

    async def push_manifest(
        self, ref: Reference, raw: bytes, media_type: str, credentials: Credentials | None
    ) -> Digest:
        """Store a manifest under ref's tag, or by digest if it has none."""
        ...
