"""Reading from registries: manifests by tag or digest, blobs into an ingest, resumed where they broke off.

Specification: distribution-spec "Pull". What comes back is what was asked for, verified against its digest and size, or
an error: mirrors are asked first and may fail, the registry itself has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

import aiohttp

from naru.errors import DataLoss, Internal, InvalidArgument, NaruError, NotFound, Unavailable, Unsupported
from naru.oci.digest import Digest
from naru.oci.image import INDEXES, MANIFEST_LIMIT_BYTES, MANIFESTS, Descriptor
from naru.oci.reference import Reference
from naru.remote.answers import ERROR_LIMIT_BYTES, Unknown, clean, pull_refusal
from naru.remote.auth import Credentials, parse_challenges, repository_scope
from naru.remote.faults import LEAD, Interrupted, Unreachable
from naru.remote.hosts import Endpoint
from naru.remote.tokens import Key
from naru.remote.transport import Answer, Request, Server, Transport
from naru.remote.writer import PieceWriter, Sink

T = TypeVar("T")

_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)")
_PROGRESS_BYTES = 1 << 20  # an attempt that brought this much has earned a fresh count of retries


class Growing(Sink, Protocol):
    """What content.blobs.Ingest is to us: so many bytes are there, and more are written."""

    @property
    def size_bytes(self) -> int: ...


async def from_any(transport: Transport, endpoints: Iterable[Endpoint], ask: Callable[[Server], Awaitable[T]]) -> T:
    """What the first endpoint that can answers; the registry's own error if none can, or, where it cannot be reached, a
    mirror's word that there is no such thing."""
    *mirrors, origin = endpoints
    unknown: Unknown | None = None
    for endpoint in mirrors:
        try:
            return await ask(await transport.server(endpoint))
        except NaruError as error:  # a mirror is a courtesy: whatever is wrong with it, the registry itself is asked
            if isinstance(error, Unknown):
                unknown = unknown or error
    try:
        return await ask(await transport.server(origin))
    except Unreachable as error:
        if unknown is not None:
            raise unknown from error
        raise


async def resolve(transport: Transport, ref: Reference, credentials: Credentials | None) -> tuple[Descriptor, bytes]:
    """The manifest or index that ref names, with a descriptor true to its bytes. A digest in ref wins over its tag.

    Raises NotFound, Unauthenticated, Unavailable; Internal if no connection comes about, as in Docker; DataLoss if the
    bytes are not what the digest says.
    """
    asked, ref = ref, ref.with_default_tag()
    what = f'failed to resolve reference "{ref}"'
    try:
        return await _look_up(transport, ref, credentials)
    except Unknown as error:
        if not (asked.tag or asked.digest):  # Docker lists a bare name's tags then, and says what that says
            raise
        raise NotFound(f"{what}: {ref}: not found") from error
    except Unreachable as error:
        # In the words of Docker's first question, which clients know, unless it was a token server that was not there.
        *_, origin = transport.config.endpoints(ref.host, push=False)
        head = f'Head "https://{origin.host}/v2/{ref.path}/manifests/{ref.digest or ref.tag}"'
        request = head if f"://{origin.host}/" in error.request else error.request
        raise Internal(f"{what}: {LEAD}{request}: {error.reason}") from error
    except Unavailable as error:
        raise Unavailable(f"{what}: {error}") from error


async def inspect(transport: Transport, ref: Reference, credentials: Credentials | None) -> Descriptor:
    """What ref names, for those who only want to look: as `resolve`, but for the words of its errors."""
    try:
        return (await _look_up(transport, ref.with_default_tag(), credentials))[0]
    except Unknown as error:
        raise NotFound("manifest unknown: manifest unknown") from error
    except Unreachable as error:
        raise Internal(f"{error.request}: {error.reason}") from error


async def _look_up(transport: Transport, ref: Reference, credentials: Credentials | None) -> tuple[Descriptor, bytes]:
    async def ask(server: Server) -> tuple[Descriptor, bytes]:
        answer = await _get_manifest(transport, server, ref, str(ref.digest or ref.tag), credentials)
        digest = ref.digest or _stated_digest(answer) or Digest.of(answer.body)
        _verify(ref, answer.body, digest)
        return Descriptor(_media_type(ref, answer), digest, len(answer.body)), answer.body

    return await from_any(transport, transport.config.endpoints(ref.host, push=False), ask)


async def fetch_manifest(
    transport: Transport, ref: Reference, digest: Digest, media_type: str, credentials: Credentials | None
) -> bytes:
    """The manifest with this digest in ref's repository. Raises as `resolve`; InvalidArgument for another media type."""

    async def ask(server: Server) -> bytes:
        answer = await _get_manifest(transport, server, ref, str(digest), credentials)
        _verify(ref, answer.body, digest)
        if (got := _media_type(ref, answer)) != media_type:
            raise InvalidArgument(f"manifest {ref.familiar_name}@{digest}: Content-Type {got!r} is not {media_type!r}")
        return answer.body

    return await from_any(transport, transport.config.endpoints(ref.host, push=False), ask)


async def _get_manifest(
    transport: Transport, server: Server, ref: Reference, name: str, credentials: Credentials | None
) -> Answer:
    key = _key(server, ref, credentials)
    request = Request("GET", f"{server.repository(ref.path)}/manifests/{name}", key, {"Accept": _ACCEPT})
    answer = await transport.small(server, request, MANIFEST_LIMIT_BYTES)
    if answer.status != 200:
        body = answer.body[:ERROR_LIMIT_BYTES]
        raise pull_refusal(answer.status, body, ref, str(request), hidden=_is_hidden(key, answer))
    return answer


def _key(server: Server, ref: Reference, credentials: Credentials | None) -> Key:
    """Credentials are for the registry; its mirrors do not get them."""
    return Key(server.url, (repository_scope(ref.path),), None if server.is_mirror else credentials)


def _media_type(ref: Reference, answer: Answer) -> str:
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (*MANIFESTS, *INDEXES):
        raise Unsupported(f"manifest for {ref.familiar}: unsupported media type {clean(media_type, 200)!r}")
    return media_type


def _stated_digest(answer: Answer) -> Digest | None:
    stated = answer.headers.get("docker-content-digest")
    return Digest.parse(stated) if stated else None


def _verify(ref: Reference, body: bytes, digest: Digest) -> None:
    if (found := Digest.of(body, digest.algorithm)) != digest:
        raise DataLoss(f"manifest for {ref.familiar}: expected digest {digest}, the bytes have {found}")


async def fetch_blob(
    transport: Transport,
    ref: Reference,
    descriptor: Descriptor,
    ingest: Growing,
    on_bytes: Callable[[int], None],
    credentials: Credentials | None,
) -> None:
    """Write exactly descriptor.size bytes into ingest; committing, which verifies the digest, is left to the caller.

    `on_bytes(n)`: n more bytes have arrived. A broken connection is taken up again where it broke (Range), a bounded
    number of times. Raises NotFound, Unauthenticated, Unavailable; DataLoss for more or fewer bytes than stated.
    """
    try:
        await from_any(
            transport,
            transport.config.endpoints(ref.host, push=False),
            lambda server: _fetch_from(transport, server, ref, descriptor, ingest, on_bytes, credentials),
        )
    except OSError as error:  # what the network raises is mapped in `transport`: this is the disk
        raise Unavailable(
            f"failed to write blob {descriptor.digest}: {(error.strerror or str(error)).lower()}"
        ) from error


async def _fetch_from(
    transport: Transport,
    server: Server,
    ref: Reference,
    descriptor: Descriptor,
    ingest: Growing,
    on_bytes: Callable[[int], None],
    credentials: Credentials | None,
) -> None:
    url = f"{server.repository(ref.path)}/blobs/{descriptor.digest}"
    attempt, counted_from = 0, ingest.size_bytes
    while True:
        offset = ingest.size_bytes
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        request = Request("GET", url, _key(server, ref, credentials), headers)
        try:
            await _fetch_once(transport, server, ref, request, descriptor, ingest, on_bytes)
            return
        except Unavailable as error:
            if ingest.size_bytes - counted_from >= _PROGRESS_BYTES:
                attempt, counted_from = 0, ingest.size_bytes
            if attempt >= transport.limits.retries or not (isinstance(error, Interrupted) or ingest.size_bytes):
                raise
        await transport.wait_backoff(attempt)
        attempt += 1


async def _fetch_once(
    transport: Transport,
    server: Server,
    ref: Reference,
    request: Request,
    descriptor: Descriptor,
    ingest: Growing,
    on_bytes: Callable[[int], None],
) -> None:
    offset = ingest.size_bytes
    async with transport.exchange(server, request) as response:
        if response.status not in (200, 206):
            await _refuse(transport, response, ref, request, descriptor)
        at = _start(response, offset, descriptor)
        async with PieceWriter(ingest) as writer:
            async for piece in transport.pieces(response, request):
                size = sum(map(len, piece))
                if at + size > descriptor.size:
                    raise DataLoss(f"blob {descriptor.digest}: got more than the expected {descriptor.size} bytes")
                fresh = _after(piece, offset - at)
                at += size
                if fresh:
                    await writer.write(fresh)
                    on_bytes(sum(map(len, fresh)))
    if at != descriptor.size:
        raise Interrupted(f"blob {descriptor.digest}: got {at} of {descriptor.size} bytes: unexpected EOF")


async def _refuse(
    transport: Transport, response: aiohttp.ClientResponse, ref: Reference, request: Request, descriptor: Descriptor
) -> None:
    answer = await transport.read(response, request, ERROR_LIMIT_BYTES)
    if answer.status == 416:
        raise DataLoss(f"blob {descriptor.digest}: the registry has fewer than the expected {descriptor.size} bytes")
    if answer.status == 404:
        raise NotFound(f"blob {descriptor.digest} of {ref.familiar_name} not found: blob unknown to registry")
    raise pull_refusal(answer.status, answer.body, ref, str(request), hidden=_is_hidden(request.key, answer))


def _is_hidden(key: Key, answer: Answer) -> bool:
    challenges = parse_challenges((answer.headers.get("www-authenticate", ""),))
    return not key.credentials or any(challenge.error for challenge in challenges)


def _start(response: aiohttp.ClientResponse, offset: int, descriptor: Descriptor) -> int:
    """Where in the blob the body begins. Raises DataLoss if its head already belies the descriptor."""
    start = 0
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != offset:
            raise DataLoss(f"blob {descriptor.digest}: the registry sent another range than the one from {offset}")
        start = offset
    length = response.content_length
    if length is not None and start + length != descriptor.size:
        raise DataLoss(f"blob {descriptor.digest}: the registry has {start + length} bytes, expected {descriptor.size}")
    return start


def _after(piece: list[bytes], skip: int) -> list[bytes]:
    """The piece without its first `skip` bytes: a registry that ignores Range sends again what we have."""
    if skip <= 0:
        return piece
    rest = b"".join(piece)[skip:]
    return [rest] if rest else []
