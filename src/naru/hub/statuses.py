"""Which HTTP status each kind of failure is, for pages and API alike. The registry's paths answer in its specification's words:
`registry.errors`."""

from __future__ import annotations

from naru.errors import (
    Conflict,
    Forbidden,
    InvalidArgument,
    NaruError,
    NotFound,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from naru.registry.errors import Refusal

_STATUSES: tuple[tuple[type[NaruError], int], ...] = (
    (InvalidArgument, 400),
    (Unsupported, 400),  # not 405, which is about methods, and names those that are allowed (RFC 9110, 15.5.6)
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
)


def status_of(error: NaruError) -> int:
    """500 for what is nobody's fault but ours."""
    if isinstance(error, Refusal):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
