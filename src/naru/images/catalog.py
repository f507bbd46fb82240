"""Which images there are: the table image_name, how what users write finds a row in it, and leases.

An image without a name keeps a row `moby-dangling@<digest>`, as in Docker 29. Owns the tables `image_name`, `lease` and
`lease_blob`; what a target is made of is `documents`' subject.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from naru.errors import NaruError, NotFound
from naru.images.documents import Documents
from naru.images.values import Image
from naru.oci import reference
from naru.oci.digest import Digest
from naru.oci.image import Descriptor, ImageConfig, Manifest, Platform
from naru.oci.reference import Reference
from naru.store.db import Database

DANGLING = "moby-dangling@"
_FULL_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_SHORT_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")
_COLUMNS = "SELECT reference, descriptor, created_ns, updated_ns FROM image_name"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    name: str  # a normal reference, or DANGLING and the digest
    target: Descriptor
    created_ns: int
    updated_ns: int

    @property
    def reference(self) -> Reference | None:
        """None for a dangling image."""
        return None if self.name.startswith(DANGLING) else reference.parse(self.name)


class Lease:
    """Blobs that are in use though no image names them yet; while it lives, none of them is garbage."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.id = secrets.token_hex(16)

    def add(self, digest: Digest) -> None:
        self._db.write("INSERT OR IGNORE INTO lease_blob (lease, digest) VALUES (?, ?)", self.id, digest)


class Catalog:
    def __init__(self, db: Database, documents: Documents, platform: Platform) -> None:
        self._db = db
        self.documents = documents
        self.platform = platform

    # --- rows ------------------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """Every row, in the order of names."""
        return self._rows("ORDER BY reference")

    def _rows(self, where: str, *parameters: str) -> list[Row]:
        return [
            Row(name, Descriptor.parse(json.loads(descriptor), name), created, updated)
            for name, descriptor, created, updated in self._db.rows(f"{_COLUMNS} {where}", *parameters)
        ]

    def row(self, ref: Reference) -> Row | None:
        return next(iter(self._rows("WHERE reference = ?", str(ref))), None)

    def rows_of(self, digest: Digest) -> list[Row]:
        """All rows of one target, in the order of names."""
        return self._rows("WHERE digest = ? ORDER BY reference", digest)

    def record(self, target: Descriptor, ref: Reference | None, parent: Digest | None = None) -> bool:
        """Give target this name (None: keep it as a dangling image); survives a power cut. True if that changed anything.

        An image that loses its last name to this one stays, dangling.
        """
        name, now = str(ref) if ref is not None else DANGLING + target.digest, time.time_ns()
        before = next(iter(self._rows("WHERE reference = ?", name)), None)
        with self._db.transaction(durable=True) as execute:
            if parent is not None:
                execute("INSERT OR REPLACE INTO image_parent (digest, parent) VALUES (?, ?)", target.digest, parent)
            if ref is None and self.rows_of(target.digest):
                return False
            execute(
                "INSERT INTO image_name (reference, digest, descriptor, created_ns, updated_ns) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (reference) DO UPDATE SET digest = excluded.digest, descriptor = excluded.descriptor,"
                " updated_ns = excluded.updated_ns",
                name, target.digest, json.dumps(target.to_json()), now, now,
            )  # fmt: skip
            if ref is not None:
                execute("DELETE FROM image_name WHERE reference = ?", DANGLING + target.digest)
            if before is not None and before.target.digest != target.digest:
                self._keep_dangling(execute, before.target, now)
        return before is None or before.target.digest != target.digest

    def _keep_dangling(self, execute: Callable[..., int], target: Descriptor, now_ns: int) -> None:
        if not self.rows_of(target.digest):
            execute(
                "INSERT INTO image_name (reference, digest, descriptor, created_ns, updated_ns) VALUES (?, ?, ?, ?, ?)",
                DANGLING + target.digest, target.digest, json.dumps(target.to_json()), now_ns, now_ns,
            )  # fmt: skip

    def forget(self, row: Row, *, keep_dangling: bool = False) -> None:
        """Delete a row; with keep_dangling its image stays, as a dangling one if this was its last name."""
        with self._db.transaction(durable=True) as execute:
            execute("DELETE FROM image_name WHERE reference = ?", row.name)
            if keep_dangling:
                self._keep_dangling(execute, row.target, time.time_ns())
            execute("DELETE FROM image_parent WHERE digest NOT IN (SELECT digest FROM image_name)")

    # --- what users write ------------------------------------------------------------------------------------------

    def find(self, text: str) -> list[Row]:
        """The rows of the one image that text means: all rows of its target, the one that matched first.

        By full id, name@digest, name[:tag], or id prefix of four digits or more, in this order. Raises NotFound and
        InvalidArgument in Docker's words.
        """
        if full := _FULL_ID.fullmatch(text):
            rows = self.rows_of(Digest("sha256:" + full[1]))
            if not rows:
                raise NotFound(f"No such image: sha256:{full[1]}")
            return rows
        ref = reference.parse(text).with_default_tag()
        if ref.digest is not None:
            rows = self.rows_of(ref.digest)
            matching = [row for row in rows if row.reference is not None and row.reference.name == ref.name]
            if not matching:
                raise NotFound(f"No such image: {ref.familiar}")
            return matching[:1] + [row for row in rows if row is not matching[0]]
        if (named := self.row(ref)) is not None:
            return [named] + [row for row in self.rows_of(named.target.digest) if row.name != named.name]
        if short := _SHORT_ID.fullmatch(text):
            low = "sha256:" + short[1]
            rows = self._rows("WHERE digest >= ? AND digest < ? ORDER BY reference", low, low + "g")
            if len({row.target.digest for row in rows}) > 1:
                raise NotFound("ambiguous reference")
            if rows:
                return rows
        raise NotFound(f"No such image: {ref.familiar}")

    def is_id(self, text: str, digest: Digest) -> bool:
        """True if text, which found this target, was an id and not a name."""
        short = _SHORT_ID.fullmatch(text)
        if short is None or not digest.hex.startswith(short[1]):
            return False
        return _FULL_ID.fullmatch(text) is not None or self.row(reference.parse(text).with_default_tag()) is None

    def resolve(self, text: str, platform: Platform | None = None) -> Image:
        """Raises NotFound (also if it is not there for the platform), InvalidArgument, DataLoss."""
        rows = self.find(text)
        try:
            return self._image(rows, platform)
        except NotFound as error:
            if platform is None:
                raise
            shown = rows[0].reference.familiar if rows[0].reference else str(rows[0].target.digest)
            raise NotFound(
                f"image with reference {shown} was found but does not provide the specified platform ({platform})"
            ) from error

    def image(self, target: Descriptor, platform: Platform | None = None) -> Image:
        """The image behind a target, named or not. Raises NotFound, InvalidArgument, DataLoss, Unsupported."""
        rows = self.rows_of(target.digest)
        return self._image(rows, platform) if rows else Image(target, *self._choose(target, platform))

    def _choose(self, target: Descriptor, platform: Platform | None) -> tuple[Manifest, ImageConfig]:
        return self.documents.choose(target, platform, self.platform)

    def _image(self, rows: list[Row], platform: Platform | None) -> Image:
        manifest, config = self._choose(rows[0].target, platform)
        names = sorted((row.reference for row in rows if row.reference is not None), key=str)
        parent = self._db.row("SELECT parent FROM image_parent WHERE digest = ?", rows[0].target.digest)
        return Image(
            rows[0].target, manifest, config, tuple(names), max(row.updated_ns for row in rows),
            Digest(parent[0]) if parent is not None else None,
        )  # fmt: skip

    def images(self) -> list[Image]:
        """Every image once, dangling ones too. One that cannot be read is left out and logged: it hides no other."""
        by_target: dict[Digest, list[Row]] = {}
        for row in self.rows():
            by_target.setdefault(row.target.digest, []).append(row)
        images = []
        for digest, rows in by_target.items():
            try:
                images.append(self._image(rows, None))
            except NaruError as error:
                _log.warning("image %s is not listed: %s", digest, error)
        return images

    # --- leases ----------------------------------------------------------------------------------------------------

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """A lease that ends with the block; blobs that nothing else holds are garbage then."""
        lease = Lease(self._db)
        self._db.write("INSERT INTO lease (id, created_ns) VALUES (?, ?)", lease.id, time.time_ns())
        try:
            yield lease
        finally:
            self._db.write("DELETE FROM lease WHERE id = ?", lease.id)

    def leased(self) -> set[Digest]:
        return {Digest(digest) for (digest,) in self._db.rows("SELECT DISTINCT digest FROM lease_blob")}

    def drop_leases(self) -> None:
        """At the start of the daemon: no lease outlives its process."""
        self._db.write("DELETE FROM lease")
