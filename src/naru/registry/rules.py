"""What whoever runs the registry has to say about what is stored: the seam between its storage and a hub's rules.

Whether somebody may do something at all is `access`; this is about what is done. All of it is called inside the transaction that does
it, by functions that may run again: it may read and write the database, refuse by raising Refusal, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from naru.oci.digest import Digest
from naru.registry.access import Caller
from naru.registry.database import Connection
from naru.registry.records import Blob, ManifestRecord


@dataclass(frozen=True, slots=True)
class Change:
    """Who is changing which repository."""

    caller: Caller
    repository: int
    name: str


class Rules(Protocol):
    def on_repository(self, c: Connection, change: Change) -> None:
        """It has just been made, by the first push to it."""

    def before_blob(self, c: Connection, change: Change, blob: Blob) -> None:
        """It is about to be one of the repository's, which does not have it."""

    def before_manifest(self, c: Connection, change: Change, record: ManifestRecord, tags: Sequence[str]) -> None: ...

    def on_manifest(self, c: Connection, change: Change, record: ManifestRecord, tags: Sequence[str]) -> None: ...

    def before_delete(self, c: Connection, change: Change, digest: Digest | None, tags: Sequence[str]) -> None:
        """A manifest, with all its tags; or, without a digest, a tag."""

    def on_delete(self, c: Connection, change: Change, digest: Digest | None, tags: Sequence[str]) -> None: ...


class NoRules:
    """A private registry's."""

    def on_repository(self, c: Connection, change: Change) -> None:
        return None

    def before_blob(self, c: Connection, change: Change, blob: Blob) -> None:
        return None

    def before_manifest(self, c: Connection, change: Change, record: ManifestRecord, tags: Sequence[str]) -> None:
        return None

    on_manifest = before_manifest

    def before_delete(self, c: Connection, change: Change, digest: Digest | None, tags: Sequence[str]) -> None:
        return None

    on_delete = before_delete
