"""The hub's rules of what is stored: who owns a new repository, which tags stay, how much room there is; and what is told of a change.

All inside the registry's own transaction: a push that was acknowledged is in the audit log, and its webhooks are on their way, whatever
happens to this process afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from naru.hub import audit
from naru.hub.audit import Actor
from naru.hub.catalog import images, repositories
from naru.hub.catalog.tagpatterns import parse_several
from naru.hub.peers import deliveries, replications, scans
from naru.hub.people import accounts
from naru.oci.digest import Digest
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.errors import Refusal
from naru.registry.records import Blob, ManifestRecord
from naru.registry.rules import Change


class HubRules:
    def on_repository(self, c: Connection, change: Change) -> None:
        now_s = time.time()
        namespace = repositories.namespace_of(c, change.name)
        if namespace is None:
            raise Refusal(
                "DENIED", f"{change.name}: repositories are named NAMESPACE/NAME, and the namespace is an account's"
            )
        repositories.add(c, change.repository, namespace, now_s)
        audit.write(c, now_s, _actor(change), "repository.create", change.name, repository=change.name)

    def before_blob(self, c: Connection, change: Change, blob: Blob) -> None:
        profile = repositories.get(c, change.name)
        namespace = accounts.by_id(c, profile.namespace)
        assert namespace is not None
        quota = namespace.quota_bytes
        if quota is None or repositories.has_blob(c, namespace.id, blob.digest):
            return
        used = repositories.used_bytes(c, namespace.id)
        if used + blob.size_bytes > quota:
            raise Refusal(
                "DENIED",
                f"quota exceeded: {namespace.name} uses {used} of {quota} bytes, and this blob has {blob.size_bytes}",
            )

    def before_manifest(self, c: Connection, change: Change, record: ManifestRecord, tags: Sequence[str]) -> None:
        profile = repositories.get(c, change.name)
        if not profile.immutable:
            return
        for tag in tags:
            there = _tagged(c, change.repository, tag)
            if there not in (None, record.digest) and is_immutable(profile.immutable, tag):
                raise Refusal("DENIED", f"tag {tag} of {change.name} is immutable, and names {there}")

    def on_manifest(self, c: Connection, change: Change, record: ManifestRecord, tags: Sequence[str]) -> None:
        now_s = time.time()
        repositories.touch(c, change.repository, now_s)
        images.want(c, change.repository, change.name, record, now_s)
        scans.want(c, change.repository, change.name, record, now_s)
        belongs = records.tags_of(c, change.repository, record.subject) if record.subject else []
        replications.on_push(c, change.name, [*tags, *belongs], now_s)  # a tag is copied with what refers to it
        for tag in tags or ("",):
            detail = {"digest": record.digest, "media_type": record.media_type}
            audit.write(
                c, now_s, _actor(change), "tag.push" if tag else "manifest.push", tag or record.digest,
                repository=change.name, **detail,
            )  # fmt: skip
            deliveries.publish(c, now_s, "push", change.name, change.caller.name, tag=tag, **detail)

    def before_delete(self, c: Connection, change: Change, digest: Digest | None, tags: Sequence[str]) -> None:
        profile = repositories.get(c, change.name)
        held = [tag for tag in tags if profile.immutable and is_immutable(profile.immutable, tag)]
        if held:
            raise Refusal("DENIED", f"tag {held[0]} of {change.name} is immutable")

    def on_delete(self, c: Connection, change: Change, digest: Digest | None, tags: Sequence[str]) -> None:
        now_s = time.time()
        repositories.touch(c, change.repository, now_s)
        action = "manifest.delete" if digest else "tag.delete"
        audit.write(c, now_s, _actor(change), action, digest or tags[0], repository=change.name, tags=list(tags))
        deliveries.publish(
            c, now_s, "delete", change.name, change.caller.name, tag=tags[0] if tags else "", digest=digest or ""
        )


def is_immutable(patterns: str, tag: str) -> bool:
    return any(pattern.matches(tag) for pattern in parse_several(patterns))


def _tagged(c: Connection, repository: int, tag: str) -> str | None:
    found = c.rows("SELECT digest FROM tag WHERE repository = ? AND name = ?", repository, tag)
    return str(found[0][0]) if found else None


def _actor(change: Change) -> Actor:
    return Actor(change.caller.name, change.caller.address)
