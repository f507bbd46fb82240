"""One bucket of an S3 store: its requests, with types, and its errors as ours. The only file that knows boto3.

What is stored, and under which keys, is `s3`'s. Credentials come from where they usually do (environment, profile, instance role) and
are in no message. Every request has time-outs and is tried again by botocore ("standard" retries); all of it blocks, and may be called
from any thread.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, TypeAlias

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from naru.errors import Conflict, DataLoss, InvalidArgument, NaruError, Unavailable

log = logging.getLogger("naru.registry")
logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it has found credentials

_CONNECT_S, _READ_S = 5.0, 60.0
_ATTEMPTS = 4
_CONNECTIONS = 64
_BUFFER_BYTES = 1 << 16
_TYPE = "application/octet-stream"
_LOST = ("NoSuchKey", "NoSuchUpload", "InvalidPart", "404")  # 404: a HEAD request's answer has no better words
_TAKEN = ("PreconditionFailed", "412")

# boto3 has no types: these two words are the boundary
_Client: TypeAlias = Any
_Answer: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Stored:
    """`etag` is without its quotes. `is_plain`: it was made as S3 does without KMS, of MD5 sums."""

    size_bytes: int
    etag: str
    is_plain: bool


class Bucket:
    """`endpoint` is a URL, "" for Amazon's; `region` may be "" where the environment says it, or there is but one."""

    def __init__(self, name: str, *, endpoint: str = "", region: str = "", path_style: bool | None = None) -> None:
        """No request. Raises InvalidArgument, Unavailable (for a profile that does not exist, say)."""
        self.name = name
        self._is_elsewhere = bool(endpoint)
        style = {None: "auto", True: "path", False: "virtual"}[path_style]
        config = Config(
            signature_version="s3v4",
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_CONNECTIONS,
            tcp_keepalive=True,
            s3={"addressing_style": style},
            # trailing checksums are refused by many a store that is not Amazon's; what counts here are digests
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with _asking("client"):
            try:
                session = boto3.session.Session()  # one of our own: the default session is not for several threads
                self._client: _Client = session.client(
                    "s3", region_name=region or None, endpoint_url=endpoint or None, config=config
                )
            except ValueError as error:
                raise InvalidArgument(f"bucket {name}: the endpoint or region is none") from error

    def check(self) -> None:
        """Raises Unavailable if there is no such bucket, or it cannot be reached; InvalidArgument if it is in another region."""
        try:
            with _asking("HeadBucket"):
                answer = self._client.head_bucket(Bucket=self.name)
        except DataLoss as error:
            raise Unavailable(f"bucket {self.name} does not exist") from error
        except Unavailable as error:
            raise Unavailable(f"bucket {self.name}: {error}") from error
        found = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", "")
        own = self._client.meta.region_name or ""
        if found and not self._is_elsewhere and found != ("us-east-1" if own in ("", "aws-global") else own):
            # botocore would follow, but what it signs for others to fetch would be for the wrong region
            raise InvalidArgument(f"bucket {self.name} is in region {found}: say region={found}")

    # whole objects

    def put(self, key: str, data: bytes | bytearray, *, only_new: bool = False) -> str:
        """Its ETag. Raises Conflict if `only_new` and there is one already."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        with _asking("PutObject"):
            answer = self._client.put_object(Bucket=self.name, Key=key, Body=data, ContentType=_TYPE, **condition)
        return _etag(answer)

    def head(self, key: str) -> Stored:
        """Raises DataLoss if it is not there."""
        with _asking("HeadObject"):
            answer = self._client.head_object(Bucket=self.name, Key=key)
        return _stored(answer, int(answer["ContentLength"]))

    def open(self, key: str, first: int = 0, size_bytes: int | None = None, *, etag: str = "") -> BinaryIO:
        """So many bytes of it from there on (one at least), None for all. Raises DataLoss if it is not there, Conflict if its ETag is
        another one; reading may raise these too, and Unavailable."""
        ask = partial(self._get, key, {"IfMatch": f'"{etag}"'} if etag else {})
        return io.BufferedReader(_Body(ask, first, size_bytes), _BUFFER_BYTES)

    def _get(self, key: str, condition: dict[str, str], first: int, size_bytes: int | None) -> _Answer:
        span = {}
        if first or size_bytes is not None:
            span["Range"] = f"bytes={first}-{first + size_bytes - 1 if size_bytes is not None else ''}"
        with _asking("GetObject"):
            return self._client.get_object(Bucket=self.name, Key=key, **condition, **span)

    def delete(self, key: str) -> None:
        """It need not be there."""
        with _asking("DeleteObject"):
            self._client.delete_object(Bucket=self.name, Key=key)

    def objects(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Key and time of those whose key has the prefix and then no `/`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, Delimiter="/")
        for page in _each("ListObjectsV2", pages):
            for one in page.get("Contents", ()):
                yield str(one["Key"]), _time_s(one["LastModified"])

    def sign(self, key: str, lifetime_s: int) -> str:
        """A URL with which anybody can fetch it, for so long. No request, but of temporary credentials it may need new ones."""
        with _asking("signing"):
            wanted = {"Bucket": self.name, "Key": key}
            return str(self._client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=lifetime_s))

    # objects in parts

    def begin_parts(self, key: str) -> str:
        """The id of a new multipart upload."""
        with _asking("CreateMultipartUpload"):
            answer = self._client.create_multipart_upload(Bucket=self.name, Key=key, ContentType=_TYPE)
        return str(answer["UploadId"])

    def put_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> str:
        """Its ETag. `number` counts from 1. Raises DataLoss if the upload is over."""
        with _asking("UploadPart"):
            answer = self._client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload_id, PartNumber=number, Body=data
            )
        return _etag(answer)

    def parts(self, key: str, upload_id: str) -> list[tuple[int, str, int]]:
        """Number, ETag and size in bytes of each. Raises DataLoss if the upload is over."""
        pages = self._client.get_paginator("list_parts").paginate(Bucket=self.name, Key=key, UploadId=upload_id)
        return [
            (int(one["PartNumber"]), _etag(one), int(one["Size"]))
            for page in _each("ListParts", pages)
            for one in page.get("Parts", ())
        ]

    def finish_parts(self, key: str, upload_id: str, etags: Sequence[str], *, only_new: bool = False) -> Stored:
        """Make an object of these parts. The size is not told: it is 0.

        Raises DataLoss if the parts are others or the upload is over, Conflict if `only_new` and there is an object already.
        """
        parts = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in enumerate(etags, 1)]
        condition = {"IfNoneMatch": "*"} if only_new else {}
        with _asking("CompleteMultipartUpload"):
            answer = self._client.complete_multipart_upload(
                Bucket=self.name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **condition
            )
        return _stored(answer, 0)

    def abort_parts(self, key: str, upload_id: str) -> None:
        """It need not be there."""
        with suppress(DataLoss), _asking("AbortMultipartUpload"):
            self._client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)

    def unfinished(self, prefix: str) -> Iterator[tuple[str, str, float]]:
        """Key, upload id and time of the multipart uploads whose key has the prefix."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
        for page in _each("ListMultipartUploads", pages):
            for one in page.get("Uploads", ()):
                yield str(one["Key"]), str(one["UploadId"]), _time_s(one["Initiated"])


class _Body(io.RawIOBase):
    """The bytes of an object that never changes: where a connection breaks off, another one goes on. S3 closes those that idle, as
    they do while a slow client is being sent to."""

    _body: Any = None

    def __init__(self, ask: Callable[[int, int | None], _Answer], first: int, size_bytes: int | None) -> None:
        self._ask = ask
        answer = ask(first, size_bytes)
        self._body = answer["Body"]
        self._at = first
        self._end = first + int(answer["ContentLength"])
        self._broken = 0  # times since anything has come

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while self._at < self._end:
            try:
                count = int(self._body.readinto(into))
            except (BotoCoreError, HTTPError, OSError) as error:
                self._reopen(error)
                continue
            if count:
                self._at += count
                self._broken = 0
                return count
            self._reopen(EOFError("the body has ended too soon"))
        return 0

    def _reopen(self, error: Exception) -> None:
        self._broken += 1
        if self._broken >= _ATTEMPTS:
            raise Unavailable("object store: reading broke off again and again") from error
        self._body.close()
        self._body = self._ask(self._at, self._end - self._at)["Body"]

    def close(self) -> None:
        if not self.closed and self._body is not None:
            self._body.close()
        super().close()


def _etag(answer: _Answer) -> str:
    return str(answer["ETag"]).strip('"')


def _stored(answer: _Answer, size_bytes: int) -> Stored:
    return Stored(size_bytes, _etag(answer), not answer.get("ServerSideEncryption", "").startswith("aws:kms"))


def _time_s(moment: datetime) -> float:
    return moment.timestamp()


def _each(operation: str, pages: Any) -> Iterator[_Answer]:
    turning = iter(pages)
    while True:
        with _asking(operation):
            page = next(turning, None)
        if page is None:
            return
        yield page


@contextmanager
def _asking(operation: str) -> Iterator[None]:
    """What botocore raises, as ours: DataLoss, Conflict, Unavailable. S3's own words, which name accounts, are for the log only."""
    try:
        yield
    except ClientError as error:
        raise _told(operation, str(error.response.get("Error", {}).get("Code", "")), error) from error
    except NoCredentialsError as error:
        raise Unavailable("object store: no credentials in the environment, a profile or an instance role") from error
    except BotoCoreError as error:
        log.warning("object store: %s: %s", operation, error)
        raise Unavailable(f"object store: {operation}: {type(error).__name__}") from error


def _told(operation: str, code: str, error: Exception) -> NaruError:
    if code in _LOST:
        return DataLoss(f"object store: {operation}: it is not there")
    if code in _TAKEN:
        return Conflict(f"object store: {operation}: it is there already")
    log.warning("object store: %s", error)
    return Unavailable(f"object store: {operation}: {'access denied' if code == '403' else code}")
