from __future__ import annotations

import pytest

from naru.api.heads import head_end, verdict


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


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", "400 Bad Request"),
        (b"x / HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"x / HTTP/1.1\r\nA : b\r\n\r\n", "400 Bad Request: invalid header name"),
        (b"x / HTTP/3.7\r\nA : b\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
        (b"x / HTTP/1.1\nA: b\n\n", "400 Bad Request"),
        (b"half a line that came lat", "400 Bad Request"),
    ],
)
def test_what_a_refused_head_is_answered(head: bytes, status: str) -> None:
    assert verdict(head, unknown_method=True).status == status
