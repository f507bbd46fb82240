"""The hub's tables, beside the registry's in one database: the trees in the modules of naru.hub that own them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from naru.registry.tables import Bytes, Flag, Id, Moment, Text, belongs_to, column, identity, key, table

revision, down_revision = "0001", None


def upgrade() -> None:
    _accounts()
    _credentials()
    _repositories()
    _policies()
    _work()


def _accounts() -> None:
    table(
        "account",
        identity(),
        column("name", unique=True),
        column("kind"),
        column("email"),
        column("full_name"),
        column("about"),
        column("badge"),
        column("password", nullable=True),
        column("oidc_subject", nullable=True, unique=True),
        column("totp_secret", nullable=True),
        column("totp_step", sa.BigInteger()),
        column("is_admin", Flag),
        column("is_disabled", Flag),
        column("is_private", Flag),
        column("quota_bytes", Bytes, nullable=True),
        column("created_at", Moment),
        by_id=True,
    )
    op.create_index("account_email", "account", ["email"])
    table(
        "recovery_code",
        column("account", Id),
        column("digest"),
        key("account", "digest"),
        belongs_to("account", "account"),
    )
    table(
        "member",
        column("organization", Id),
        column("account", Id),
        column("role"),
        key("organization", "account"),
        belongs_to("account", "organization"),
        belongs_to("account", "account"),
    )
    op.create_index("member_account", "member", ["account"])
    table(
        "team",
        identity(),
        column("organization", Id),
        column("name"),
        column("about"),
        sa.UniqueConstraint("organization", "name"),
        belongs_to("account", "organization"),
        by_id=True,
    )
    table(
        "team_member",
        column("team", Id),
        column("account", Id),
        key("team", "account"),
        belongs_to("team", "team"),
        belongs_to("account", "account"),
    )
    op.create_index("team_member_account", "team_member", ["account"])


def _credentials() -> None:
    table(
        "credential",
        identity(),
        column("account", Id),
        column("kind"),
        column("name"),
        column("digest", unique=True),
        column("scope"),
        column("expires_at", Moment, nullable=True),
        column("created_at", Moment),
        column("used_at", Moment, nullable=True),
        column("is_disabled", Flag),
        belongs_to("account", "account"),
        by_id=True,
    )
    op.create_index("credential_account", "credential", ["account"])
    table(
        "browser",
        column("digest", primary_key=True),
        column("account", Id),
        column("form_key"),
        column("agent"),
        column("address"),
        column("created_at", Moment),
        column("expires_at", Moment),
        belongs_to("account", "account"),
    )
    op.create_index("browser_account", "browser", ["account"])
    table(
        "second_step",
        column("digest", primary_key=True),
        column("account", Id),
        column("tries", sa.Integer()),
        column("expires_at", Moment),
        belongs_to("account", "account"),
    )
    table("signing_key", column("id", primary_key=True), column("private"), column("created_at", Moment))


def _repositories() -> None:
    table(
        "profile",
        column("repository", Id, primary_key=True, autoincrement=False),
        column("namespace", Id),
        column("is_private", Flag),
        column("summary"),
        column("immutable"),
        column("stars", Bytes),
        column("pulls", Bytes),
        column("updated_at", Moment),
        column("readme"),  # the long ones last: SQLite reads through what comes before a column
        column("readme_html"),
        belongs_to("repository", "repository"),
        belongs_to("account", "namespace", cascade=False),
    )
    op.create_index("profile_namespace", "profile", ["namespace"])
    op.create_index("profile_pulls", "profile", ["pulls"])
    op.create_index("profile_updated_at", "profile", ["updated_at"])
    for name, value in (("category", "name"), ("platform", "name")):
        table(name, column("repository", Id), column(value), key("repository", value), _of_profile())
        op.create_index(f"{name}_{value}", name, [value])
    table(
        "permission",
        column("repository", Id),
        column("holder_kind"),
        column("holder", Id),
        column("level"),
        key("repository", "holder_kind", "holder"),
        _of_profile(),
    )
    op.create_index("permission_holder", "permission", ["holder_kind", "holder"])
    table(
        "star",
        column("repository", Id),
        column("account", Id),
        column("at", Moment),
        key("repository", "account"),
        _of_profile(),
        belongs_to("account", "account"),
    )
    op.create_index("star_account", "star", ["account"])
    table(
        "pull_day",
        column("repository", Id),
        column("tag"),
        column("day", sa.Integer()),
        column("count", Bytes),
        key("repository", "tag", "day"),
        _of_profile(),
    )
    table(
        "image",
        column("repository", Id),
        column("digest"),
        column("os"),
        column("architecture"),
        column("variant"),
        column("config"),
        column("created"),
        key("repository", "digest"),
        belongs_to("manifest", "repository", "digest", to=("repository", "digest")),
    )


def _of_profile() -> object:
    return belongs_to("profile", "repository", to=("repository",))


def _policies() -> None:
    table(
        "retention",
        column("repository", Id, primary_key=True, autoincrement=False),
        column("rules"),
        column("is_enabled", Flag),
        column("ran_at", Moment, nullable=True),
        _of_profile(),
    )
    table(
        "webhook",
        identity(),
        column("namespace", Id),
        column("repository", Id, nullable=True),
        column("name"),
        column("url"),
        column("secret"),
        column("format"),
        column("events"),
        column("is_active", Flag),
        column("created_at", Moment),
        belongs_to("account", "namespace"),
        _of_profile(),
        by_id=True,
    )
    op.create_index("webhook_namespace", "webhook", ["namespace"])
    table(
        "delivery",
        identity(),
        column("webhook", Id),
        column("event"),
        column("body"),
        column("attempts", sa.Integer()),
        column("status"),
        column("answer"),
        column("created_at", Moment),
        column("finished_at", Moment, nullable=True),
        belongs_to("webhook", "webhook"),
        by_id=True,
    )
    op.create_index("delivery_webhook", "delivery", ["webhook", "id"])
    table(
        "upstream",
        column("namespace", Id, primary_key=True, autoincrement=False),
        column("url"),
        column("username"),
        column("password"),
        column("fresh_s", Moment),
        belongs_to("account", "namespace"),
    )
    table(
        "cached",
        column("repository", Id),
        column("reference"),
        column("checked_at", Moment),
        key("repository", "reference"),
        _of_profile(),
    )
    table(
        "replication",
        identity(),
        column("name", unique=True),
        column("direction"),
        column("remote"),
        column("username"),
        column("password"),
        column("source"),
        column("destination"),
        column("tags"),
        column("trigger"),
        column("is_enabled", Flag),
        column("created_at", Moment),
        column("ran_at", Moment, nullable=True),
        column("result"),
        by_id=True,
    )
    table(
        "scanner",
        identity(),
        column("name", unique=True),
        column("url"),
        column("authorization"),
        column("is_default", Flag),
        column("created_at", Moment),
        by_id=True,
    )
    table(
        "scan",
        column("repository", Id),
        column("digest"),
        column("scanner", Id),
        column("status"),
        column("severity"),
        column("counts"),
        column("report"),
        column("sbom"),
        column("request"),
        column("message"),
        column("started_at", Moment),
        column("finished_at", Moment, nullable=True),
        key("repository", "digest"),
        belongs_to("manifest", "repository", "digest", to=("repository", "digest")),
        belongs_to("scanner", "scanner"),
    )


def _work() -> None:
    table(
        "audit",
        identity(),
        column("at", Moment),
        column("actor"),
        column("action"),
        column("namespace", nullable=True),
        column("repository", nullable=True),
        column("object"),
        column("detail"),
        column("address"),
        by_id=True,
    )
    op.create_index("audit_namespace", "audit", ["namespace", "id"])
    op.create_index("audit_repository", "audit", ["repository", "id"])
    table(
        "job",
        identity(),
        column("kind"),
        column("subject"),
        column("payload"),
        column("due_at", Moment),
        column("leased_until", Moment),
        column("attempts", sa.Integer()),
        column("error"),
        column("created_at", Moment),
        by_id=True,
    )
    op.create_index("job_due_at", "job", ["due_at"])
    op.create_index(
        "job_subject", "job", ["subject", "kind"]
    )  # or whoever adds one would have looked at all: see postgres
    table("setting", column("name", primary_key=True), column("value", Text))
