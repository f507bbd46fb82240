from __future__ import annotations

import json

import pytest

from naru.errors import Forbidden, InvalidArgument, NaruError, NotFound, Unauthenticated, Unavailable
from naru.oci.reference import parse
from naru.remote.answers import (
    Limited,
    Unknown,
    clean,
    pull_refusal,
    redact,
    refusal,
    retry_after_s,
    token_refusal_text,
)

GET = 'Get "https://r/v2/"'


def body(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(
    ("status", "raw", "anonymous", "kind", "text"),
    [
        (404, body("MANIFEST_UNKNOWN", "manifest unknown"), True, Unknown, "manifest for alpine:nope not found: manifest unknown: manifest unknown"),
        (404, b"<html>", True, Unknown, "manifest for alpine:nope not found: manifest unknown: manifest unknown"),
        (404, body("NAME_UNKNOWN", ""), True, Unknown, "repository alpine not found: name unknown: repository name not known to registry"),
        (404, body("NOT_FOUND", "no such project"), True, Unknown, f"{GET}: not found: no such project"),
        (401, body("UNAUTHORIZED", "authentication required"), True, NotFound, "pull access denied for alpine, repository does not exist or may require 'docker login': unauthorized: authentication required"),
        (401, b"", False, Unauthenticated, "unauthorized: authentication required"),
        (403, body("DENIED", "requested access to the resource is denied"), False, NotFound, "pull access denied for alpine, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"),
        (429, body("TOOMANYREQUESTS", "slow down"), True, Limited, f"{GET}: toomanyrequests: slow down"),
        (503, b"", True, Unavailable, f"{GET}: unexpected status code 503"),
    ],
)  # fmt: skip
def test_pulls_are_refused_in_dockers_words(
    status: int, raw: bytes, anonymous: bool, kind: type[NaruError], text: str
) -> None:
    error = pull_refusal(status, raw, parse("alpine:nope"), GET, hidden=anonymous)
    assert (type(error), str(error)) == (kind, text)


def test_other_refusals() -> None:
    assert str(refusal(403, b"", "")) == "denied: requested access to the resource is denied"
    assert isinstance(refusal(403, b"", ""), Forbidden)
    assert isinstance(refusal(400, body("MANIFEST_INVALID", "bad"), ""), InvalidArgument)


def test_foreign_text_is_cut_and_freed_of_control_characters() -> None:
    assert clean("a\x1b[31m\r\nb" + "x" * 2000) == "a [31m  b" + "x" * 991
    assert "\x1b" not in str(refusal(400, body("X\x1b", "\x1b]0;owned\x07"), ""))
    assert redact("https://user:pw@s3.example/blob?X-Amz-Signature=secret#f") == "https://s3.example/blob"


def test_retry_after() -> None:
    assert retry_after_s("7", 0) == 7
    assert retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 50) == 10
    assert retry_after_s("Thu, 01 Jan 1970 00:00:01 GMT", 50) == 0
    assert [retry_after_s(text, 0) for text in ("", "soon", "-1")] == [None, None, None]


def test_token_servers_words() -> None:
    assert token_refusal_text(b'{"details":"incorrect username or password"}') == "incorrect username or password"
    assert token_refusal_text(body("DENIED", "no")) == "no"
    assert token_refusal_text(b"<html>") == ""
