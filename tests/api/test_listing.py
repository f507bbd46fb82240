"""Filters of the container list that are more than a comparison, in Docker's words where they are wrong."""

from __future__ import annotations

from typing import Any, cast

import pytest

from naru.api.listing import _is_task, _ports
from naru.containers.engine import Engine
from naru.errors import Internal, InvalidArgument


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["80"], {(80, "tcp")}),
        (["80/UDP", "1-2"], {(80, "udp"), (1, "tcp"), (2, "tcp")}),
        (["7-7/sctp"], {(7, "sctp")}),
        ([], set()),
    ],
)
def test_ports(values: list[str], wanted: set[tuple[int, str]]) -> None:
    assert _ports("expose", values) == wanted


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "error while looking up for publish x: invalid start port 'x': invalid syntax"),
        ("99999", "error while looking up for publish 99999: invalid start port '99999': value out of range"),
        ("1-x/udp", "error while looking up for publish 1-x/udp: invalid end port 'x': invalid syntax"),
        ("2-1", "error while looking up for publish 2-1: invalid port range: 2-1"),
        ("1:2", "filter for 'publish' should not contain ':': 1:2"),
    ],
)
def test_no_ports(value: str, words: str) -> None:
    with pytest.raises(Internal) as caught:
        _ports("publish", [value])
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("values", "taken"), [(["0"], True), (["false"], True), (["1"], False), (["true", "1"], False)]
)
def test_nothing_here_is_a_task(values: list[str], taken: bool) -> None:
    [test] = _is_task(cast(Engine, None), values)
    assert test(cast(Any, None)) is taken


@pytest.mark.parametrize("values", [["x"], ["0", "1"], []])
def test_no_tasks(values: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'is-task"):
        list(_is_task(cast(Engine, None), values))
