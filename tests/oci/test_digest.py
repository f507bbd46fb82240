"""Digests and chain IDs."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.oci.digest import Digest, Hasher, chain_id, chain_ids

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("algorithm", "length"), [("sha256", 64), ("sha384", 96), ("sha512", 128)])
def test_parse(algorithm: str, length: int) -> None:
    digest = Digest.parse(f"{algorithm}:{'a' * length}")
    assert (digest.algorithm, digest.hex) == (algorithm, "a" * length)


@pytest.mark.parametrize(
    "text",
    [
        "", "sha256", "sha256:", EMPTY[:-1], EMPTY + "0", EMPTY.upper(), EMPTY.replace("e", "E"), "sha1:" + "a" * 40, "md5:" + "a" * 32,
        "sha256:../" + "a" * 61, "sha256:" + "g" * 64, f" {EMPTY}", f"{EMPTY}\n", "sha256:" + "\u0661" * 64, "a" * 10_000, "sha256+b64:" + "a" * 64,
        "sha512:" + "a" * 64,
    ],
)  # fmt: skip
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Digest.parse(text)
    assert len(str(caught.value)) < 300


@given(st.text())
def test_anything_parsed_is_safe_as_a_path(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except InvalidArgument:
        return
    assert "/" not in digest and "." not in digest and digest == text


@given(st.lists(st.binary()))
def test_a_hasher_sees_pieces_as_a_whole(pieces: list[bytes]) -> None:
    hasher = Hasher()
    for piece in pieces:
        hasher.update(piece)
    assert hasher.digest() == Digest.of(b"".join(pieces)) == "sha256:" + hashlib.sha256(b"".join(pieces)).hexdigest()


def test_an_unknown_algorithm() -> None:
    with pytest.raises(InvalidArgument):
        Hasher("sha1")
    assert Hasher("sha512").digest().algorithm == "sha512"


def test_chain_ids_as_the_specification_has_them() -> None:
    a, b, c = (Digest.of(letter) for letter in (b"a", b"b", b"c"))
    assert chain_id(()) is None
    assert chain_id((a,)) == a
    ab = Digest.of(f"{a} {b}".encode())
    assert chain_id((a, b)) == ab
    assert chain_ids((a, b, c)) == (a, ab, Digest.of(f"{ab} {c}".encode()))
    assert chain_id((b, a)) != ab
