"""What the image service hands out: values only, no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from naru.oci.digest import Digest
from naru.oci.image import Descriptor, ImageConfig, Manifest
from naru.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Image:
    """A name's target, and the one manifest of it that runs here. Its id is the target's digest (Docker 29)."""

    target: Descriptor  # a manifest, or an index that has `manifest` among its children
    manifest: Manifest
    config: ImageConfig
    names: tuple[Reference, ...] = ()  # all names of the target, sorted; none: it is dangling
    tagged_ns: int = 0  # when the newest of its names was given
    parent: Digest | None = None  # the image that it was committed on here

    @property
    def id(self) -> Digest:
        return self.target.digest

    @property
    def chain_id(self) -> Digest | None:
        """The snapshot that a container of this image stands on; None for an image without layers."""
        return self.config.chain_id


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of `docker history`, newest first; `id` is "<missing>" for all but the image itself."""

    id: str
    created: str
    created_by: str
    comment: str
    size_bytes: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """A line of what `rmi` and `prune` did."""

    action: str  # Untagged, Deleted
    text: str


@dataclass(frozen=True, slots=True)
class Use:
    """A container that stands on an image."""

    container_id: str
    image_id: str  # target digest
    name: str  # the image as it was named at create: "busybox", "sha256:…"
    running: bool


Uses = Callable[[], Iterable[Use]]


def rfc3339(time_ns: int) -> str:
    """A time as image configurations write it: UTC, nanoseconds, no trailing zeros."""
    seconds, rest = divmod(time_ns, 10**9)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")


def parse_rfc3339(text: str) -> int:
    """The time in nanoseconds; 0 for none, or one that makes no sense (an image's own idea of its age is not trusted)."""
    match = _TIME.fullmatch(text)
    if match is None:
        return 0
    seconds, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(seconds.upper() + ("+00:00" if zone in "Zz" else zone))
    except ValueError:
        return 0
    return int(moment.timestamp()) * 10**9 + int((fraction or "").ljust(9, "0"))


def short_id(digest: Digest) -> str:
    """Twelve digits, as progress lines and conflicts show them."""
    return digest.hex[:12]
