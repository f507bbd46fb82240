"""From a request's JSON to a struct, with the manners of Go's decoder, which every Docker client relies on.

Keys match in any letter case, null leaves a field at its default, unknown keys are ignored, and a value of the wrong
type is an error in Go's words: clients show it to people.
"""

from __future__ import annotations

import re
import types
import typing
from functools import cache
from typing import Any, TypeVar

import msgspec

from naru.errors import InvalidArgument

S = TypeVar("S", bound=msgspec.Struct)

_ENCODER = msgspec.json.Encoder(enc_hook=str)  # a Digest is a str of its own kind
_GO_KIND = {dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "bool"}
_GO_TYPE = {"str": "string", "int": "int64", "bool": "bool", "object": "map[string]string", "array": "[]string"}
_INT64 = -(1 << 63), (1 << 63) - 1
_WRONG = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `\$\.?([^`]*)`)?")


def decode_object(raw: bytes, kind: type[S], go_name: str = "", *, prefix: str = "") -> S:
    """The struct that raw says. `go_name` is Docker's name of the type, `prefix` what stands before a field in errors.

    Raises InvalidArgument.
    """
    value = parse_json(raw)
    if value is None:
        return kind()
    if not isinstance(value, dict):
        what = _GO_KIND[type(value)]
        raise InvalidArgument(f"invalid JSON: json: cannot unmarshal {what} into Go value of type {go_name}")
    try:
        return msgspec.convert(_fold(value, kind), kind, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid JSON: {_in_go_words(str(error), prefix or go_name)}") from error


def parse_json(raw: bytes) -> Any:
    """One JSON value and nothing after it. Raises InvalidArgument in the words of Go's decoder."""
    text = raw.strip()
    if not text:
        raise InvalidArgument("invalid JSON: EOF")
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = str(error)
        if "trailing characters" in message:
            raise InvalidArgument("unexpected content after JSON") from error
        if "truncated" in message:
            raise InvalidArgument("invalid JSON: unexpected EOF") from error
        first = text[:1].decode("utf-8", "replace")
        raise InvalidArgument(f"invalid JSON: invalid character {first!r} looking for beginning of value") from error


def _decode(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except UnicodeDecodeError:  # Go puts U+FFFD for each byte that is not UTF-8
        return msgspec.json.decode(text.decode("utf-8", "replace"))


def encode(value: Any) -> bytes:
    """JSON as Docker writes it: compact, UTF-8, structs under their wire names. JavaScript's line ends are escaped."""
    out = _ENCODER.encode(value)
    if b"\xe2\x80" in out:
        out = out.replace("\u2028".encode(), rb"\u2028").replace("\u2029".encode(), rb"\u2029")
    return out


def builtins(value: msgspec.Struct) -> dict[str, Any]:
    """A struct as plain dicts and lists under its wire names."""
    return typing.cast(dict[str, Any], msgspec.to_builtins(value))


def from_builtins(value: Any, kind: type[S]) -> S:
    """The inverse of `builtins`, for records that we stored ourselves."""
    return msgspec.convert(value, kind)


def replace_struct(value: S, **changes: Any) -> S:
    """A copy with these attributes changed."""
    return msgspec.structs.replace(value, **changes)


def subset(value: msgspec.Struct, kind: type[S]) -> S:
    """The fields that `kind`, a base of value's type, has."""
    return kind(**{name: getattr(value, name) for name in kind.__struct_fields__})


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, tuple[str, Any]]:
    return {f.encode_name.lower(): (f.encode_name, f.type) for f in msgspec.structs.fields(kind)}


def _fold(value: Any, kind: Any) -> Any:
    """value with keys in the spelling of `kind` and without nulls where kind is a struct."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        for option in typing.get_args(kind):
            folded = _fold(value, option)
            if folded is not value:
                return folded
        return value
    if origin is list and isinstance(value, list):
        (inner,) = typing.get_args(kind)
        return [_fold(item, inner) for item in value]
    if origin is tuple and isinstance(value, list):  # a Go array: what is too much is dropped, what is missing is zero
        size = len(typing.get_args(kind))
        return [*value, *[0] * size][:size]
    if origin is dict and isinstance(value, dict):
        inner = typing.get_args(kind)[1]
        return {key: _fold(item, inner) for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        table = _fields(kind)
        out = {}
        for key, item in value.items():
            known = table.get(key.lower())
            if known is not None and item is not None:
                out[known[0]] = _fold(item, known[1])
        return out
    if kind is int and type(value) is int and not _INT64[0] <= value <= _INT64[1]:
        raise InvalidArgument(f"invalid JSON: json: cannot unmarshal number {value} into Go value of type int64")
    return value


def _in_go_words(message: str, prefix: str) -> str:
    match = _WRONG.match(message)
    if match is None:
        return message
    wanted, got, path = match.groups()
    wanted = wanted.split(" | ")[0]
    kind = {"int": "number", "float": "number", "str": "string"}.get(got, got)
    field = re.sub(r"\[[^\]]*\]", "", path or "")
    return f"json: cannot unmarshal {kind} into Go struct field {prefix}.{field} of type {_GO_TYPE.get(wanted, wanted)}"
