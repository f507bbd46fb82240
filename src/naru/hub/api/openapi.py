"""The OpenAPI 3.1 document of the API, made of the table of its routes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from naru.hub.api import shapes
from naru.hub.api.fields import Anything, ListOf, OrNull, Record, Type, object_schema
from naru.hub.api.routes import PREFIX, Route
from naru.oci.image import Json

_ERRORS = {
    "400": "What was asked makes no sense", "401": "Nobody is known by these credentials", "403": "Not allowed",
    "404": "Not there, or not to be seen", "409": "Its state does not allow this now",
}  # fmt: skip
_NUMBERS = ("id", "delivery")


def document(routes: Iterable[Route], title: str, version: str) -> Json:
    paths: dict[str, Json] = {}
    records: dict[str, Record] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
        if (answer := answer_of(route)) is not None:
            records.update(_records(answer))
    records.update(_records(shapes.ERROR))
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": PREFIX}],
        "security": [{"basic": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: record.definition() for name, record in sorted(records.items())},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "A name, and its password or a token"},
                "token": {"type": "http", "scheme": "bearer", "description": "A personal access token, or a robot's"},
            },
        },
    }


def answer_of(route: Route) -> Record | None:
    if route.answers is None or not route.pages:
        return route.answers
    return shapes.page_of(route.answers)


def _records(type: Type) -> Iterator[tuple[str, Record]]:
    if isinstance(type, Record):
        yield type.name, type
        for field in type.fields.values():
            yield from _records(field)
    elif isinstance(type, ListOf):
        yield from _records(type.item)
    elif isinstance(type, OrNull):
        yield from _records(type.type)


def _operation(route: Route) -> Json:
    words = [word.strip("{}") for word in route.path.split("/") if word]
    found: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *words]),
        "summary": route.about,
        "tags": [words[0]],
        "parameters": [*_path(route), *_query(route)],
        "responses": _responses(route),
    }
    if not route.login:
        found["security"] = [{}, {"basic": []}, {"token": []}]
    if route.body:
        content = {"application/json": {"schema": object_schema(route.body)}}
        found["requestBody"] = {"required": any(one.must for one in route.body.values()), "content": content}
    return found


def _path(route: Route) -> Iterator[Json]:
    for name in route.parts:
        kind = "integer" if name in _NUMBERS else "string"
        yield {"name": name, "in": "path", "required": True, "schema": {"type": kind}}


def _query(route: Route) -> Iterator[Json]:
    for name, one in route.query.items():
        schema = {key: value for key, value in one.schema().items() if key != "description"}
        more = {"description": one.about} if one.about else {}
        yield {"name": name, "in": "query", "required": one.must, "schema": schema, **more}


def _responses(route: Route) -> Json:
    answer = answer_of(route)
    good: Json = {"description": "Done"}
    if answer is not None:
        good = {"description": answer.name, "content": {"application/json": {"schema": answer.schema()}}}
    elif route.status == 200:
        good["content"] = {"application/json": {"schema": Anything().schema()}}
    bad = {"application/json": {"schema": shapes.ERROR.schema()}}
    errors = {status: {"description": about, "content": bad} for status, about in _ERRORS.items()}
    return {str(route.status): good, **errors}
