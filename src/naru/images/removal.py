"""Which rows `rmi` and `prune` take away, and when they must not. Names only: what is garbage then, `gc` finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from naru.errors import Conflict
from naru.images.catalog import Catalog, Row
from naru.images.values import Image, Removed, Use, parse_rfc3339, short_id
from naru.wire.filters import has_labels


@dataclass(frozen=True, slots=True)
class PruneFilter:
    """Which of the images that no container uses go."""

    dangling_only: bool = True
    until_ns: int | None = None  # only those created before
    labels: Sequence[str] = ()  # `key` or `key=value`, each of which it has to have
    without_labels: Sequence[str] = ()  # none of which it may have

    def takes(self, image: Image) -> bool:
        if self.dangling_only and image.names:
            return False
        if self.until_ns is not None and parse_rfc3339(image.config.created) >= self.until_ns:
            return False
        labels = image.config.run.get("Labels") or {}
        return has_labels(labels, self.labels) and not any(has_labels(labels, [label]) for label in self.without_labels)


def remove(catalog: Catalog, text: str, uses: Iterable[Use], *, force: bool) -> list[Removed]:
    """Take away a name, or by id all names, of an image. With its last name the image goes too, unless (by name and
    force) a container stands on it: then it stays, dangling. Raises NotFound; Conflict in Docker's words."""
    rows = catalog.find(text)
    digest = rows[0].target.digest
    users = [use for use in uses if use.image_id == digest]
    if catalog.is_id(text, digest) or rows[0].reference is None:
        _check_id(rows, users, force)
        return _remove_all(catalog, rows)
    familiar = rows[0].reference.familiar
    if len(rows) > 1:
        catalog.forget(rows[0])
        return [Removed("Untagged", familiar)]
    if users and not force:
        raise Conflict(
            f"conflict: unable to delete {familiar} (must be forced) - container {users[0].container_id[:12]}"
            f" is using its referenced image {short_id(digest)}"
        )
    if users:
        catalog.forget(rows[0], keep_dangling=True)
        return [Removed("Untagged", familiar)]
    return _remove_all(catalog, rows)


def _check_id(rows: Sequence[Row], users: Sequence[Use], force: bool) -> None:
    what = f"conflict: unable to delete {short_id(rows[0].target.digest)}"
    repositories = {row.reference.name for row in rows if row.reference is not None}
    if len(repositories) > 1 and not force:
        raise Conflict(f"{what} (must be forced) - image is referenced in multiple repositories")
    for use in users:
        if use.running:
            where = f"image is being used by running container {use.container_id[:12]}"
            raise Conflict(f"{what} (cannot be forced) - {where}")
    if users and not force:
        where = f"image is being used by stopped container {users[0].container_id[:12]}"
        raise Conflict(f"{what} (must be forced) - {where}")


def _remove_all(catalog: Catalog, rows: Sequence[Row]) -> list[Removed]:
    removed = []
    for row in rows:
        catalog.forget(row)
        if row.reference is not None:
            removed.append(Removed("Untagged", row.reference.familiar))
    return [*removed, Removed("Deleted", str(rows[0].target.digest))]


def prune(catalog: Catalog, uses: Iterable[Use], wanted: PruneFilter) -> list[Removed]:
    """Take away all images that the filter takes and no container uses."""
    used = {use.image_id for use in uses}
    removed: list[Removed] = []
    for image in catalog.images():
        if image.id not in used and wanted.takes(image):
            removed += _remove_all(catalog, catalog.rows_of(image.id))
    return removed
