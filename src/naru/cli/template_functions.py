"""Functions of templates: Go's predefined ones and those that Docker adds (docs.docker.com/go/formatting), and how values print.

Pure. Errors are TemplateError, or TypeError for a wrong number of arguments.
"""

from __future__ import annotations

from naru.client import jsontext
from naru.client.http import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class TemplateError(Exception):
    """In the words of Go's text/template."""


class Missing:
    """A key that a map does not have; prints as Go prints it, and is false."""

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key


def truth(value: Any) -> bool:
    """Go's idea: empty strings, lists, maps, zero, nil and what is missing are false."""
    return bool(value) and not isinstance(value, Missing)


def go_text(value: Any) -> str:
    """As {{.}} prints it (fmt's %v)."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Missing):
        return "<no value>"
    return _inner(value)


def _inner(value: Any) -> str:
    if value is None:
        return "<nil>"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_inner(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(_inner(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:g}" if value < 1e21 else repr(value)
    return str(value)


def _json(value: Any) -> str:
    if isinstance(value, Missing):
        value = None
    if hasattr(value, "as_dict"):  # rows are encoded by json.Marshal, which escapes, and other values are not
        return jsontext.encode(value.as_dict(), escape_html=True)
    return jsontext.encode(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")  # the zero value of the maps that people index: strings
        elif isinstance(value, (list, str)):
            if not isinstance(key, int):
                raise TemplateError(f"error calling index: cannot index slice/array with type {type(key).__name__}")
            if not 0 <= key < len(value):
                raise TemplateError(f"error calling index: index out of range: {key}")
            value = value[key]
        else:
            raise TemplateError("error calling index: index of untyped nil")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, (str, list)):
        raise TemplateError(f"error calling slice: can't slice item of type {type(value).__name__}")
    low, high = (*bounds, 0)[0], bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= low <= high <= len(value):
        raise TemplateError(f"error calling slice: index out of range: {high}")
    return value[low:high]


def _len(value: Any) -> int:
    if not isinstance(value, (str, list, dict)):
        raise TemplateError(f"error calling len: len of type {'nil' if value is None else type(value).__name__}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _plain(value: Any) -> Any:
    return None if isinstance(value, Missing) else value


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("error calling eq: missing argument for comparison")
    return any(_plain(first) == _plain(other) for other in others)


def _ordered(name: str, test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(first: Any, second: Any) -> bool:
        if isinstance(first, str) != isinstance(second, str) or not isinstance(first, (str, int, float)):
            raise TemplateError(f"error calling {name}: incompatible types for comparison")
        return test(first, second)

    return compare


def _text(function: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"error calling {function}: wrong type for value; expected string")
    return value


def _join(items: Any, separator: str) -> str:
    if not isinstance(items, list):
        raise TemplateError("error calling join: wrong type for value; expected []string")
    return separator.join(go_text(item) for item in items)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _print(*values: Any) -> str:
    out = ""
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            out += " "
        out += go_text(value)
    return out


def _println(*values: Any) -> str:
    return " ".join(go_text(value) for value in values) + "\n"


def printf(form: str, *values: Any) -> str:
    """Go's verbs %v %s %q %d %t %f %g %e %x %X %o %b %c %U %% with flags, width and precision."""
    out, rest, left = [], form, list(values)
    while True:
        text, percent, rest = rest.partition("%")
        out.append(text)
        if not percent:
            break
        end = 0
        while end < len(rest) and rest[end] in "+-# 0123456789.":
            end += 1
        flags, verb, rest = rest[:end], rest[end : end + 1], rest[end + 1 :]
        if verb == "%":
            out.append("%")
        elif not verb:
            out.append("%!(NOVERB)")
        elif not left:
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_verb(flags, verb, left.pop(0)))
    return "".join(out)


def _verb(flags: str, verb: str, value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb in "dxXobcU" and isinstance(value, int) and number:
        if verb in "bU":
            body = f"{value:b}" if verb == "b" else f"U+{value:04X}"
            return ("%" + flags.replace("0", "", 1) + "s") % body
        return ("%" + flags + verb) % value
    if verb in "feEgG" and number:
        return ("%" + flags + verb) % float(value)
    if verb in "xX" and isinstance(value, str):
        return ("%" + flags + "s") % (value.encode().hex() if verb == "x" else value.encode().hex().upper())
    if verb == "q":
        return ("%" + flags + "s") % jsontext.encode(go_text(value))
    if verb == "t" and isinstance(value, bool):
        return ("%" + flags + "s") % _inner(value)
    if verb in "vs":
        text = go_text(value)
        return ("%" + flags.replace("+", "").replace("#", "") + "s") % text
    return f"%!{verb}({type(value).__name__}={go_text(value)})"


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: values[-1],  # evaluated by the template, which stops early
    "or": lambda *values: values[-1],
    "not": lambda value: not truth(value),
    "eq": _eq,
    "ne": lambda first, second: not _eq(first, second),
    "lt": _ordered("lt", lambda a, b: bool(a < b)),
    "le": _ordered("le", lambda a, b: bool(a <= b)),
    "gt": _ordered("gt", lambda a, b: bool(a > b)),
    "ge": _ordered("ge", lambda a, b: bool(a >= b)),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "json": _json,
    "split": lambda text, separator: _text("split", text).split(separator) if separator else list(text),
    "join": _join,
    "title": lambda text: _text("title", text).title(),
    "lower": lambda text: _text("lower", text).lower(),
    "upper": lambda text: _text("upper", text).upper(),
    "pad": _pad,
    "truncate": _truncate,
    "print": _print,
    "println": _println,
    "printf": printf,
    "urlquery": lambda value: quote(go_text(value)).replace("/", "%2F").replace(":", "%3A").replace("%20", "+"),
}
