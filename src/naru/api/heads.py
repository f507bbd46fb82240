"""The head of a request, as far as the parser does not judge it: where it ends, and what it may not say. Pure."""

from __future__ import annotations

_END = b"\r\n\r\n"


class BadRequest(Exception):
    """The bytes are not HTTP that we take; `str()` is the status line's status and reason."""


def head_end(before: bytes, data: bytes, at: int) -> int:
    """Where the first head in data, from at on, ends; -1 if it does not. `before` is the end (3 bytes) of what came before
    data, if that belongs to the head. (A lone LF ends no line: llhttp refuses it.)"""
    split = (before + data[at : at + 3]).find(_END)
    if split >= 0:
        return at + split + len(_END) - len(before)
    end = data.find(_END, at)
    return end if end < 0 else end + len(_END)


def check_head(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """What RFC 9112 asks of a request beyond its grammar, in the words of Go's server. Raises BadRequest."""
    if version not in ("1.0", "1.1"):
        raise BadRequest("505 HTTP Version Not Supported: unsupported protocol version")
    hosts = [value for name, value in headers if name.lower() == b"host"]
    if len(hosts) > 1:
        raise BadRequest("400 Bad Request")
    if not hosts and version == "1.1":
        raise BadRequest("400 Bad Request: missing required Host header")
    if hosts and any(byte in b' /\\"<>^`{|}\t' or byte >= 0x7F for byte in hosts[0]):
        raise BadRequest("400 Bad Request: malformed Host header")
    for name, value in headers:
        if name.lower() == b"expect" and value.lower() not in (b"", b"100-continue"):
            raise BadRequest("417 Expectation Failed")
        if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
            raise BadRequest("501 Unsupported transfer encoding")
