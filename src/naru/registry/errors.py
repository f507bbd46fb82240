"""The registry's refusals, in the codes of distribution-spec "Error Codes" (and the four that distribution added)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naru.errors import DataLoss, Forbidden, InvalidArgument, NaruError, NotFound, Unauthenticated, Unavailable
from naru.oci.image import dump_json

# code → (HTTP status, message)
CODES: dict[str, tuple[int, str]] = {
    "BLOB_UNKNOWN": (404, "blob unknown to registry"),
    "BLOB_UPLOAD_INVALID": (400, "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": (404, "blob upload unknown to registry"),
    "DENIED": (403, "requested access to the resource is denied"),
    "DIGEST_INVALID": (400, "provided digest did not match uploaded content"),
    "MANIFEST_BLOB_UNKNOWN": (404, "manifest references a blob unknown to registry"),
    "MANIFEST_INVALID": (400, "manifest invalid"),
    "MANIFEST_UNKNOWN": (404, "manifest unknown"),
    "NAME_INVALID": (400, "invalid repository name"),
    "NAME_UNKNOWN": (404, "repository name not known to registry"),
    "PAGINATION_NUMBER_INVALID": (400, "invalid number of results requested"),
    "RANGE_INVALID": (416, "invalid content range"),
    "SIZE_INVALID": (400, "provided length did not match content length"),
    "TAG_INVALID": (400, "manifest tag did not match URI"),
    "TOOMANYREQUESTS": (429, "too many requests"),
    "UNAUTHORIZED": (401, "authentication required"),
    "UNAVAILABLE": (503, "service unavailable"),
    "UNKNOWN": (500, "unknown error"),
    "UNSUPPORTED": (405, "the operation is unsupported"),
}

_KINDS: tuple[tuple[type[NaruError], str], ...] = (
    (InvalidArgument, "MANIFEST_INVALID"),
    (Unauthenticated, "UNAUTHORIZED"),
    (Forbidden, "DENIED"),
    (NotFound, "BLOB_UNKNOWN"),
    (Unavailable, "UNAVAILABLE"),
    (DataLoss, "UNKNOWN"),
)


class Refusal(NaruError):
    """A request refused in the specification's words; `status` and `message` default to those of the code."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        detail: Any = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        default_status, default_message = CODES[code]
        self.code = code
        self.status = status or default_status
        self.message = message or default_message
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(f"{code.lower().replace('_', ' ')}: {self.message}")

    def body(self) -> bytes:
        error = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        return dump_json({"errors": [error]})


def refusal_of(error: NaruError) -> Refusal:
    """The refusal for an error from the layers below."""
    if isinstance(error, Refusal):
        return error
    code = next((code for kind, code in _KINDS if isinstance(error, kind)), "UNKNOWN")
    return Refusal(code, str(error))
