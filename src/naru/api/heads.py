"""The head of a request, as far as the parser does not judge it: where it ends, and what it may not say. Pure."""

from __future__ import annotations

import re

_END = b"\r\n\r\n"
_LINE = re.compile(rb"[^ \r\n]+ [^ \r\n]+ HTTP/([0-9]\.[0-9])\r\n")
_SPACED_NAME = re.compile(rb"\r\n[^:\s]+[ \t]+:")
_VERSION = "505 HTTP Version Not Supported: unsupported protocol version"


class BadRequest(Exception):
    """The bytes are not HTTP that we take: the answer's status line (without the version), body and Content-Type."""

    def __init__(self, status: str, body: str = "", kind: str = "text/plain; charset=utf-8") -> None:
        super().__init__(status)
        self.status, self.body, self.kind = status, body or status, kind


def verdict(head: bytes, *, unknown_method: bool) -> BadRequest:
    """How Go's server, and Docker behind it, would answer a head that the parser has refused."""
    line = _LINE.match(head)
    if line is None:
        return BadRequest("400 Bad Request")
    if line[1] not in (b"1.0", b"1.1"):
        return BadRequest(_VERSION)
    if _SPACED_NAME.search(head):
        return BadRequest("400 Bad Request: invalid header name")
    if unknown_method:
        return BadRequest("404 Not Found", '{"message":"page not found"}\n', "application/json")
    return BadRequest("400 Bad Request")


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
        raise BadRequest(_VERSION)
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
            raise BadRequest("501 Not Implemented", "Unsupported transfer encoding")
