"""Manifests, indexes and configs: strict about what decides where bytes go."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.oci.digest import Digest
from naru.oci.image import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    dump_json,
    load_json,
)

D = Digest.of(b"x")
LAYER = {"mediaType": OCI_LAYER_GZIP, "digest": D, "size": 5}
CONFIG = {"mediaType": OCI_CONFIG, "digest": D, "size": 7}
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}


def raw(value: Any) -> bytes:
    return json.dumps(value, indent=3).encode()


def test_a_manifest_keeps_its_bytes() -> None:
    bytes_ = raw({**MANIFEST, "unknown": [1], "annotations": {"a": "b", "c": 1}})
    manifest = Manifest.parse(bytes_)
    assert manifest.descriptor == Descriptor(OCI_MANIFEST, Digest.of(bytes_), len(bytes_))
    assert manifest.layers == (Descriptor(OCI_LAYER_GZIP, D, 5),) and manifest.annotations == {"a": "b"}


def test_media_types_have_to_agree() -> None:
    without = {k: v for k, v in MANIFEST.items() if k != "mediaType"}
    assert Manifest.parse(raw(without), DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
    with pytest.raises(InvalidArgument, match="is not the Content-Type"):
        Manifest.parse(raw(MANIFEST), DOCKER_MANIFEST)
    with pytest.raises(InvalidArgument, match="is not the Content-Type"):
        Index.parse(raw({"mediaType": OCI_INDEX, "manifests": []}), DOCKER_INDEX)


@pytest.mark.parametrize("extra", [{"manifests": []}, {"manifests": None}])
def test_mixed_bodies_are_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="both an image manifest and an index"):
        Manifest.parse(raw({**MANIFEST, **extra}))
    with pytest.raises(InvalidArgument, match="both an image manifest and an index"):
        Index.parse(raw({"manifests": [], "layers": []}))


@pytest.mark.parametrize("size", [-1, 1 << 53, 10**400, 1.5, "7", None, True, [7]])
def test_absurd_sizes(size: object) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Manifest.parse(raw({**MANIFEST, "layers": [{**LAYER, "size": size}]}))
    assert "layers[0]" in str(caught.value) or "invalid JSON" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "change",
    [
        {"config": None}, {"config": {}}, {"config": []}, {"layers": None}, {"layers": {}}, {"layers": [7]}, {"layers": [{**LAYER, "digest": "sha256:../x"}]},
        {"layers": [{**LAYER, "digest": 7}]}, {"layers": [{**LAYER, "mediaType": ""}]}, {"subject": 7}, {"subject": {}},
    ],
)  # fmt: skip
def test_broken_manifests(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Manifest.parse(raw({**MANIFEST, **change}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b"{}{}",
    ],
)
def test_what_is_no_json_object(text: bytes) -> None:
    with pytest.raises(InvalidArgument):
        load_json(text, "thing")


def test_build_and_parse_are_inverse() -> None:
    made = Manifest.build(Descriptor(OCI_CONFIG, D, 7), (Descriptor(OCI_LAYER_GZIP, D, 5),), {"a": "b"})
    assert Manifest.parse(made.raw) == made


def index(*platforms: Platform | None, media_type: str = OCI_MANIFEST) -> Index:
    children = [Descriptor(media_type, Digest.of(str(n).encode()), n, {}, p) for n, p in enumerate(platforms)]
    return Index.parse(raw({"manifests": [child.to_json() for child in children]}))


AMD, ARM6, ARM7, ARM64 = (
    Platform(),
    Platform("linux", "arm", "v6"),
    Platform("linux", "arm"),
    Platform("linux", "arm64", "v8"),
)
UNKNOWN = Platform("unknown", "unknown")


@pytest.mark.parametrize(
    ("found", "wanted", "chosen"),
    [
        (index(ARM64, AMD, AMD), AMD, 1),
        (index(ARM6, ARM7), Platform("linux", "arm", "v7"), 1),
        (index(AMD, ARM64), Platform("linux", "arm64"), 1),
        (index(AMD), ARM64, None),
        (index(None), ARM64, 0),
        (index(None, None), ARM64, None),
        (index(UNKNOWN, AMD), AMD, 1),
        (index(UNKNOWN), AMD, None),
        (index(), AMD, None),
        (index(AMD, media_type=OCI_LAYER_GZIP), AMD, None),
    ],
)
def test_choosing_from_an_index(found: Index, wanted: Platform, chosen: int | None) -> None:
    child = found.choose(wanted)
    assert (child.size if child else None) == chosen


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", AMD), ("amd64", AMD), ("x86_64", AMD), ("LINUX/AARCH64", Platform("linux", "arm64")), ("linux/arm/v6", ARM6),
        ("linux", Platform("linux", "")),
    ],
)  # fmt: skip
def test_platforms(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform


@pytest.mark.parametrize("text", ["", "/", "a/b/c/d", "linux/", "linux/a b", "linux/\u00e9/", "//"])
def test_no_platforms(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Platform.parse(text)


def test_a_config_is_read_and_written() -> None:
    history = (History("2020", "RUN x", "me", "why"), History(created_by="ENV", empty_layer=True))
    made = ImageConfig.build(
        platform=ARM6, run={"Cmd": ["sh"]}, diff_ids=(D,), history=history, created="2020", author="me"
    )
    assert ImageConfig.parse(made.raw) == made
    assert made.chain_id == D and made.descriptor.digest == Digest.of(made.raw)


@pytest.mark.parametrize(
    "document",
    [
        {"rootfs": {"diff_ids": 7}},
        {"rootfs": {"diff_ids": [7]}},
        {"rootfs": {"diff_ids": ["x"]}},
        {"config": []},
        {"history": {"a": 1}},
        {"history": [7]},
    ],
)
def test_broken_configs(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        ImageConfig.parse(raw(document))


def test_a_config_without_anything_is_an_empty_image() -> None:
    made = ImageConfig.parse(b"{}")
    assert made.diff_ids == () and made.chain_id is None and made.run == {}
    assert len(ImageConfig.parse(raw({"rootfs": {"diff_ids": [D] * 10_000}})).diff_ids) == 10_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(), c, max_size=3),
)


@given(json_values)
def test_any_json_is_parsed_or_refused(value: Any) -> None:
    for document in (
        value,
        {"config": value, "layers": [value]},
        {"rootfs": value, "config": value, "history": value},
        {"manifests": [value]},
    ):
        for parse in (Manifest.parse, Index.parse, ImageConfig.parse):
            try:
                parse(raw(document))
            except InvalidArgument:
                continue


@given(json_values)
def test_dump_is_read_back(value: Any) -> None:
    assert load_json(dump_json({"v": value}), "v") == {"v": value}
