"""The one table from error kind to HTTP status, and the shape of an error's answer."""

from __future__ import annotations

from naru import errors
from naru.wire.decode import encode

STATUS: dict[type[errors.NaruError], int] = {
    errors.InvalidArgument: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotModified: 304,
    errors.Unsupported: 501,
    errors.Unavailable: 503,
    errors.DataLoss: 500,
    errors.Internal: 500,
}


def status_of(error: BaseException) -> int:
    """The status of an error's own kind or the nearest base that has one; 500 for what is none of ours."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def error_body(message: str) -> bytes:
    """`{"message": …}` and a newline, as Docker's."""
    return encode({"message": message}) + b"\n"
