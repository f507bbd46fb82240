"""What a registry's refusal means, in Docker's words. Pure: status, headers' values and body in, a NaruError out.

Bodies follow distribution-spec "Error Codes". They are foreign text: cut, and freed of control characters.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

from naru.errors import (
    DataLoss,
    Forbidden,
    Internal,
    InvalidArgument,
    NaruError,
    NotFound,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from naru.oci.image import load_json
from naru.oci.reference import Reference


class Limited(Unavailable):
    """The registry has had enough requests of us for now (429); `retry_after` is what it says of when to come again."""

    retry_after = ""


ERROR_LIMIT_BYTES = 1 << 20
_TEXT_LIMIT = 1000

# The distribution project's descriptions, which clients know, for servers that send a code alone or no body (HEAD).
_WORDS = {
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "DENIED": "requested access to the resource is denied",
    "UNAUTHORIZED": "authentication required",
    "TOOMANYREQUESTS": "too many requests",
}
_BY_STATUS = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}
_KINDS: dict[int, type[NaruError]] = {
    400: InvalidArgument, 401: Unauthenticated, 403: Forbidden, 404: NotFound, 405: Unsupported, 413: InvalidArgument,
    416: DataLoss, 429: Limited,
}  # fmt: skip


def clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Foreign text on one line of printable characters."""
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()


def redact(url: str) -> str:
    """The URL as it may be shown: no user, no query (presigned URLs and upload states are secrets), no fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_error(status: int, body: bytes) -> tuple[str, str]:
    """(code, message) of the first error of a body; of the status alone if the body has none."""
    code, message = _BY_STATUS.get(status, ""), ""
    try:
        errors = load_json(body, "error").get("errors")
    except InvalidArgument:  # HTML of a proxy, or nothing: the status has to do
        errors = None
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        code = clean(str(errors[0].get("code") or code), 100).upper()
        message = clean(str(errors[0].get("message") or ""))
    return code, message or _WORDS.get(code, "")


def refusal(status: int, body: bytes, what: str) -> NaruError:
    """The error for any request that has no better words; `what` is `Get "https://…"` or the like."""
    code, message = read_error(status, body)
    kind = _KINDS.get(status, Unavailable if status >= 500 else Internal)
    if not code:
        return kind(f"{what}: unexpected status code {status}" + (f": {message}" if message else ""))
    return kind(f"{what}: {spoken(code)}: {message}" if what else f"{spoken(code)}: {message}")


def spoken(code: str) -> str:
    return code.lower().replace("_", " ")


class Unknown(NotFound):
    """The registry says it has no such thing (404), as against a repository that may not be seen."""


def pull_refusal(status: int, body: bytes, ref: Reference, what: str, *, hidden: bool) -> NaruError:
    """Why a manifest or blob of ref cannot be had. A repository that may not be seen is, as in Docker, one not found: that is what a 401
    says to who sent no credentials, or whose token is for less (`hidden`)."""
    code, message = read_error(status, body)
    if status == 401 and not hidden:
        return Unauthenticated(f"{spoken(code)}: {message}")
    if status in (401, 403):
        return NotFound(
            f"pull access denied for {ref.familiar_name}, repository does not exist or may require 'docker login': "
            f"{spoken(code)}: {message}"
        )
    if code == "NAME_UNKNOWN":
        return Unknown(f"repository {ref.familiar_name} not found: {spoken(code)}: {message}")
    if code == "MANIFEST_UNKNOWN" or (status == 404 and not code):
        return Unknown(f"manifest for {ref.familiar} not found: manifest unknown: {message or 'manifest unknown'}")
    if status == 404:
        return Unknown(f"{what}: {spoken(code)}: {message}")
    return refusal(status, body, what)


def retry_after_s(value: str, now_s: float) -> float | None:
    """The seconds a Retry-After header asks for, whether it counts seconds or names a date; None if it says nothing."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def token_refusal_text(body: bytes) -> str:
    """What a token server's error says: `errors[0].message`, `details`, `error_description` or `error`; else ""."""
    try:
        document = load_json(body, "error")
    except InvalidArgument:
        return ""
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        document = errors[0]
    texts = (document.get(name) for name in ("message", "details", "error_description", "error"))
    return clean(next((text for text in texts if isinstance(text, str) and text), ""))
