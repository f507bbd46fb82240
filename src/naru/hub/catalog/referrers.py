"""What refers to an image, and what it is: signatures, SBOMs, attestations. Functions of a Connection; nothing is verified here.

Three ways of referring: a manifest's `subject` (distribution-spec "Listing Referrers"), cosign's older tags `sha256-HEX.sig`, and
BuildKit's attestation manifests, which an index lists beside its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naru.errors import InvalidArgument
from naru.oci.digest import Digest
from naru.oci.image import Descriptor, Manifest
from naru.registry import records
from naru.registry.database import Connection
from naru.registry.records import ManifestRecord

SIGNATURE, SBOM, ATTESTATION, OTHER = "signature", "sbom", "attestation", "other"
_MOST = 50
_READ_BYTES = 64 << 10  # of one: what signs or describes an image has few layers, and fifty are read for a page

# a media type, or an artifact type, beginning so → what it is, and whose
_KINDS: tuple[tuple[str, str, str], ...] = (
    ("application/vnd.cncf.notary.signature", SIGNATURE, "notation"),
    ("application/vnd.dev.cosign.artifact.sig", SIGNATURE, "cosign"),
    ("application/vnd.dev.cosign.simplesigning", SIGNATURE, "cosign"),
    ("application/vnd.dev.cosign.artifact.sbom", SBOM, "cosign"),
    ("application/vnd.dev.cosign.artifact.att", ATTESTATION, "cosign"),
    ("application/vnd.dev.sigstore.bundle", SIGNATURE, "sigstore"),
    ("application/spdx", SBOM, "SPDX"),
    ("text/spdx", SBOM, "SPDX"),
    ("application/vnd.cyclonedx", SBOM, "CycloneDX"),
    ("application/vnd.syft", SBOM, "Syft"),
    ("application/vnd.in-toto", ATTESTATION, "in-toto"),
    ("application/vnd.dsse.envelope", ATTESTATION, "in-toto"),
    ("application/vnd.docker.attestation", ATTESTATION, "BuildKit"),
)
_PREDICATES = ("in-toto.io/predicate-type", "predicateType", "dev.sigstore.bundle.predicateType")
_SUFFIXES = ((".sig", SIGNATURE), (".att", ATTESTATION), (".sbom", SBOM))


@dataclass(frozen=True, slots=True)
class Referrer:
    """`kind`: signature, sbom, attestation, other; `tool`: whose, as far as its types tell; `predicate`: what an attestation says."""

    digest: Digest
    kind: str
    tool: str
    predicate: str
    type: str
    size_bytes: int
    pushed_at: float
    tag: str
    created: str


def recognise(types: Sequence[str]) -> tuple[str, str]:
    """Kind and tool of the first of these types that is known."""
    for given in types:
        for prefix, kind, tool in _KINDS:
            if given.startswith(prefix):
                return kind, tool
    return OTHER, ""


def referring(c: Connection, name: str, subject: Digest) -> list[Referrer]:
    """The manifests of the repository with this subject, and those under cosign's tags for it."""
    found = [_referrer(c, name, record, "", OTHER) for record in records.referrers(c, name, subject, None, "", _MOST)]
    for suffix, kind in _SUFFIXES:
        tag = f"{subject.algorithm}-{subject.hex}{suffix}"
        record = records.manifest(c, name, tag)
        if record is not None and record.subject is None:
            found.append(_referrer(c, name, record, tag, kind))
    return found


def attached(c: Connection, name: str, listed: Sequence[Descriptor]) -> list[Referrer]:
    """The attestations among what an index lists."""
    attestations = [
        entry for entry in listed if entry.annotations.get("vnd.docker.reference.type") == "attestation-manifest"
    ]
    there = [records.manifest(c, name, entry.digest) for entry in attestations[:_MOST]]
    return [_referrer(c, name, record, "", ATTESTATION, "BuildKit") for record in there if record is not None]


def _referrer(c: Connection, name: str, record: ManifestRecord, tag: str, otherwise: str, tool: str = "") -> Referrer:
    layers = _layers(c, name, record)
    types = [record.artifact_type, *(layer.media_type for layer in layers)]
    kind, whose = recognise(types)
    predicates = [
        text
        for layer in layers
        for key in _PREDICATES
        if (text := layer.annotations.get(key) or record.annotations.get(key))
    ]
    predicate = predicates[0][:200] if predicates else record.annotations.get(_PREDICATES[2], "")[:200]
    lower = " ".join(predicates).lower()
    if "spdx" in lower or "cyclonedx" in lower:
        kind = SBOM
    elif predicate or (kind == OTHER and otherwise != OTHER):
        kind = ATTESTATION if predicate else otherwise
    known = [one for one in types if recognise([one])[0] != OTHER]
    type_ = next((one for one in (*known, *types) if one), record.media_type)
    created = record.annotations.get("org.opencontainers.image.created", "")[:50]
    return Referrer(
        record.digest, kind, tool or whose, predicate, type_[:200], record.total_bytes, record.pushed_at, tag, created
    )


def _layers(c: Connection, name: str, record: ManifestRecord) -> tuple[Descriptor, ...]:
    """None of a manifest that is too large to be looked into."""
    found = records.manifest_with_payload(c, name, record.digest) if record.size_bytes <= _READ_BYTES else None
    try:
        return Manifest.parse(found[1], record.media_type).layers if found else ()
    except InvalidArgument:  # an index, or what no manifest of images is
        return ()
