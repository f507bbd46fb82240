"""Failures as answers: one table for everything but the registry."""

from __future__ import annotations

import pytest

from naru import errors
from naru.errors import NaruError
from naru.hub.api.serve import refused
from naru.hub.statuses import status_of
from naru.registry.errors import Refusal

EXPECTED = {
    errors.InvalidArgument: 400, errors.Unsupported: 400, errors.Unauthenticated: 401, errors.Forbidden: 403, errors.NotFound: 404,
    errors.Conflict: 409, errors.Unavailable: 503, errors.DataLoss: 500, errors.Internal: 500, errors.NotModified: 500,
}  # fmt: skip


def test_every_kind_has_a_status() -> None:
    assert set(NaruError.__subclasses__()) <= {*EXPECTED, Refusal}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_status(kind: type[NaruError]) -> None:
    assert status_of(kind("why")) == refused(kind("why")).status == EXPECTED[kind]
    answer = refused(kind("why")).text or ""
    assert ("why" in answer) == (EXPECTED[kind] != 500)  # what is wrong inside is the log's to say


def test_a_refusal_says_it_itself() -> None:
    assert status_of(Refusal("TOOMANYREQUESTS")) == 429 and status_of(Refusal("UNSUPPORTED", status=415)) == 415
