"""One table from error kind to status."""

from __future__ import annotations

import json

import pytest

from naru import errors
from naru.api.status import STATUS, error_body, status_of


class Special(errors.Conflict): ...


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidArgument(), 400), (errors.Unauthenticated(), 401), (errors.Forbidden(), 403), (errors.NotFound(), 404),
        (errors.Conflict(), 409), (errors.NotModified(), 304), (errors.Unsupported(), 501), (errors.Unavailable(), 503),
        (errors.DataLoss(), 500), (errors.Internal(), 500), (Special(), 409), (ValueError(), 500), (KeyError("x"), 500),
    ],
)  # fmt: skip
def test_status(error: BaseException, status: int) -> None:
    assert status_of(error) == status


def test_every_kind_has_one() -> None:
    kinds = {kind for kind in errors.NaruError.__subclasses__() if kind.__module__ == "naru.errors"}
    assert set(STATUS) == kinds


def test_the_body_is_dockers() -> None:
    assert error_body('a "b"\n').endswith(b"}\n")
    assert json.loads(error_body('a "b"\n')) == {"message": 'a "b"\n'}
