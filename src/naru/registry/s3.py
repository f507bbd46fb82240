"""The blob store of several machines: a bucket of Amazon's S3, or of what speaks its protocol.

    s3://BUCKET/PREFIX?endpoint=URL&region=REGION&redirect=no&path_style=yes&strict=no

| word | default | about |
|---|---|---|
| endpoint | Amazon's | http or https, and where |
| region | the environment's | what requests are signed for |
| redirect | yes | whether clients are sent to the bucket for what they pull: they have to reach it, at this endpoint |
| path_style | yes with an endpoint | the bucket in the URL's path, not in its host |
| strict | yes | no: for a bucket without conditional writes (If-None-Match), or with ETags of its own |

Credentials are never in there: they come from the environment (AWS_ACCESS_KEY_ID and so on), a profile, or the instance's role. These
are needed for the bucket: list it, and its multipart uploads; for objects: get, put, delete, abort and list the parts of an upload.

Only objects named as our keys are, right below PREFIX, are ever listed, and so deleted. No two registries may share a PREFIX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO
from urllib.parse import parse_qsl, urlsplit

from naru.errors import InvalidArgument
from naru.registry.blobstore import Place, Redirect, Stream
from naru.registry.bucket import Bucket
from naru.registry.s3spool import PART_BYTES, Allowance, Means, S3Spool, tails_of

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(?:/[A-Za-z0-9!_.*'()-]+)*")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_ENDPOINT = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")
_WORDS = ("endpoint", "region", "redirect", "path_style", "strict")
_ANSWERS = {"yes": True, "no": False}
_REDIRECT_S = 900
_IDLE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Location:
    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    redirect: bool = True
    path_style: bool | None = None
    strict: bool = True


def parse_location(place: str) -> Location:
    """Raises InvalidArgument, which quotes nothing that may be a secret in the wrong place."""
    try:
        parts = urlsplit(place)
        words = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=20)
    except ValueError as error:
        raise InvalidArgument("blob store: it is no URL") from error
    if parts.scheme != "s3" or parts.fragment:
        raise InvalidArgument("blob store: it is not s3://BUCKET/PREFIX?WORD=VALUE")
    if "@" in parts.netloc or "@" in parts.query or "%40" in parts.query:
        raise InvalidArgument("blob store: credentials do not belong in the URL, but in the environment or a profile")
    if not _BUCKET.fullmatch(parts.netloc):
        raise InvalidArgument(f"blob store: invalid bucket name {parts.netloc[:100]!r}")
    prefix = parts.path.strip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise InvalidArgument(f"blob store: invalid prefix {prefix[:100]!r}")
    given = dict(words)
    if len(given) != len(words) or not given.keys() <= set(_WORDS):
        raise InvalidArgument(f"blob store: its words are, once each, {', '.join(_WORDS)}; credentials go elsewhere")
    for word, pattern in (("endpoint", _ENDPOINT), ("region", _REGION)):
        if word in given and not pattern.fullmatch(given[word]):
            raise InvalidArgument(f"blob store: {word} is none")
    endpoint, region = given.get("endpoint", "").rstrip("/"), given.get("region", "")
    path_style = _answer(given, "path_style", True if endpoint else None)
    redirect, strict = bool(_answer(given, "redirect", True)), bool(_answer(given, "strict", True))
    return Location(parts.netloc, prefix, endpoint, region, redirect, path_style, strict)


def _answer(given: dict[str, str], word: str, default: bool | None) -> bool | None:
    if word not in given:
        return default
    if given[word] not in _ANSWERS:
        raise InvalidArgument(f"blob store: {word} is yes or no")
    return _ANSWERS[given[word]]


def open_bucket(place: str, *, part_bytes: int = PART_BYTES) -> S3Store:
    """`part_bytes`: of the first parts of an upload; S3 takes none below 5 MiB.

    Raises InvalidArgument; Unavailable if the bucket does not exist or cannot be reached.
    """
    location = parse_location(place)
    bucket = Bucket(location.bucket, endpoint=location.endpoint, region=location.region, path_style=location.path_style)
    bucket.check()
    return S3Store(bucket, location, part_bytes)


class S3Store:
    """A BlobStore. `bucket` need not have been checked."""

    def __init__(self, bucket: Bucket, location: Location, part_bytes: int = PART_BYTES) -> None:
        self._bucket = bucket
        self._means = Means(bucket, part_bytes, location.strict, Allowance(_IDLE_BYTES))
        self._redirects = location.redirect
        self._prefix = f"{location.prefix}/" if location.prefix else ""
        self._ours = re.compile(re.escape(self._prefix) + r"([0-9a-f]{32})(?:\.tail[01])?")

    def path(self, key: str) -> str:
        return f"{self._prefix}{key}"

    def begin(self, key: str) -> S3Spool:
        """No request."""
        return S3Spool(self._means, self.path(key))

    def resume(self, key: str, state: str, size_bytes: int) -> S3Spool:
        """No request for what has no bytes. Raises DataLoss if not exactly these bytes are there, Unavailable."""
        return S3Spool.resumed(self._means, self.path(key), state, size_bytes)

    def where(self, key: str, *, direct: bool = True) -> Place:
        """No request, but for credentials that run out. Raises Unavailable."""
        if direct and self._redirects:
            return Redirect(self._bucket.sign(self.path(key), _REDIRECT_S))
        return Stream(partial(self._bucket.open, self.path(key)))

    def open(self, key: str) -> BinaryIO:
        """Raises DataLoss, Unavailable, as reading from it does."""
        return self._bucket.open(self.path(key))

    def delete(self, key: str) -> None:
        path = self.path(key)
        for name, upload_id, _ in self._bucket.unfinished(path):
            if name == path:
                self._bucket.abort_parts(path, upload_id)
        for name in (path, *tails_of(path)):
            self._bucket.delete(name)

    def walk(self) -> Iterator[tuple[str, float]]:
        """One that has a tail has the time of what is newer."""
        ours = ((self._key(name), time_s) for name, time_s in self._bucket.objects(self._prefix))
        for key, same in groupby(ours, itemgetter(0)):
            if key:
                yield key, max(time_s for _, time_s in same)
        for name, _, time_s in self._bucket.unfinished(self._prefix):
            if key := self._key(name):
                yield key, time_s

    def _key(self, name: str) -> str:
        """ "" of what is none of ours."""
        found = self._ours.fullmatch(name)
        return found[1] if found else ""
