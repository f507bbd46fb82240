"""Handlers of blobs and uploads (distribution-spec "Pulling blobs", "Pushing Blobs", "Mounting a blob", "Deleting Blobs").

Bytes out go by sendfile, Range included; bytes in are hashed and written in threads. An upload that breaks off keeps
what had arrived, for the client to go on from.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp
from aiohttp import ETag, web

from naru.oci.digest import Digest
from naru.registry import streaming
from naru.registry.blobstore import File, Redirect, Stream
from naru.registry.context import Context
from naru.registry.errors import Refusal
from naru.registry.routes import check_name, parse_content_range, parse_digest
from naru.registry.uploads import Session, Upload
from naru.remote.writer import PieceWriter

_PIECE_BYTES = 1 << 20
_PIECE_S = 60.0  # within which the next piece has to arrive
_ALGORITHMS = ("sha256", "sha384", "sha512")


async def get(context: Context) -> web.StreamResponse:
    """By sendfile, or from where the store says; HEAD is also how a client that pushes asks what it need not send."""
    repository, digest = context.route.repository, parse_digest(context.route.item)
    blob = await context.storage.blob(repository, digest)
    headers = headers_of(digest)
    if context.request.method == "HEAD":
        await context.storage.promise(repository, digest)
        return head(digest, blob.size_bytes)
    if any(tag.value in (digest, "*") for tag in context.request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    match await asyncio.to_thread(context.storage.where, blob):
        case File(path) if streaming.is_encrypted(context.request):
            source = Stream(partial(streaming.open_file, path))
            return await streaming.send(context.request, source, blob.size_bytes, str(digest), headers)
        case File(path):
            return _BlobFile(path, chunk_size=_PIECE_BYTES, headers=headers)
        case Redirect(url):
            return web.Response(status=307, headers={"Location": url, "Docker-Content-Digest": digest})
        case Stream() as source:
            return await streaming.send(context.request, source, blob.size_bytes, str(digest), headers)


class _BlobFile(web.FileResponse):
    """Its ETag is the digest, as everywhere, and not what the file's time would make: that is another one in another instance."""

    @property
    def etag(self) -> ETag | None:
        return super().etag

    @etag.setter
    def etag(self, value: object) -> None:
        pass


def headers_of(digest: Digest) -> dict[str, str]:
    return {
        "ETag": f'"{digest}"',
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "Cache-Control": "max-age=31536000, immutable",
    }


def head(digest: Digest, size_bytes: int) -> web.Response:
    """The answer to HEAD."""
    return web.Response(headers={**headers_of(digest), "Content-Length": str(size_bytes), "Accept-Ranges": "bytes"})


async def delete(context: Context) -> web.StreamResponse:
    await context.storage.delete_blob(context.route.repository, parse_digest(context.route.item))
    return web.Response(status=202)


async def begin(context: Context) -> web.StreamResponse:
    """POST: mount, or a session, or with `digest` and a body the whole upload."""
    repository, mount, digest_text = context.route.repository, context.query("mount"), context.query("digest")
    if mount is not None:
        digest = parse_digest(mount)
        if await _mount(context, digest, context.query("from")):
            return _created(repository, digest)
    algorithm = context.query("digest-algorithm") or "sha256"
    if algorithm not in _ALGORITHMS:
        raise Refusal("DIGEST_INVALID", f"unsupported digest algorithm {algorithm[:100]!r}")
    if digest_text is None or mount is not None:
        return _accepted(await context.registry.uploads.begin(repository, context.caller.name, algorithm))
    digest = parse_digest(digest_text)
    session = await context.registry.uploads.begin(repository, context.caller.name, digest.algorithm)
    async with _turn(context, session.id) as upload:
        try:
            await _receive(context, upload)
        except BaseException:  # nobody has been told of a session to go on with
            await context.registry.uploads.cancel(upload)
            raise
        await context.storage.commit(context.caller, upload, digest)
    return _created(repository, digest)


async def _mount(context: Context, digest: Digest, source: str | None) -> bool:
    """A source that may not be read is as good as one without the blob: the answer must not tell the two apart."""
    if source is not None:
        check_name(source)
        sources = [context.registry.spelled(source)]
    else:
        sources = await context.storage.sources(digest)
    for one in await context.readable(sources):
        if await context.storage.mount(context.caller, context.route.repository, digest, one):
            return True
    return False


async def status(context: Context) -> web.StreamResponse:
    route = context.route
    session = await context.registry.uploads.find(route.item, route.repository, context.caller.name)
    return web.Response(status=204, headers=_progress(session))


async def append(context: Context) -> web.StreamResponse:
    """PATCH: the next chunk, or, without Content-Range, the rest as a stream."""
    async with _turn(context, context.route.item) as upload:
        await _take_chunk(context, upload)
    return _accepted(upload.session)


async def finish(context: Context) -> web.StreamResponse:
    """PUT: the last chunk, if any, and the digest that all of it must have."""
    async with _turn(context, context.route.item) as upload:
        digest = parse_digest(context.query("digest") or "")
        await _take_chunk(context, upload)
        await context.storage.commit(context.caller, upload, digest)
    return _created(context.route.repository, digest)


async def cancel(context: Context) -> web.StreamResponse:
    async with _turn(context, context.route.item) as upload:
        await context.registry.uploads.cancel(upload)
    return web.Response(status=204)


def _turn(context: Context, upload_id: str) -> AbstractAsyncContextManager[Upload]:
    return context.registry.uploads.turn(upload_id, context.route.repository, context.caller.name)


async def _take_chunk(context: Context, upload: Upload) -> None:
    """Raises Refusal RANGE_INVALID, taking nothing, for a chunk that does not begin where the last one ended."""
    stated = context.request.headers.get("Content-Range")
    length = context.request.content_length
    if stated is not None:
        first, last = parse_content_range(stated)
        if first != upload.offset:
            message = f"expected a chunk from {upload.offset}, got one from {first}"
            raise Refusal("RANGE_INVALID", message, headers=_progress(upload.session))
        if length is not None and length != last - first + 1:
            raise Refusal("SIZE_INVALID", f"Content-Range {stated} with Content-Length {length}")
    await _receive(context, upload)


async def _receive(context: Context, upload: Upload) -> None:
    """Raises Refusal BLOB_UPLOAD_INVALID if the client goes away or falls silent; what arrived is in the upload."""
    content = context.request.content
    async with PieceWriter(upload) as writer:
        ended = False
        while not ended:
            piece: list[bytes] = []
            size = 0
            try:
                async with asyncio.timeout(_PIECE_S):
                    while size < _PIECE_BYTES and not ended:
                        chunk, ends_a_part = await content.readchunk()  # as it came: readany would copy it
                        piece.append(chunk)
                        size += len(chunk)
                        ended = not chunk and (not ends_a_part or content.at_eof())
            except (aiohttp.ClientError, ConnectionError, TimeoutError, web.RequestPayloadError) as error:
                await writer.write(piece)
                raise Refusal("BLOB_UPLOAD_INVALID", "the request body broke off") from error
            await writer.write(piece)


def _progress(session: Session) -> dict[str, str]:
    return {
        "Location": f"/v2/{session.repository}/blobs/uploads/{session.id}",
        "Range": f"0-{max(session.size_bytes - 1, 0)}",
        "Docker-Upload-UUID": session.id,
    }


def _accepted(session: Session) -> web.Response:
    return web.Response(status=202, headers=_progress(session))


def _created(repository: str, digest: Digest) -> web.Response:
    location = f"/v2/{repository}/blobs/{digest}"
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})
