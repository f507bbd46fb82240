"""Two images side by side."""

from __future__ import annotations

from typing import Any

import pytest

from naru.hub.catalog.compare import Change, compare
from naru.oci.digest import Digest
from naru.oci.image import OCI_LAYER_GZIP, Descriptor


def stack(letters: str) -> tuple[Descriptor, ...]:
    """A layer per letter, of 1 byte for a, 2 for b, …"""
    return tuple(Descriptor(OCI_LAYER_GZIP, Digest.of(letter.encode()), ord(letter) - 96) for letter in letters)


def names(layers: tuple[Descriptor, ...]) -> str:
    return "".join(chr(96 + layer.size) for layer in layers)


@pytest.mark.parametrize(
    ("before", "after", "shared", "moved", "only_before", "only_after"),
    [
        ("abc", "abc", "abc", "", "", ""),
        ("abc", "abd", "ab", "", "c", "d"),
        ("ab", "abcd", "ab", "", "", "cd"),
        ("abc", "xbc", "", "bc", "a", "x"),
        ("abc", "ac", "a", "c", "b", ""),
        ("", "ab", "", "", "", "ab"),
        ("", "", "", "", "", ""),
        ("aa", "a", "a", "", "", ""),
        ("ab", "ba", "", "ba", "", ""),
    ],
)
def test_layers(before: str, after: str, shared: str, moved: str, only_before: str, only_after: str) -> None:
    found = compare({}, stack(before), {}, stack(after))
    layers = found.shared, found.moved, found.only_before, found.only_after
    assert tuple(map(names, layers)) == (shared, moved, only_before, only_after)


def test_sizes() -> None:
    found = compare({}, stack("abc"), {}, stack("addab"))
    assert (found.size_before_bytes, found.size_after_bytes, found.size_difference_bytes) == (6, 12, 6)
    assert found.download_bytes == 4  # d once: a blob that is in an image twice is fetched once
    assert compare({}, stack("abc"), {}, ()).size_difference_bytes == -6


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    return [(c.field, c.before, c.after) for c in compare(before, (), after, ()).changes]


def test_the_fields_of_a_configuration() -> None:
    before = {
        "os": "linux", "architecture": "amd64", "created": "2025", "history": [{}], "rootfs": {"diff_ids": []},
        "config": {
            "Env": ["PATH=/bin", "OLD=1", "SAME=x=y", "EMPTY="], "Cmd": ["a", "b"], "Entrypoint": ["/é"], "User": "root",
            "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "Volumes": {"/a": {}}, "Labels": {"a": "1", "b": "2"},
            "Hostname": "abc", "WorkingDir": "/", "StopSignal": "SIGTERM",
        },
    }  # fmt: skip
    after = {
        "os": "linux", "architecture": "arm64", "variant": "v8", "created": "2026",
        "config": {
            "Env": ["SAME=x=y", "PATH=/usr/bin:/bin", "NEW="], "Cmd": ["a"], "Entrypoint": ["/é"], "User": "",
            "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}}, "Volumes": None, "Labels": {"a": "1", "b": "3", "c": ""},
            "Hostname": "def", "WorkingDir": "/", "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5},
        },
    }  # fmt: skip
    assert changes(before, after) == [
        ("architecture", "amd64", "arm64"),
        ("variant", None, "v8"),
        ("Cmd", '["a", "b"]', '["a"]'),
        ("User", "root", None),
        ("Env.EMPTY", "", None),
        ("Env.NEW", None, ""),
        ("Env.OLD", "1", None),
        ("Env.PATH", "/bin", "/usr/bin:/bin"),
        ("ExposedPorts", "443/tcp", None),
        ("ExposedPorts", None, "8080/tcp"),
        ("Volumes", "/a", None),
        ("StopSignal", "SIGTERM", None),
        ("Healthcheck", None, '{"Interval": 5, "Test": ["CMD", "x"]}'),
        ("Labels.b", "2", "3"),
        ("Labels.c", None, ""),
    ]
    assert changes(before, before) == changes(after, after) == []
    turned = [(field, right, left) for field, left, right in changes(before, after)]
    assert sorted(changes(after, before), key=str) == sorted(turned, key=str)


def test_absent_null_and_empty_are_the_same() -> None:
    nothing: list[dict[str, Any]] = [
        {}, {"config": None}, {"config": {}}, {"variant": "", "os.features": [], "config": {"Env": None, "Cmd": [], "Labels": {}}},
        {"config": {"User": "", "Volumes": {}, "ArgsEscaped": False}},
    ]  # fmt: skip
    for left in nothing:
        for right in nothing:
            assert changes(left, right) == []


def test_nonsense_is_not_set() -> None:
    nonsense = {"config": {"Env": {"A": "1"}, "Labels": [1], "ExposedPorts": "80", "Volumes": 7}}
    assert changes(nonsense, {}) == changes({"config": []}, {"config": "x"}) == []
    odd = {
        "os": 5,
        "config": {"Env": ["A", 3, "=", "B=1", "B=2"], "StopTimeout": 0, "Cmd": "text", "Labels": {"x": {"y": 1}}},
    }
    assert compare({}, (), odd, ()).changes == (
        Change("os", None, "5"), Change("Cmd", None, "text"), Change("Env.", None, ""), Change("Env.A", None, ""),
        Change("Env.B", None, "2"), Change("StopTimeout", None, "0"), Change("Labels.x", None, '{"y": 1}'),
    )  # fmt: skip
