"""References: Docker's grammar and its normal forms."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.oci.reference import parse

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("alpine", "docker.io/library/alpine", "alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("library/alpine", "docker.io/library/alpine", "alpine"),
        ("docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/alpine:1", "docker.io/library/alpine:1", "alpine:1"),
        ("me/app", "docker.io/me/app", "me/app"),
        ("a/b/c", "docker.io/a/b/c", "a/b/c"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("Host/app", "Host/app", "Host/app"),
        ("quay.io/a", "quay.io/a", "quay.io/a"),
        (f"alpine@{D}", f"docker.io/library/alpine@{D}", f"alpine@{D}"),
        (f"alpine:1@{D}", f"docker.io/library/alpine:1@{D}", f"alpine:1@{D}"),
        ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f", "a__b/c--d.e_f"),
        ("app:" + "t" * 128, "docker.io/library/app:" + "t" * 128, "app:" + "t" * 128),
    ],
)
def test_normal_forms(text: str, full: str, familiar: str) -> None:
    assert (str(parse(text)), parse(text).familiar) == (full, familiar)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "a:", ":tag", "a:b:c", "a$b", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b", "a._b", "_a", "a b", "a\n", "a@", "a@sha256:12",
        f"a@{D}@{D}", "app:" + "t" * 129, "app:-t", "app:.t", "http://a/b", "host:port/a", "a:1/b:", "[::1/a", "x" * 5000, "a.b/", "../a", "a/../b",
        "\u00e9", "app:\u00e9",
    ],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        parse(text)


def test_words_for_special_cases() -> None:
    with pytest.raises(
        InvalidArgument, match=r"^invalid reference format: repository name \(library/UPPER\) must be lowercase$"
    ):
        parse("UPPER")
    with pytest.raises(InvalidArgument, match="cannot specify 64-byte hexadecimal strings"):
        parse("a" * 64)
    with pytest.raises(InvalidArgument, match="repository name must not be more than 255 characters"):
        parse("me/" + "a" * 254)


def test_the_default_tag() -> None:
    assert parse("a").with_default_tag().tag == "latest"
    assert parse("a:1").with_default_tag().tag == "1"
    assert parse(f"a@{D}").with_default_tag().tag is None


part = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)*", fullmatch=True)
hosts = st.sampled_from(["", "localhost/", "localhost:5000/", "quay.io/", "10.0.0.1:80/", "docker.io/"])
tags = st.just("") | st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(hosts, st.lists(part, min_size=1, max_size=3).map("/".join), tags, st.sampled_from(["", f"@{D}"]))
def test_parsing_is_stable(host: str, path: str, tag: str, digest: str) -> None:
    # docker.io/a.b/c has no short form that is not a registry's (nor has it in Docker's own library)
    assume(host != "docker.io/" or "." not in path.split("/")[0])
    try:
        once = parse(host + path + tag + digest)
    except InvalidArgument:
        return  # too long, 64 hexadecimal digits, or no host's name
    assert parse(str(once)) == once == parse(once.familiar)


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        made = parse(text)
    except InvalidArgument:
        return
    assert made.host and made.path and ".." not in made.path.split("/")
