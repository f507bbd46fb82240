"""What receivers of webhooks get, how they know that it is genuine, and how long a hub keeps trying."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from naru.errors import InvalidArgument
from naru.hub.peers.webhooks import (
    RETRY_DELAYS_S,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Event,
    HookRepository,
    body,
    docker_hub_push,
    envelope,
    headers,
    next_attempt_s,
    signature_headers,
    verify,
)

NOW = 1_800_000_000.75
REPOSITORY = HookRepository(
    "ann", "app", "https://hub.example/r/ann/app", "A blurb", "# App é", True, False, 3, 1_700_000_000.5
)


def test_docker_hubs_push() -> None:
    assert docker_hub_push(REPOSITORY, "latest", "bob", NOW) == {
        "push_data": {"pushed_at": 1_800_000_000, "pusher": "bob", "tag": "latest", "images": []},
        "repository": {
            "status": "Active", "namespace": "ann", "name": "app", "repo_name": "ann/app", "repo_url": "https://hub.example/r/ann/app",
            "owner": "ann", "description": "A blurb", "full_description": "# App é", "dockerfile": "", "is_private": True,
            "is_official": False, "is_trusted": False, "star_count": 3, "comment_count": 0, "date_created": 1_700_000_000,
        },
    }  # fmt: skip
    assert (
        docker_hub_push(REPOSITORY, "1", "bob", NOW, "https://hub.example/cb")["callback_url"]
        == "https://hub.example/cb"
    )


def test_the_envelope() -> None:
    event = Event("0123", "tag.pushed", NOW, "bob", REPOSITORY, {"tag": "latest"})
    assert envelope(event) == {
        "id": "0123", "event": "tag.pushed", "at": "2027-01-15T08:00:00.750Z", "actor": {"name": "bob"},
        "repository": {
            "namespace": "ann", "name": "app", "full_name": "ann/app", "url": "https://hub.example/r/ann/app", "is_private": True,
        },
        "data": {"tag": "latest"},
    }  # fmt: skip
    ping = envelope(Event("1", "ping", 0, ""))
    assert (ping["actor"], ping["repository"], ping["data"], ping["at"]) == (None, None, {}, "1970-01-01T00:00:00.000Z")
    assert json.loads(body(envelope(event))) == envelope(event)


def test_a_signature_is_what_the_manual_says() -> None:
    data, secret = '{"a":"é"}'.encode(), b"secret"
    signed = signature_headers(data, secret, NOW)
    expected = hmac.new(secret, b"1800000000." + data, hashlib.sha256).hexdigest()
    assert signed == {"X-Naru-Timestamp": "1800000000", "X-Naru-Signature-256": f"sha256={expected}"}
    event = Event("0123", "tag.pushed", NOW, "bob")
    assert headers(event, data, secret, NOW) == {
        "Content-Type": "application/json", "X-Naru-Event": "tag.pushed", "X-Naru-Delivery": "0123", **signed,
    }  # fmt: skip
    assert SIGNATURE_HEADER not in headers(event, data, b"", NOW)
    with pytest.raises(InvalidArgument):
        signature_headers(data, b"", NOW)


def test_receivers_can_tell() -> None:
    data, secret = b'{"a":1}', b"secret"
    signed = signature_headers(data, secret, NOW)
    timestamp, signature = signed[TIMESTAMP_HEADER], signed[SIGNATURE_HEADER]
    assert verify(data, secret, timestamp, signature, NOW)
    assert verify(data, secret, timestamp, signature, NOW + 299)
    assert verify(data, secret, timestamp, signature, NOW - 299)  # the receiver's clock may be behind
    for late in (301, -302, 10**9):
        assert not verify(data, secret, timestamp, signature, NOW + late)
    assert not verify(data + b" ", secret, timestamp, signature, NOW)
    assert not verify(data, b"secreT", timestamp, signature, NOW)
    assert not verify(data, secret, "1800000001", signature, NOW)
    # what is in the timestamp cannot be moved into the body
    assert not verify(b"0." + data, secret, timestamp[:-1], signature, NOW, 10**12)
    assert not verify(data, b"", timestamp, "sha256=" + hmac.digest(b"", b"1800000000." + data, "sha256").hex(), NOW)


@pytest.mark.parametrize(
    ("timestamp", "signature"),
    [
        ("", ""),
        ("x", "sha256="),
        ("-1", "é"),
        ("9" * 5000, "\ud800"),
        ("1800000000", "\udcff"),
        ("१", "sha1=00"),
        ("1e9", "sha256=" + "0" * 64),
    ],
)
def test_nonsense_is_not_genuine(timestamp: str, signature: str) -> None:
    assert not verify(b"{}", b"secret", timestamp, signature, NOW)


def test_it_is_tried_for_a_day_and_ever_less_often() -> None:
    delays = [next_attempt_s(attempts, 0.5) for attempts in range(1, len(RETRY_DELAYS_S) + 1)]
    assert delays == [float(delay) for delay in RETRY_DELAYS_S] == sorted(RETRY_DELAYS_S)
    assert 23 * 3600 < sum(RETRY_DELAYS_S) < 25 * 3600
    assert next_attempt_s(len(RETRY_DELAYS_S) + 1, 0.5) is None
    assert next_attempt_s(10**9, 0.5) is None
    assert (next_attempt_s(1, 0.0), next_attempt_s(1, 1.0)) == (22.5, 37.5)
    with pytest.raises(InvalidArgument):
        next_attempt_s(0, 0.5)
