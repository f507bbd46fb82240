"""The registry's tables: the tree in naru.registry.records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from naru.registry.tables import Bytes, Id, Moment, Payload, belongs_to, column, identity, key, table

revision, down_revision = "0001", None
_OF_MANIFEST = ("repository", "digest")


def upgrade() -> None:
    table("repository", identity(), column("name", unique=True), column("created_at", Moment), by_id=True)
    table("blob", column("digest", primary_key=True), column("key", unique=True), column("size_bytes", Bytes))
    table(
        "link",
        column("repository", Id),
        column("digest"),
        key("repository", "digest"),
        belongs_to("repository", "repository"),
        belongs_to("blob", "digest", to=("digest",), cascade=False),
    )
    op.create_index("link_digest", "link", ["digest"])
    _manifests()
    table(
        "upload",
        column("id", primary_key=True),
        column("repository"),
        column("owner"),
        column("algorithm"),
        column("size_bytes", Bytes),
        column("state"),
        column("touched_at", Moment),
    )
    op.create_index("upload_touched_at", "upload", ["touched_at"])
    table(
        "review",
        column("kind"),
        column("repository", Id),
        column("digest"),
        column("since_at", Moment),
        column("due_at", Moment),
        column("event"),
        key("kind", "repository", "digest"),
        belongs_to("repository", "repository"),
    )
    op.create_index("review_due_at", "review", ["due_at"])
    table("discarded", column("key", primary_key=True), column("since_at", Moment))


def _manifests() -> None:
    table(
        "manifest",
        column("repository", Id),
        column("digest"),
        column("media_type"),
        column("size_bytes", Bytes),
        column("total_bytes", Bytes),
        column("subject", nullable=True),
        column("artifact_type"),
        column("annotations"),
        column("pushed_at", Moment),
        column("payload", Payload),
        key("repository", "digest"),
        belongs_to("repository", "repository"),
        by_id=True,
    )
    there = sa.text("subject IS NOT NULL")
    op.create_index(
        "manifest_subject", "manifest", ["repository", "subject", "digest"], sqlite_where=there, postgresql_where=there
    )
    op.create_index("manifest_digest", "manifest", ["digest"])
    table(
        "reference",
        column("repository", Id),
        column("manifest"),
        column("target"),
        key("repository", "manifest", "target"),
        belongs_to("manifest", "repository", "manifest", to=_OF_MANIFEST),
    )
    op.create_index("reference_target", "reference", ["repository", "target"])
    table(
        "tag",
        column("repository", Id),
        column("name"),
        column("digest"),
        column("pushed_at", Moment),
        key("repository", "name"),
        belongs_to("manifest", "repository", "digest", to=_OF_MANIFEST),
    )
    op.create_index("tag_digest", "tag", ["repository", "digest"])
    op.create_index("tag_pushed_at", "tag", ["repository", "pushed_at"])
