"""Vulnerability scanners: the client's side of Harbor's pluggable scanner API (goharbor/pluggable-scanner-spec, 1.0 to 1.2), over HTTP.

    GET  /api/v1/metadata                          what it is, what it takes, what it tells
    POST /api/v1/scan                              202 with an id
    GET  /api/v1/scan/{id}/report                  200; 302 with Refresh-After while it is not ready

What scanners answer is foreign: it is limited, and looked at before it is kept. Owns no records: see `scans`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from naru.errors import Internal, InvalidArgument, NaruError, NotFound, Unavailable, Unsupported
from naru.hub.outbound import Outbound, read_limited
from naru.oci.image import Json, dump_json, load_json
from naru.remote.answers import clean

REPORT_BYTES = 16 << 20
VULNERABILITY, SBOM = "vulnerability", "sbom"
SEVERITIES = ("Unknown", "Negligible", "Low", "Medium", "High", "Critical")
SPDX, CYCLONEDX = "application/spdx+json", "application/vnd.cyclonedx+json"
# of reports, the newest first
_VULNERABILITY_REPORTS = (
    "application/vnd.security.vulnerability.report; version=1.1",
    "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0",
)
_SBOM_REPORT = "application/vnd.security.sbom.report+json; version=1.0"
_METADATA = ", ".join(f"application/vnd.scanner.adapter.metadata+json; version=1.{minor}" for minor in (1, 0))
_REQUEST = "application/vnd.scanner.adapter.scan.request+json; version=1.{}"
_SMALL_BYTES = 1 << 20
_ID_CHARACTERS = 500
_REFRESH_S = 5.0
_KINDS: Mapping[int, type[NaruError]] = {404: NotFound, 422: Unsupported, 501: Unsupported}


@dataclass(frozen=True, slots=True)
class Capability:
    type: str
    consumes: frozenset[str]
    produces: tuple[str, ...]
    sbom_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metadata:
    name: str
    vendor: str
    version: str
    capabilities: tuple[Capability, ...]
    properties: Mapping[str, str] = field(default_factory=dict)
    is_typed: bool = False  # it knows of types of capabilities: 1.2 of the specification

    def can(self, type: str, media_type: str) -> Capability | None:
        """What it can do of this type with such a manifest."""
        wanted = (_SBOM_REPORT,) if type == SBOM else _VULNERABILITY_REPORTS
        for one in self.capabilities:
            if one.type == type and media_type in one.consumes and any(_same(*pair) for pair in _pairs(wanted, one)):
                return one
        return None


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is to be scanned, and how the scanner gets it: `authorization` is the value of a header."""

    registry_url: str
    authorization: str = field(repr=False)
    repository: str
    digest: str
    tag: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Report:
    """`text`: the report, JSON, as it came. `counts`: severity → how many."""

    text: str
    severity: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NotReady:
    after_s: float


class Scanner:
    """One scanner. All verbs raise Unavailable if it does not answer (now), InvalidArgument and Internal for answers that will not get any
    better, Unsupported if it says that it cannot do this."""

    def __init__(self, outbound: Outbound, url: str, authorization: str) -> None:
        self._outbound = outbound
        self._url = url.rstrip("/") + "/api/v1"
        self._authorization = authorization

    async def metadata(self) -> Metadata:
        _, raw, _ = await self._ask("GET", "/metadata", {"Accept": _METADATA}, limit_bytes=_SMALL_BYTES)
        return parse_metadata(raw)

    async def scan(self, artifact: Artifact, metadata: Metadata, types: tuple[str, ...]) -> str:
        """The id of what is being done now."""
        body: Json = {
            "registry": {"url": artifact.registry_url, "authorization": artifact.authorization},
            "artifact": {
                "repository": artifact.repository, "digest": artifact.digest, "mime_type": artifact.media_type,
                **({"tag": artifact.tag} if artifact.tag else {}),
            },
        }  # fmt: skip
        if metadata.is_typed:
            body["enabled_capabilities"] = [_enabled(type, metadata, artifact.media_type) for type in types]
        headers = {"Content-Type": _REQUEST.format(1 if metadata.is_typed else 0)}
        _, raw, _ = await self._ask("POST", "/scan", headers, dump_json(body), _SMALL_BYTES, expected=(202, 200, 201))
        request = load_json(raw, "scanner").get("id")
        if not isinstance(request, str) or not 0 < len(request) <= _ID_CHARACTERS or not request.isprintable():
            raise InvalidArgument(f"scanner {self._url}: accepts the scan without an id")
        return request

    async def vulnerabilities(self, request: str, capability: Capability) -> Report | NotReady:
        """Raises also NotFound if the scanner knows of no such request."""
        accept = next(kind for kind in _VULNERABILITY_REPORTS if any(_same(kind, one) for one in capability.produces))
        found = await self._report(request, {"Accept": accept}, "")
        return found if isinstance(found, NotReady) else parse_report(found)

    async def sbom(self, request: str, capability: Capability) -> str | NotReady:
        """The SBOM, JSON in SPDX's form or CycloneDX's. Raises as `vulnerabilities`."""
        query = "?" + urlencode({"sbom_media_type": _sbom_type(capability)})
        found = await self._report(request, {"Accept": _SBOM_REPORT}, query)
        return found if isinstance(found, NotReady) else parse_sbom(found)

    async def _report(self, request: str, headers: Mapping[str, str], query: str) -> bytes | NotReady:
        path = f"/scan/{quote(request, safe='')}/report{query}"
        status, raw, answered = await self._ask("GET", path, headers, limit_bytes=REPORT_BYTES, expected=(200, 302))
        return NotReady(_refresh_s(answered.get("Refresh-After", ""))) if status == 302 else raw

    async def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limit_bytes: int = _SMALL_BYTES,
        expected: tuple[int, ...] = (200,),
    ) -> tuple[int, bytes, Mapping[str, str]]:
        sent = {**headers, **({"Authorization": self._authorization} if self._authorization else {})}
        async with self._outbound.request(method, self._url + path, body=body, headers=sent) as response:
            if response.status in expected:
                raw = b"" if response.status == 302 else await _whole(response, limit_bytes)
                return response.status, raw, response.headers
            said = await _said(response)
        what = f"scanner {self._url}: {method} {path.partition('?')[0]}: status {response.status}{said}"
        kinds = {**_KINDS, 500: Internal} if path.startswith("/scan/") else _KINDS  # what became of a scan
        raise kinds.get(response.status, Unavailable)(what)


async def _whole(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    try:
        return await read_limited(response, limit_bytes)
    except Unavailable as error:  # it is too large, and will be so the next time
        raise InvalidArgument(str(error)) from error


async def _said(response: aiohttp.ClientResponse) -> str:
    try:
        error = load_json(await read_limited(response, _SMALL_BYTES), "error").get("error")
    except (InvalidArgument, Unavailable):
        return ""
    message = error.get("message") if isinstance(error, dict) else None
    return f": {clean(message, 300)}" if isinstance(message, str) and message else ""


def parse_metadata(raw: bytes) -> Metadata:
    """Raises InvalidArgument for what is none."""
    document = _object(raw, "metadata")
    about, listed = document.get("scanner"), document.get("capabilities")
    if not isinstance(about, dict) or not isinstance(listed, list):
        raise InvalidArgument("scanner: metadata without scanner or capabilities")
    capabilities, typed = [], False
    for entry in listed[:100]:
        if not isinstance(entry, dict):
            raise InvalidArgument("scanner: a capability is not an object")
        more = entry.get("additional_attributes")
        kinds = _texts(more.get("sbom_media_types")) if isinstance(more, dict) else ()
        typed = typed or "type" in entry
        capabilities.append(
            Capability(
                str(entry.get("type") or VULNERABILITY), frozenset(_texts(entry.get("consumes_mime_types"))),
                _texts(entry.get("produces_mime_types")), kinds,
            )
        )  # fmt: skip
    name, vendor, version = (clean(str(about.get(key) or ""), 100) for key in ("name", "vendor", "version"))
    properties = document.get("properties")
    texts = (
        {clean(str(key), 200): clean(str(value), 500) for key, value in list(properties.items())[:50]}
        if isinstance(properties, dict)
        else {}
    )
    return Metadata(name, vendor, version, tuple(capabilities), texts, typed)


def parse_report(raw: bytes) -> Report:
    """Counts are of what is listed; the severity is the worst of these, "None" if nothing is. Raises InvalidArgument."""
    document = _object(raw, "report")
    listed = document.get("vulnerabilities") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InvalidArgument("scanner: report: vulnerabilities is not a list of objects")
    counts = Counter(_severity(one.get("severity")) for one in listed)
    worst = max(counts, key=SEVERITIES.index, default="None")
    return Report(_text(raw), worst, {name: counts[name] for name in reversed(SEVERITIES) if counts[name]})


def parse_sbom(raw: bytes) -> str:
    """Raises InvalidArgument."""
    document = _object(raw, "SBOM").get("sbom")
    if not isinstance(document, dict):
        raise InvalidArgument("scanner: report without an SBOM")
    return json.dumps(document, separators=(",", ":"))  # as ASCII: half a surrogate pair is none in UTF-8


def _object(raw: bytes, what: str) -> Json:
    return load_json(raw, f"scanner: {what}")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument("scanner: report is not UTF-8") from error


def _severity(value: Any) -> str:
    return value if value in SEVERITIES else "Unknown"


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value[:100] if isinstance(one, str)) if isinstance(value, list) else ()


def _same(one: str, other: str) -> bool:
    """Media types, however their parameters are spaced."""
    return one.replace(" ", "").lower() == other.replace(" ", "").lower()


def _pairs(wanted: tuple[str, ...], capability: Capability) -> list[tuple[str, str]]:
    return [(one, other) for one in wanted for other in capability.produces]


def _sbom_type(capability: Capability) -> str:
    return next((kind for kind in (SPDX, CYCLONEDX) if kind in capability.sbom_types), SPDX)


def _enabled(type: str, metadata: Metadata, media_type: str) -> Json:
    capability = metadata.can(type, media_type)
    entry: Json = {"type": type}
    if type == SBOM and capability is not None:
        entry["produces_mime_types"] = [_SBOM_REPORT]
        entry["parameters"] = {"sbom_media_types": [_sbom_type(capability)]}
    return entry


def _refresh_s(text: str) -> float:
    return min(max(float(text), 1.0), 60.0) if text.isascii() and text.isdigit() and len(text) < 6 else _REFRESH_S
