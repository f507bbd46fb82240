"""What a hub tells other servers when something has happened: payloads, signatures, when to try again. Pure.

Two forms: Docker Hub's push (docs.docker.com, "Webhooks"), which receivers written for it read, and an envelope of our
own for every kind of event. Deliveries are signed as GitHub signs its, with a time inside, so that a delivery that was
overheard cannot be sent again later. Where they may go is `webhooktargets`' business.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from naru.errors import InvalidArgument
from naru.oci.image import Json, dump_json

SIGNATURE_HEADER = "X-Naru-Signature-256"
TIMESTAMP_HEADER = "X-Naru-Timestamp"
EVENT_HEADER = "X-Naru-Event"
DELIVERY_HEADER = "X-Naru-Delivery"
TOLERANCE_S = 300

# After the first attempt and each one after it. Short at first, for a receiver that restarts; then for one that is down
# over night. In all, 23.8 hours.
RETRY_DELAYS_S = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 14400, 14400, 14400, 14400)


@dataclass(frozen=True, slots=True)
class HookRepository:
    """A repository as receivers get to see it. `url` is its page (its path only, where the hub has no `--url`); `created_s` epoch seconds."""

    namespace: str
    name: str
    url: str
    description: str = ""
    full_description: str = ""
    is_private: bool = False
    is_official: bool = False
    star_count: int = 0
    created_s: float = 0.0

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the same in every attempt to deliver it; `kind` is a word like `tag.pushed`; `actor` is "" if nobody did
    it.

    `data` is what the kind has to say: `{"tag": …, "digest": …}`.
    """

    id: str
    kind: str
    at_s: float
    actor: str
    repository: HookRepository | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def docker_hub_push(repository: HookRepository, tag: str, pusher: str, pushed_s: float, callback_url: str = "") -> Json:
    """Docker Hub's payload for a pushed tag, with all its fields; times are whole epoch seconds."""
    payload: Json = {
        "push_data": {"pushed_at": int(pushed_s), "pusher": pusher, "tag": tag, "images": []},
        "repository": {
            "status": "Active",
            "namespace": repository.namespace,
            "name": repository.name,
            "repo_name": repository.full_name,
            "repo_url": repository.url,
            "owner": repository.namespace,
            "description": repository.description,
            "full_description": repository.full_description,
            "dockerfile": "",
            "is_private": repository.is_private,
            "is_official": repository.is_official,
            "is_trusted": False,  # built by Docker Hub itself, of old
            "star_count": repository.star_count,
            "comment_count": 0,
            "date_created": int(repository.created_s),
        },
    }
    return {"callback_url": callback_url, **payload} if callback_url else payload


def envelope(event: Event) -> Json:
    """`{id, event, at, actor, repository, data}`; `at` is RFC 3339 in UTC, `actor` and `repository` null if there is
    none."""
    repository = event.repository
    return {
        "id": event.id,
        "event": event.kind,
        "at": datetime.fromtimestamp(event.at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "actor": {"name": event.actor} if event.actor else None,
        "repository": repository and {
            "namespace": repository.namespace,
            "name": repository.name,
            "full_name": repository.full_name,
            "url": repository.url,
            "is_private": repository.is_private,
        },
        "data": dict(event.data),
    }  # fmt: skip


def body(payload: Json) -> bytes:
    """The bytes to send, and to sign."""
    return dump_json(payload)


def headers(event: Event, data: bytes, secret: bytes, now_s: float) -> dict[str, str]:
    """For one attempt to deliver `data`; without a secret there is no signature."""
    out = {"Content-Type": "application/json", EVENT_HEADER: event.kind, DELIVERY_HEADER: event.id}
    return {**out, **signature_headers(data, secret, now_s)} if secret else out


def signature_headers(data: bytes, secret: bytes, now_s: float) -> dict[str, str]:
    """`sha256=` and the HMAC-SHA-256 of `<timestamp>.<body>` in hexadecimal, and the timestamp: whole epoch seconds.

    Raises InvalidArgument for no secret: everybody could sign with that.
    """
    if not secret:
        raise InvalidArgument("webhook: a signature takes a secret")
    timestamp = str(int(now_s))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: _signature(data, secret, timestamp)}


def verify(
    data: bytes, secret: bytes, timestamp: str, signature: str, now_s: float, tolerance_s: float = TOLERANCE_S
) -> bool:
    """For receivers: whether this body, with the values of the two headers, was signed with this secret and lately."""
    if not (secret and timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    is_right = hmac.compare_digest(
        _signature(data, secret, timestamp).encode(), signature.encode("utf-8", "surrogateescape")
    )
    return is_right and abs(now_s - int(timestamp)) <= tolerance_s


def next_attempt_s(attempts: int, jitter: float) -> float | None:
    """How long to wait after so many attempts have failed; None: give up, after about a day.

    `jitter`, from 0 to 1, spreads what failed together: by a quarter to either side.
    """
    if attempts < 1:
        raise InvalidArgument(f"webhook: {attempts} attempts; there has been one at least")
    if attempts > len(RETRY_DELAYS_S):
        return None
    return RETRY_DELAYS_S[attempts - 1] * (0.75 + 0.5 * jitter)


def _signature(data: bytes, secret: bytes, timestamp: str) -> str:
    return "sha256=" + hmac.digest(secret, timestamp.encode() + b"." + data, "sha256").hex()
