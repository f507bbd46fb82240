from __future__ import annotations

import pytest

from naru.cli.references import full_name, split, with_default_tag

D = "sha256:" + "0" * 64
CASES = [
    ("alpine", ("alpine", "", ""), "alpine:latest", "docker.io/library/alpine"),
    ("alpine:3", ("alpine", "3", ""), "alpine:3", "docker.io/library/alpine:3"),
    ("me/app", ("me/app", "", ""), "me/app:latest", "docker.io/me/app"),
    ("h:5000/app", ("h:5000/app", "", ""), "h:5000/app:latest", "h:5000/app"),
    ("h:5000/app:1", ("h:5000/app", "1", ""), "h:5000/app:1", "h:5000/app:1"),
    (f"localhost/a@{D}", ("localhost/a", "", D), f"localhost/a@{D}", f"localhost/a@{D}"),
    (f"a:1@{D}", ("a", "1", D), f"a:1@{D}", f"docker.io/library/a:1@{D}"),
    ("index.docker.io/a/b", ("index.docker.io/a/b", "", ""), "index.docker.io/a/b:latest", "docker.io/a/b"),
]


@pytest.mark.parametrize(("text", "parts", "tagged", "full"), CASES)
def test_references(text: str, parts: tuple[str, str, str], tagged: str, full: str) -> None:
    assert (split(text), with_default_tag(text), full_name(text)) == (parts, tagged, full)
