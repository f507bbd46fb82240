from __future__ import annotations

import json
from typing import Any

import pytest

from naru.client import jsontext

VALUES = [
    None, True, False, 0, -1, 12345678901234567890, 1.5, "", "é\n\"\\\u2028", [], {}, [1, [2, {}]],
    {"a": {"b": [None, "x"]}, "": 1}, {"Size": 3126000.0},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_round_trip(value: Any) -> None:
    assert jsontext.decode(jsontext.encode(value)) == value
    assert json.loads(jsontext.encode(value)) == value
    assert json.loads(jsontext.pretty(value)) == value


@pytest.mark.parametrize("text", ["", "{", "[1,]", "1 2", "nul", '"a', "{} x"])
def test_bad_text(text: str) -> None:
    with pytest.raises(ValueError):
        jsontext.decode(text)


def test_whitespace_around() -> None:
    assert jsontext.decode(b' \r\n{"a": 1}\n') == {"a": 1}


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_stream_in_pieces_of_any_size(size: int) -> None:
    data = '{"a": "é"}\r\n{"b": 2}{"c": 3}\n\n[4]'.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert list(jsontext.decode_stream(iter(pieces))) == [{"a": "é"}, {"b": 2}, {"c": 3}, [4]]


def test_html_is_escaped_only_if_asked() -> None:
    assert jsontext.encode("a<b>&") == '"a<b>&"'
    assert jsontext.encode("a<b>&", escape_html=True) == '"a\\u003cb\\u003e\\u0026"'


def test_pretty_is_dockers() -> None:
    assert jsontext.pretty([{"a": [], "b": {}, "c": [1]}]) == (
        '[\n    {\n        "a": [],\n        "b": {},\n        "c": [\n            1\n        ]\n    }\n]'
    )
