"""JSON text (RFC 8259) to plain values and back, with the C parts of the standard library but without its `json` package.

`import json` brings `re` along, which takes about as long as a whole `naru ps`; the C scanner underneath needs neither.
Pure: no I/O.
"""

from __future__ import annotations

from _json import encode_basestring, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SPACE = " \t\r\n"


class _Settings:
    """What the C scanner reads its options from: those of `json.JSONDecoder()`."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner shares key strings through it


_scan: Any = make_scanner(_Settings)  # type: ignore[arg-type]


def _values(text: str) -> Iterator[Any]:
    position, end = 0, len(text)
    while True:
        while position < end and text[position] in _SPACE:
            position += 1
        if position == end:
            return
        try:
            value, position = _scan(text, position)
        except StopIteration as error:
            raise ValueError(f"not JSON at character {error.value}: {text[position : position + 40]!r}") from error
        except SystemError as error:
            # the scanner's own exception is one of `json`'s, and without that it raises this (CPython 3.11, `raise_errmsg`)
            raise ValueError(f"not JSON after character {position}: {text[position : position + 40]!r}") from error
        yield value


def decode(data: bytes | str) -> Any:
    """The one value in data. Raises ValueError."""
    text = data if isinstance(data, str) else data.decode()
    found = list(_values(text))
    if len(found) != 1:
        raise ValueError(f"{len(found)} JSON values where one was expected: {text[:80]!r}")
    return found[0]


def decode_stream(pieces: Iterator[bytes]) -> Iterator[Any]:
    """The values of a stream that ends each with a newline, as they come. Raises ValueError."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n") if rest else piece.split(b"\n")
        for line in lines:
            yield from _values(line.decode())
    yield from _values(rest.decode())


_WORDS = {None: "null", True: "true", False: "false"}


def encode(value: Any, *, escape_html: bool = False) -> str:
    """Compact JSON; `escape_html` writes <, > and & as Go's encoder does by default."""
    text = _encode(value)
    if escape_html:
        text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return text


def _encode(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or value is True or value is False:
        return _WORDS[value]
    if isinstance(value, dict):
        return "{" + ",".join([f"{encode_basestring(str(k))}:{_encode(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([_encode(v) for v in value]) + "]"
    return _number(value)


def _number(value: float) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def pretty(value: Any, indent: str = "    ", _level: str = "") -> str:
    """JSON over several lines, as `docker inspect` prints it: empty lists and objects stay on one."""
    inner = _level + indent
    if isinstance(value, dict) and value:
        items = [f"{encode_basestring(str(k))}: {pretty(v, indent, inner)}" for k, v in value.items()]
    elif isinstance(value, list) and value:
        items = [pretty(v, indent, inner) for v in value]
    else:
        return _encode(value)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(items) + f"\n{_level}{closing}"
