"""What it means to match a filter: one meaning for containers, images, networks, volumes and events."""

from __future__ import annotations

import pytest

from naru.wire.filters import has_labels, name_matches


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [([], True), (["a"], True), (["a=1"], True), (["a=2"], False), (["a", "b="], True), (["b=x"], False), (["c"], False), (["a", "c"], False)],
)  # fmt: skip
def test_labels(wanted: list[str], matches: bool) -> None:
    assert has_labels({"a": "1", "b": ""}, wanted) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"), [("web", True), ("eb", True), ("^web$", True), ("w.b", True), ("x", False), ("^b", False), ("[", False)]
)  # fmt: skip
def test_names(pattern: str, matches: bool) -> None:
    assert name_matches(pattern, "web") is matches
