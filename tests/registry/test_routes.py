from __future__ import annotations

import pytest

from naru.oci.digest import Digest
from naru.registry.errors import Refusal
from naru.registry.routes import Page, Route, match, parse_content_range, parse_page, parse_reference

D = str(Digest.of(b""))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/", Route("base")),
        ("/v2", Route("base")),
        ("/v2/_catalog", Route("catalog")),
        ("/v2/a/blobs/uploads/", Route("uploads", "a")),
        ("/v2/a/b/blobs/uploads", Route("uploads", "a/b")),
        ("/v2/a/blobs/uploads/0f", Route("upload", "a", "0f")),
        (f"/v2/a/b/c/blobs/{D}", Route("blob", "a/b/c", D)),
        ("/v2/a/manifests/latest", Route("manifest", "a", "latest")),
        ("/v2/a/manifests/manifests/latest", Route("manifest", "a/manifests", "latest")),
        ("/v2/blobs/blobs/x", Route("blob", "blobs", "x")),
        ("/v2/a/tags/list", Route("tags", "a")),
        (f"/v2/a/referrers/{D}", Route("referrers", "a", D)),
        ("/v2/a", None),
        ("/v2/_oci/ext/discover", Route("extensions")),
        ("/v2/a/b/_oci/ext/discover", Route("extensions of", "a/b")),
        ("/v2/a/manifests/", None),
        ("/v1/nowhere", None),
    ],
)
def test_paths(path: str, expected: Route | None) -> None:
    assert match(path) == expected


@pytest.mark.parametrize("name", ["A", "a//b", "../a", "a/../b", "a/.", "a b", "-a", "a_", "a" * 256, "a\x00b", "é"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        match(f"/v2/{name}/manifests/x")
    assert caught.value.code == "NAME_INVALID"


@pytest.mark.parametrize(
    ("text", "code"),
    [("sha256:../x", "DIGEST_INVALID"), ("md5:aa", "DIGEST_INVALID"), ("sha256:" + "A" * 64, "DIGEST_INVALID"),
     ("-tag", "TAG_INVALID"), ("a" * 129, "TAG_INVALID"), ("..", "TAG_INVALID")],
)  # fmt: skip
def test_bad_references_are_refused(text: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_reference(text)
    assert caught.value.code == code


def test_pages() -> None:
    assert parse_page(None, None, 100) == Page(100, "")
    assert parse_page("0", "a", 100) == Page(0, "a")
    for n in (
        "1001",
        "999999999",
        "1000000000",
        "1" * 5000,
    ):  # clients go on where a page ends, and give up at an error
        assert parse_page(n, "a", 100) == Page(1000, "a")
    for n in ("-1", "x", "", "1.5", "²"):
        with pytest.raises(Refusal, match="invalid number of results"):
            parse_page(n, None, 100)


def test_content_ranges() -> None:
    assert parse_content_range("0-9") == (0, 9) == parse_content_range("bytes 0-9/10")
    for text in ("", "9-0", "a-b", "0-", "-5", "0-9,11-12"):
        with pytest.raises(Refusal):
            parse_content_range(text)
