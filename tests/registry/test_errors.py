from __future__ import annotations

import json

from naru.errors import DataLoss, Internal, InvalidArgument, NotFound
from naru.registry.errors import CODES, Refusal, refusal_of


def test_a_body_is_as_the_specification_wants_it() -> None:
    refusal = Refusal("NAME_INVALID", detail={"name": "A"})
    error = {"code": "NAME_INVALID", "message": "invalid repository name", "detail": {"name": "A"}}
    assert json.loads(refusal.body()) == {"errors": [error]}
    assert refusal.status == 400 and str(refusal) == "name invalid: invalid repository name"


def test_every_code_is_an_error_status() -> None:
    assert all(400 <= status < 600 and message for status, message in CODES.values())


def test_errors_from_below_find_a_code() -> None:
    pairs = {InvalidArgument: 400, NotFound: 404, DataLoss: 500, Internal: 500}
    assert {kind: refusal_of(kind("x")).status for kind in pairs} == pairs
    refusal = Refusal("DENIED")
    assert refusal_of(refusal) is refusal
