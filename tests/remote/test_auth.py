from __future__ import annotations

import pytest

from naru.errors import Forbidden, Unauthenticated, Unavailable
from naru.remote.auth import (
    Challenge,
    Credentials,
    check_realm,
    choose,
    may_send_secret,
    merge_scopes,
    parse_challenges,
    parse_token,
)

BEARER = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([BEARER], [Challenge("bearer", "https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push")]),
        (['Basic realm="Registry Realm"'], [Challenge("basic", "Registry Realm")]),
        (["Basic"], [Challenge("basic")]),
        (['BASIC realm=x, Bearer realm="y" , service=z'], [Challenge("basic", "x"), Challenge("bearer", "y", "z")]),
        (['Bearer realm="a\\"b", error="insufficient_scope"'], [Challenge("bearer", 'a"b', error="insufficient_scope")]),
        (["Negotiate", BEARER.replace("Bearer", "bearer")], None),
        ([""], []),
        (['realm="x"'], []),
        (["Bearer realm=\"unclosed"], [Challenge("bearer")]),
    ],
)  # fmt: skip
def test_challenges_are_read(headers: list[str], expected: list[Challenge] | None) -> None:
    found = list(parse_challenges(headers))
    assert found == expected if expected is not None else choose(found) == found[1]


def test_bearer_is_chosen_before_basic_and_unknown_schemes_never() -> None:
    assert choose(parse_challenges(["Basic realm=x", BEARER])).scheme == "bearer"  # type: ignore[union-attr]
    assert choose(parse_challenges(["Digest realm=x"])) is None


def test_scopes_of_one_repository_are_merged() -> None:
    assert merge_scopes("repository:b:pull", "repository:a:pull,push repository:b:push") == (
        "repository:a:pull,push",
        "repository:b:pull,push",
    )
    assert merge_scopes("", "") == ()
    assert merge_scopes("repository:host:5000/a:pull") == ("repository:host:5000/a:pull",)


@pytest.mark.parametrize(
    ("realm", "registry", "allowed"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://gitlab.com/jwt/auth", "https://registry.gitlab.com", True),
        ("https://ghcr.io/token", "https://ghcr.io", True),
        ("https://evil.io/token", "https://ghcr.io", False),
        ("https://docker.io.evil.com/token", "https://registry-1.docker.io", False),
        ("https://auth.evil.co.uk/token", "https://registry.shop.co.uk", False),
        ("https://auth.shop.co.uk/token", "https://registry.shop.co.uk", True),
        ("http://127.0.0.1:81/t", "http://localhost:5000", True),
        ("http://10.0.0.6/t", "http://10.0.0.5:5000", False),
        ("http://10.0.0.5:81/t", "http://10.0.0.5:5000", True),
        ("https://sso.example.org/t", "https://registry.example.com", True),
    ],
)
def test_secrets_stay_on_the_registrys_site(realm: str, registry: str, allowed: bool) -> None:
    assert may_send_secret(realm, registry, {"sso.example.org"}) is allowed


def test_a_realm_must_be_a_url_and_not_less_safe_than_the_registry() -> None:
    check_realm("http://a/token", "http://a:5000")
    with pytest.raises(Forbidden):
        check_realm("http://a/token", "https://a")
    for realm in ("", "token", "file:///etc/passwd", "https://user@a/token", "https:///token"):
        with pytest.raises(Unavailable):
            check_realm(realm, "https://a")


def test_tokens_are_read() -> None:
    token = parse_token(b'{"access_token":"abc","expires_in":10,"refresh_token":"r"}', "a")
    assert (token.access, token.life_s, token.refresh) == ("abc", 60, "r")
    assert parse_token(b'{"token":"t","access_token":"a","expires_in":300}', "a").access == "t"
    for raw in (b"{}", b'{"token":""}', b'{"token":"a\\r\\nX: y"}', b'{"token":7}'):
        with pytest.raises(Unauthenticated):
            parse_token(raw, "a")


def test_credentials_do_not_show() -> None:
    shown = repr(Credentials("me", "hush", "hush", "hush"))
    assert "me" in shown and "hush" not in shown
    assert Credentials("Aladdin", "open sesame").basic() == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert not Credentials() and Credentials(registry_token="x")
