"""What the API answers: its records, and how each is made of what the services return. Times are RFC 3339 in UTC, sizes bytes."""

from __future__ import annotations

from datetime import UTC, datetime

from naru.hub.api.fields import Anything, Flag, ListOf, Number, OrNull, Record, Text, Time, Type, time_text
from naru.hub.catalog.repositories import DAY_S, Profile
from naru.hub.catalog.taglists import Tag
from naru.hub.people.accounts import BADGES, ORGANIZATION, USER, Account
from naru.hub.people.credentials import Credential
from naru.hub.people.permissions import ROLES, SCOPES, scope_of
from naru.hub.people.teams import Team
from naru.hub.services.lookups import Details, ManifestDetails, Me, Part
from naru.hub.services.sessions import Session
from naru.hub.services.site import Place
from naru.oci.image import INDEXES, Json, Manifest

LEVELS = ("none", "read", "write", "admin")
_TEXT, _TIME, _FLAG, _NUMBER = Text(10_000), Time(), Flag(), Number()
_WORDS = ListOf(_TEXT)


def page_of(record: Record) -> Record:
    """A list of these."""
    return Record(
        f"{record.name}List",
        {"count": OrNull(_NUMBER), "next": OrNull(_TEXT), "previous": OrNull(_TEXT), "results": ListOf(record)},
    )


ERROR = Record("Error", {"message": _TEXT, "code": _TEXT})

# accounts

ACCOUNT = Record(
    "Account",
    {
        "name": _TEXT, "kind": Text(choices=(USER, ORGANIZATION)), "full_name": _TEXT, "about": _TEXT, "badge": Text(choices=BADGES),
        "created_at": _TIME,
    },
)  # fmt: skip
_PRIVATE: dict[str, Type] = {
    "email": _TEXT, "is_admin": _FLAG, "is_disabled": _FLAG, "is_private": _FLAG, "has_password": _FLAG, "has_totp": _FLAG,
    "quota_bytes": OrNull(_NUMBER),
}  # fmt: skip
FULL_ACCOUNT = Record("FullAccount", {**ACCOUNT.fields, **_PRIVATE})
MEMBERSHIP = Record("Membership", {"name": _TEXT, "full_name": _TEXT, "role": Text(choices=ROLES)})
PLACE = Record("AccountPage", {"account": ACCOUNT, "details": OrNull(FULL_ACCOUNT), "used_bytes": OrNull(_NUMBER)})
ME = Record("Me", {"name": _TEXT, "token": OrNull(_NUMBER), "scope": Text(choices=("", *SCOPES)), "account": FULL_ACCOUNT, "organizations": ListOf(MEMBERSHIP)})  # fmt: skip
MEMBER = Record("Member", {"account": ACCOUNT, "role": Text(choices=ROLES)})
TEAM = Record("Team", {"name": _TEXT, "about": _TEXT, "members": _WORDS})
TOTP_SECRET = Record("TotpSecret", {"secret": _TEXT, "uri": _TEXT})
RECOVERY_CODES = Record("RecoveryCodes", {"recovery_codes": _WORDS})
SESSION = Record("Session", {"key": _TEXT, "agent": _TEXT, "address": _TEXT, "created_at": _TIME, "expires_at": _TIME})
_CREDENTIAL: dict[str, Type] = {
    "id": _NUMBER, "name": _TEXT, "expires_at": OrNull(_TIME), "created_at": _TIME, "used_at": OrNull(_TIME), "is_disabled": _FLAG,
}  # fmt: skip
TOKEN = Record(
    "Token", {**_CREDENTIAL, "kind": Text(choices=("personal", "login")), "scope": Text(choices=tuple(SCOPES))}
)
_PERMISSION = Record("RobotPermission", {"repository": _TEXT, "actions": _WORDS})
ROBOT = Record("Robot", {**_CREDENTIAL, "permissions": ListOf(_PERMISSION)})
NEW_TOKEN = Record("NewToken", {**TOKEN.fields, "secret": _TEXT})
NEW_ROBOT = Record("NewRobot", {**ROBOT.fields, "username": _TEXT, "secret": _TEXT})


def account(one: Account) -> Json:
    return {
        "name": one.name, "kind": one.kind, "full_name": one.full_name, "about": one.about, "badge": one.badge,
        "created_at": time_text(one.created_at),
    }  # fmt: skip


def full_account(one: Account) -> Json:
    return {**account(one), **{name: getattr(one, name) for name in _PRIVATE}}


def membership(one: tuple[Account, str]) -> Json:
    return {"name": one[0].name, "full_name": one[0].full_name, "role": one[1]}


def place(one: Place) -> Json:
    details = full_account(one.account) if one.used_bytes is not None else None
    return {"account": account(one.account), "details": details, "used_bytes": one.used_bytes}


def me(one: Me) -> Json:
    organizations = [membership(each) for each in one.organizations]
    return {
        "name": one.name,
        "token": one.token or None,
        "scope": one.scope,
        "account": full_account(one.account),
        "organizations": organizations,
    }


def team(one: Team, members: list[str]) -> Json:
    return {"name": one.name, "about": one.about, "members": members}


def session(one: Session) -> Json:
    return {
        "key": one.key, "agent": one.agent, "address": one.address, "created_at": time_text(one.created_at),
        "expires_at": time_text(one.expires_at),
    }  # fmt: skip


def _credential(one: Credential) -> Json:
    return {
        "id": one.id, "name": one.name, "expires_at": time_text(one.expires_at), "created_at": time_text(one.created_at),
        "used_at": time_text(one.used_at), "is_disabled": one.is_disabled,
    }  # fmt: skip


def token(one: Credential) -> Json:
    return {**_credential(one), "kind": one.kind, "scope": scope_of(one.reach)}


def robot(one: Credential) -> Json:
    grants = one.reach.grants or {}
    permissions = [{"repository": name, "actions": sorted(actions)} for name, actions in grants.items()]
    return {**_credential(one), "permissions": permissions}


# repositories

_REPOSITORY: dict[str, Type] = {
    "name": _TEXT, "is_private": _FLAG, "summary": _TEXT, "badge": Text(choices=BADGES), "stars": _NUMBER, "pulls": _NUMBER,
    "created_at": _TIME, "updated_at": _TIME, "categories": _WORDS, "platforms": _WORDS,
}  # fmt: skip
REPOSITORY = Record("Repository", _REPOSITORY)
FULL_REPOSITORY = Record(
    "FullRepository",
    {**_REPOSITORY, "immutable": _TEXT, "is_starred": _FLAG, "permission": Text(choices=LEVELS), "actions": _WORDS},
)
_FACET = Record("Facet", {"name": _TEXT, "count": _NUMBER})
FACETS = Record("Facets", {"category": ListOf(_FACET), "platform": ListOf(_FACET)})
README = Record("Readme", {"readme": Text(1 << 20), "html": Text(4 << 20)})
GRANT = Record(
    "Grant", {"kind": Text(choices=("account", "team")), "holder": _TEXT, "permission": Text(choices=LEVELS)}
)
PULLS = Record("Pulls", {"days": ListOf(Record("PullDay", {"day": _TEXT, "count": _NUMBER}))})
TAG = Record(
    "Tag",
    {
        "name": _TEXT, "digest": _TEXT, "media_type": _TEXT, "artifact_type": _TEXT, "size_bytes": _NUMBER, "pushed_at": _TIME,
        "platforms": _WORDS, "last_pull_day": OrNull(_TEXT), "severity": _TEXT,
    },
)  # fmt: skip
_DESCRIPTOR = Record("Descriptor", {"media_type": _TEXT, "digest": _TEXT, "size_bytes": _NUMBER})
_PART = Record("Image", {"digest": _TEXT, "platform": _TEXT, "size_bytes": _NUMBER, "pushed_at": _TIME})
_REFERRER = Record("Referrer", {"digest": _TEXT, "artifact_type": _TEXT, "size_bytes": _NUMBER})
MANIFEST = Record(
    "Manifest",
    {
        "digest": _TEXT, "media_type": _TEXT, "artifact_type": _TEXT, "size_bytes": _NUMBER, "total_bytes": _NUMBER,
        "subject": OrNull(_TEXT), "annotations": Anything(), "pushed_at": _TIME, "tags": _WORDS, "config": OrNull(_DESCRIPTOR),
        "layers": ListOf(_DESCRIPTOR), "images": ListOf(_PART), "referrers": ListOf(_REFERRER),
    },
)  # fmt: skip


def repository(one: Profile, categories: list[str], platforms: list[str]) -> Json:
    return {
        "name": one.name, "is_private": one.is_private, "summary": one.summary, "badge": one.badge, "stars": one.stars,
        "pulls": one.pulls, "created_at": time_text(one.created_at), "updated_at": time_text(one.updated_at),
        "categories": categories, "platforms": platforms,
    }  # fmt: skip


def full_repository(one: Details) -> Json:
    return {
        **repository(one.profile, one.categories, one.platforms), "immutable": one.profile.immutable, "is_starred": one.is_starred,
        "permission": one.level.name.lower(), "actions": sorted(one.actions),
    }  # fmt: skip


def day_text(day: int | None) -> str | None:
    """A day since 1970, as 2030-01-31."""
    return None if day is None else f"{datetime.fromtimestamp(day * DAY_S, UTC):%Y-%m-%d}"


def tag(one: Tag) -> Json:
    return {
        "name": one.name, "digest": one.digest, "media_type": one.media_type, "artifact_type": one.artifact_type,
        "size_bytes": one.size_bytes, "pushed_at": time_text(one.pushed_at), "platforms": list(one.platforms),
        "last_pull_day": day_text(one.last_pull_day), "severity": one.severity,
    }  # fmt: skip


def _part(one: Part) -> Json:
    platform = one.image.platform if one.image else ""
    size = one.size_bytes
    return {"digest": one.digest, "platform": platform, "size_bytes": size, "pushed_at": time_text(one.pushed_at)}


def manifest(one: ManifestDetails) -> Json:
    """With config and layers of an image, and the images of an index."""
    record, config, layers = one.record, None, list[Json]()
    if record.media_type not in INDEXES:
        parsed = Manifest.parse(one.payload, record.media_type)
        described = [
            {"media_type": each.media_type, "digest": each.digest, "size_bytes": each.size}
            for each in (parsed.config, *parsed.layers)
        ]
        config, layers = described[0], described[1:]
    referrers = [
        {"digest": each.digest, "artifact_type": each.artifact_type, "size_bytes": each.size_bytes} for each in one.referrers
    ]  # fmt: skip
    return {
        "digest": record.digest, "media_type": record.media_type, "artifact_type": record.artifact_type,
        "size_bytes": record.size_bytes, "total_bytes": record.total_bytes, "subject": record.subject,
        "annotations": dict(record.annotations), "pushed_at": time_text(record.pushed_at), "tags": one.tags, "config": config,
        "layers": layers, "images": [_part(each) for each in one.parts], "referrers": referrers,
    }  # fmt: skip
