"""What may stand in a JSON document of the API: types that read a value, and tell JSON Schema (2020-12) what they read. Pure.

One table of fields is the check of a request, and the description of it and of what is answered, in the OpenAPI document. Errors begin
with the path of what is wrong: `events[0]: must be text`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from naru.errors import InvalidArgument
from naru.oci.image import Json

EXACT = 2**53 - 1  # the largest whole number that every reader of JSON knows exactly (RFC 8259 §6)


class Type(Protocol):
    def read(self, value: Any, path: str) -> Any:
        """The value, as handlers get it. Raises InvalidArgument."""

    def parse(self, text: str, path: str) -> Any:
        """The same from a query's text."""

    def schema(self) -> Json: ...


@dataclass(frozen=True, slots=True)
class Text:
    most: int = 1000  # characters
    least: int = 0
    choices: Sequence[str] = ()

    def read(self, value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise InvalidArgument(f"{path}: must be text")
        if not self.least <= len(value) <= self.most:
            raise InvalidArgument(f"{path}: must be {self.least} to {self.most} characters")
        if "\0" in value or any("\ud800" <= one <= "\udfff" for one in value):  # databases know neither
            raise InvalidArgument(f"{path}: has characters that are none")
        if self.choices and value not in self.choices:
            raise InvalidArgument(f"{path}: must be one of {', '.join(self.choices)}")
        return value

    parse = read

    def schema(self) -> Json:
        found: Json = {"type": "string", "maxLength": self.most}
        if self.least:
            found["minLength"] = self.least
        if self.choices:
            found["enum"] = list(self.choices)
        return found


@dataclass(frozen=True, slots=True)
class Number:
    """A whole one."""

    least: int = 0
    most: int = EXACT
    clamped: bool = False  # what is out of bounds is brought within, and no error

    def read(self, value: Any, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidArgument(f"{path}: must be a whole number")
        if self.clamped:
            return min(max(value, self.least), self.most)
        if not self.least <= value <= self.most:
            raise InvalidArgument(f"{path}: must be {self.least} to {self.most}")
        return value

    def parse(self, text: str, path: str) -> int:
        if not (text.isascii() and text.removeprefix("-").isdigit()):
            raise InvalidArgument(f"{path}: must be a whole number")
        digits = text[:20]  # more than any bound has, and quick to read
        return self.read(int(digits), path)

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Flag:
    def read(self, value: Any, path: str) -> bool:
        if not isinstance(value, bool):
            raise InvalidArgument(f"{path}: must be true or false")
        return value

    def parse(self, text: str, path: str) -> bool:
        if text not in ("true", "1", "false", "0"):
            raise InvalidArgument(f"{path}: must be true or false")
        return text in ("true", "1")

    def schema(self) -> Json:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Time:
    """RFC 3339 outside, epoch seconds inside."""

    def read(self, value: Any, path: str) -> float:
        try:
            if not isinstance(value, str) or len(value) > 40:
                raise ValueError
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError
            return moment.timestamp()
        except (ValueError, OverflowError) as error:
            raise InvalidArgument(f"{path}: must be a time, as 2030-01-31T12:00:00Z") from error

    parse = read

    def schema(self) -> Json:
        return {"type": "string", "format": "date-time"}


def time_text(at: float | None) -> str | None:
    """How answers write a time; None stays None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Anything:
    """What the services read for themselves, naming paths as we do."""

    kind: str = "object"

    def read(self, value: Any, path: str) -> Any:
        try:
            return _clean(value, path)
        except RecursionError as error:
            raise InvalidArgument(f"{path}: is too deep") from error

    def parse(self, text: str, path: str) -> Any:
        raise InvalidArgument(f"{path}: cannot be given in a query")

    def schema(self) -> Json:
        return {"type": "array", "items": {"type": "object"}} if self.kind == "array" else {"type": self.kind}


def _clean(value: Any, path: str) -> Any:
    """As it is, if no text in it is one that databases refuse, and no number none."""
    if isinstance(value, str):
        return Text(most=10_000).read(value, path)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgument(f"{path}: must be a number")
    if isinstance(value, dict):
        return {_clean(name, path): _clean(item, f"{path}.{name[:50]}") for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Type
    most: int = 1000
    least: int = 0

    def read(self, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise InvalidArgument(f"{path}: must be a list of {self.least} to {self.most}")
        return [self.item.read(one, f"{path}[{index}]") for index, one in enumerate(value)]

    def parse(self, text: str, path: str) -> Any:
        return self.read(text.split(","), path)

    def schema(self) -> Json:
        return {"type": "array", "items": self.item.schema(), "minItems": self.least, "maxItems": self.most}


@dataclass(frozen=True, slots=True)
class OrNull:
    type: Type

    def read(self, value: Any, path: str) -> Any:
        return None if value is None else self.type.read(value, path)

    def parse(self, text: str, path: str) -> Any:
        return self.type.parse(text, path)

    def schema(self) -> Json:
        inner = self.type.schema()
        return {"oneOf": [inner, {"type": "null"}]} if "$ref" in inner else {**inner, "type": [inner["type"], "null"]}


@dataclass(frozen=True, slots=True)
class Field:
    """`must`: it has to be given. Without, a field that was not given is not in what handlers get, or is `default` if that is not None."""

    type: Type
    about: str = ""
    must: bool = False
    default: Any = None

    def schema(self) -> Json:
        more: Json = {"description": self.about} if self.about else {}
        if self.default is not None:
            more["default"] = self.default
        return {**self.type.schema(), **more}


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Record:
    """An object that answers have, of a name in the document's components. All fields are always there, and no others."""

    name: str
    fields: Mapping[str, Type] = field(hash=False)

    def read(self, value: Any, path: str) -> Any:
        given = {name: Field(type, must=True) for name, type in self.fields.items()}
        return read_fields(given, value, path)

    def parse(self, text: str, path: str) -> Any:
        raise InvalidArgument(f"{path}: cannot be given in a query")

    def schema(self) -> Json:
        return {"$ref": f"#/components/schemas/{self.name}"}

    def definition(self) -> Json:
        properties = {name: type.schema() for name, type in self.fields.items()}
        return {"type": "object", "properties": properties, "required": list(self.fields)}


def read_fields(fields: Fields, value: Any, path: str = "", *, strict: bool = True) -> dict[str, Any]:
    """The fields of a body. Raises InvalidArgument for one that is missing, wrong or, if `strict`, unknown."""
    if not isinstance(value, dict):
        raise InvalidArgument(f"{path or 'body'}: must be an object")
    prefix = f"{path}." if path else ""
    for name in value if strict else ():
        if name not in fields:
            there = f"there are {', '.join(fields)}" if fields else "there are none"
            raise InvalidArgument(f"{prefix}{name[:50]}: there is no such field ({there})")
    found = {}
    for name, one in fields.items():
        if name in value:
            found[name] = one.type.read(value[name], prefix + name)
        elif one.must:
            raise InvalidArgument(f"{prefix}{name}: is missing")
        elif one.default is not None:
            found[name] = one.default
    return found


def read_query(fields: Fields, query: Mapping[str, str], *, strict: bool = True) -> dict[str, Any]:
    """The same of a query, whose unknown parameters are overlooked if not `strict`."""
    found = {}
    for name in query if strict else ():
        if name not in fields:
            there = f"there are {', '.join(fields)}" if fields else "there are none"
            raise InvalidArgument(f"{name[:50]}: there is no such parameter ({there})")
    for name, one in fields.items():
        if name in query:
            found[name] = one.type.parse(query[name], name)
        elif one.must:
            raise InvalidArgument(f"{name}: is missing")
        elif one.default is not None:
            found[name] = one.default
    return found


def object_schema(fields: Fields) -> Json:
    """Of a body."""
    found: Json = {"type": "object", "properties": {name: one.schema() for name, one in fields.items()}}
    if must := [name for name, one in fields.items() if one.must]:
        found["required"] = must
    return {**found, "additionalProperties": False}
