"""Writing to registries: blobs by HEAD, mount or one PUT; manifests by tag or digest. Mirrors are never written to.

Specification: distribution-spec "Push". A blob goes up whole in one PUT, as containerd does: every registry takes that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Protocol
from urllib.parse import urlencode

from yarl import URL

from naru.errors import DataLoss, InvalidArgument, NaruError, Unavailable
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest
from naru.oci.image import Descriptor
from naru.oci.reference import Reference
from naru.remote.answers import ERROR_LIMIT_BYTES, refusal
from naru.remote.auth import Credentials, repository_scope
from naru.remote.faults import Interrupted, Unreachable
from naru.remote.tokens import Key
from naru.remote.transport import PIECE_BYTES, Answer, Request, Server, Transport


class Readable(Protocol):
    """A file that `read` of may block, in a thread."""

    def read(self, count: int, /) -> bytes: ...

    def close(self) -> None: ...


async def _origin(transport: Transport, ref: Reference, question: str, what: str) -> Server:
    """The registry. If nobody listens there, that is said of the question that was to come, in Docker's words."""
    (endpoint,) = transport.config.endpoints(ref.host, push=True)
    try:
        return await transport.server(endpoint)
    except Unreachable as error:
        request = f'{question} "https://{endpoint.host}/v2/{ref.path}/{what}"'
        raise Unreachable(request, error.reason) from error


async def push_blob(
    transport: Transport,
    ref: Reference,
    descriptor: Descriptor,
    open_blob: Callable[[], int | Readable],
    on_bytes: Callable[[int], None],
    credentials: Credentials | None,
    mount_from: Reference | None,
) -> str:
    """The blob is in ref's repository when this returns how: "exists", "mounted" or "pushed".

    `open_blob` gives a fresh read-only descriptor, or file, for each attempt, which is closed here; it must not block.
    `on_bytes(n)`: n more bytes were sent; negative when a broken upload begins again. Raises Unauthenticated, Forbidden, Unavailable, DataLoss.
    """
    server = await _origin(transport, ref, "Head", f"blobs/{descriptor.digest}")
    key = Key(server.url, (repository_scope(ref.path, push=True),), credentials)
    head = Request("HEAD", f"{server.repository(ref.path)}/blobs/{descriptor.digest}", key)
    if (await transport.small(server, head, 0)).status == 200:
        return "exists"
    location = ""
    if mount_from is not None and mount_from.host == ref.host and mount_from.path != ref.path:
        location = await _mount(transport, server, key, ref, descriptor, mount_from)
        if not location:
            return "mounted"
    attempt = 0
    while True:
        sent = _Sent(on_bytes)
        try:
            location = location or await _begin(transport, server, key, ref)
            await _upload(transport, server, key, location, descriptor, open_blob, sent)
            return "pushed"
        except Interrupted:
            sent.take_back()
            if attempt >= transport.limits.retries:
                raise
        location = ""
        await transport.wait_backoff(attempt)
        attempt += 1


class _Sent:
    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self._on_bytes = on_bytes
        self._total = 0

    def add(self, size: int) -> None:
        self._total += size
        self._on_bytes(size)

    def take_back(self) -> None:
        if self._total:
            self._on_bytes(-self._total)
            self._total = 0


async def _mount(
    transport: Transport, server: Server, key: Key, ref: Reference, descriptor: Descriptor, source: Reference
) -> str:
    """ "" if the registry mounted the blob; else where to upload it (a registry need not mount)."""
    wider = Key(key.registry_url, (*key.scopes, repository_scope(source.path)), key.credentials)
    query = urlencode({"mount": descriptor.digest, "from": source.path})
    request = Request("POST", f"{server.repository(ref.path)}/blobs/uploads/?{query}", wider)
    try:
        answer = await transport.small(server, request, ERROR_LIMIT_BYTES)
    except NaruError:  # not allowed to read the source, or to name it: an ordinary upload will say what is really wrong
        return await _begin(transport, server, key, ref)
    if answer.status == 201:
        return ""
    return _location(answer, request) if answer.status == 202 else await _begin(transport, server, key, ref)


async def _begin(transport: Transport, server: Server, key: Key, ref: Reference) -> str:
    request = Request("POST", f"{server.repository(ref.path)}/blobs/uploads/", key, {"Content-Length": "0"})
    answer = await transport.small(server, request, ERROR_LIMIT_BYTES)
    if answer.status != 202:
        raise refusal(answer.status, answer.body, "")
    return _location(answer, request)


def _location(answer: Answer, request: Request) -> str:
    """The absolute upload URL; it is the registry's to build, and opaque but for the query we add to."""
    location = answer.headers.get("location")
    if not location:
        raise Unavailable(f"{request}: the registry answered without a location")
    try:
        return str(URL(request.url, encoded=True).join(URL(location, encoded=True)))
    except ValueError as error:
        raise Unavailable(f"{request}: the registry answered with an invalid location") from error


async def _upload(
    transport: Transport,
    server: Server,
    key: Key,
    location: str,
    descriptor: Descriptor,
    open_blob: Callable[[], int | Readable],
    sent: _Sent,
) -> None:
    separator = "&" if "?" in location else "?"
    url = f"{location}{separator}{urlencode({'digest': descriptor.digest})}"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}

    def body() -> AsyncIterator[bytes]:
        sent.take_back()
        return _read_pieces(open_blob, descriptor, sent)

    answer = await transport.small(server, Request("PUT", url, key, headers, body), ERROR_LIMIT_BYTES)
    if answer.status != 201:
        raise refusal(answer.status, answer.body, f"failed to push blob {descriptor.digest}")


async def _read_pieces(
    open_blob: Callable[[], int | Readable], descriptor: Descriptor, sent: _Sent
) -> AsyncIterator[bytes]:
    """The blob's bytes; exactly as many as stated, or DataLoss before the registry could take them for the blob."""
    opened, offset = open_blob(), 0
    try:
        while offset < descriptor.size:
            count = min(descriptor.size - offset, PIECE_BYTES)
            if isinstance(opened, int):
                # pread: were this cancelled and the descriptor's number used again, nobody else's stream would lose bytes.
                piece = await asyncio.to_thread(os.pread, opened, count, offset)
            else:
                piece = await finish_in_thread(opened.read, count)
            if not piece:
                raise DataLoss(f"blob {descriptor.digest}: the store has {offset} bytes, expected {descriptor.size}")
            offset += len(piece)
            yield piece
            sent.add(len(piece))
    finally:
        if isinstance(opened, int):
            os.close(opened)
        else:
            opened.close()


async def push_manifest(
    transport: Transport, ref: Reference, raw: bytes, media_type: str, credentials: Credentials | None
) -> Digest:
    """The manifest is in ref's repository, under its tag if it has one, when this returns its digest.

    Raises InvalidArgument if ref has a digest and raw another; DataLoss if the registry stored something else.
    """
    digest = Digest.of(raw, ref.digest.algorithm if ref.digest else "sha256")
    if ref.digest not in (None, digest):
        raise InvalidArgument(f"manifest for {ref.familiar}: the bytes have digest {digest}")
    name = ref.tag or digest
    server = await _origin(transport, ref, "Put", f"manifests/{name}")
    key = Key(server.url, (repository_scope(ref.path, push=True),), credentials)
    url = f"{server.repository(ref.path)}/manifests/{name}"
    request = Request("PUT", url, key, {"Content-Type": media_type}, raw)
    answer = await transport.small(server, request, ERROR_LIMIT_BYTES)
    if answer.status not in (200, 201, 202):
        raise refusal(answer.status, answer.body, "")
    stated = answer.headers.get("docker-content-digest", digest)
    if stated != digest:
        raise DataLoss(f"manifest for {ref.familiar}: pushed {digest}, the registry has {stated[:200]}")
    return digest
