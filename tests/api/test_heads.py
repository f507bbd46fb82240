from __future__ import annotations

import pytest

from naru.api.heads import head_end


@pytest.mark.parametrize(
    ("before", "data", "at", "end"),
    [
        (b"", b"", 0, -1),
        (b"", b"a\r\n\r\nb", 0, 5),
        (b"", b"a\r\n\r\nb\r\n\r\n", 5, 10),
        (b"", b"a\r\n\r\nb", 2, -1),
        (b"\r\n\r", b"\nb", 0, 1),
        (b"x\r\n", b"\r\nb", 0, 2),
        (b"x\r", b"\n\r\nb\r\n\r\n", 0, 3),
        (b"x\r\n", b"b\r\n\r\n", 0, 5),
        (b"\r\n\r", b"b\r\n\r\n", 0, 5),
        (b"\n\r\n", b"\n", 0, -1),
    ],
)
def test_where_a_head_ends(before: bytes, data: bytes, at: int, end: int) -> None:
    assert head_end(before, data, at) == end
