"""Handlers of blobs and uploads (distribution-spec "Pulling blobs", "Pushing Blobs", "Mounting a blob", "Deleting Blobs").

Bytes out go by sendfile, Range included; bytes in are hashed and written in threads. An upload that breaks off keeps
what had arrived, for the client to go on from.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp
from aiohttp import web

from naru.content.blobs import Ingest
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest
from naru.registry.access import Action
from naru.registry.context import Context
from naru.registry.errors import Refusal
from naru.registry.routes import check_name, parse_content_range, parse_digest
from naru.registry.uploads import Upload
from naru.remote.writer import PieceWriter

_PIECE_BYTES = 1 << 20
_PIECE_S = 60.0  # within which the next piece has to arrive
_ALGORITHMS = ("sha256", "sha384", "sha512")


async def get(context: Context) -> web.StreamResponse:
    digest = parse_digest(context.route.item)
    path = context.storage.blob_path(context.route.repository, digest)
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "Cache-Control": "max-age=31536000, immutable",
    }
    return web.FileResponse(path, chunk_size=_PIECE_BYTES, headers=headers)


async def delete(context: Context) -> web.StreamResponse:
    context.storage.delete_blob(context.route.repository, parse_digest(context.route.item))
    return web.Response(status=202)


async def begin(context: Context) -> web.StreamResponse:
    """POST: mount, or a session, or with `digest` and a body the whole upload."""
    repository, mount, digest_text = context.route.repository, context.query("mount"), context.query("digest")
    if mount is not None:
        digest = parse_digest(mount)
        if _mount(context, digest, context.query("from")):
            return _created(repository, digest)
    algorithm = context.query("digest-algorithm") or "sha256"
    if algorithm not in _ALGORITHMS:
        raise Refusal("DIGEST_INVALID", f"unsupported digest algorithm {algorithm[:100]!r}")
    if digest_text is not None and mount is None:
        digest = parse_digest(digest_text)
        with context.storage.content.ingest(digest.algorithm) as ingest:
            await _receive(context, ingest)
            await finish_in_thread(context.storage.commit, context.route.repository, ingest, digest.algorithm, digest)
        return _created(repository, digest)
    upload = context.registry.uploads.begin(repository, context.caller.name, algorithm, time.monotonic())
    return _accepted(upload)


def _mount(context: Context, digest: Digest, source: str | None) -> bool:
    """A source that may not be read is as good as one without the blob: the answer must not tell the two apart."""
    if source is not None:
        check_name(source)
        sources = [source]
    else:
        sources = context.storage.records.linked_in(digest)
    return any(
        context.may(Action.PULL, one) and context.storage.mount(context.route.repository, digest, one)
        for one in sources
    )


async def status(context: Context) -> web.StreamResponse:
    upload = _find(context)
    return web.Response(status=204, headers=_progress(upload))


async def append(context: Context) -> web.StreamResponse:
    """PATCH: the next chunk, or, without Content-Range, the rest as a stream."""
    upload = _find(context)
    async with upload.lock:
        await _take_chunk(context, upload)
    return _accepted(upload)


async def finish(context: Context) -> web.StreamResponse:
    """PUT: the last chunk, if any, and the digest that all of it must have."""
    upload = _find(context)
    digest = parse_digest(context.query("digest") or "")
    async with upload.lock:
        await _take_chunk(context, upload)
        with context.registry.uploads.take(upload) as ingest:
            await finish_in_thread(context.storage.commit, context.route.repository, ingest, upload.algorithm, digest)
    return _created(upload.repository, digest)


async def cancel(context: Context) -> web.StreamResponse:
    upload = _find(context)
    async with upload.lock:
        context.registry.uploads.take(upload).abort()
    return web.Response(status=204)


def _find(context: Context) -> Upload:
    route = context.route
    return context.registry.uploads.find(route.item, route.repository, context.caller.name, time.monotonic())


async def _take_chunk(context: Context, upload: Upload) -> None:
    """Raises Refusal RANGE_INVALID, taking nothing, for a chunk that does not begin where the last one ended."""
    if not context.registry.uploads.is_open(upload):  # it ended while this request waited for its turn
        raise Refusal("BLOB_UPLOAD_UNKNOWN")
    stated = context.request.headers.get("Content-Range")
    length = context.request.content_length
    if stated is not None:
        first, last = parse_content_range(stated)
        if first != upload.offset:
            message = f"expected a chunk from {upload.offset}, got one from {first}"
            raise Refusal("RANGE_INVALID", message, headers=_progress(upload))
        if length is not None and length != last - first + 1:
            raise Refusal("SIZE_INVALID", f"Content-Range {stated} with Content-Length {length}")
    await _receive(context, upload.ingest)


async def _receive(context: Context, ingest: Ingest) -> None:
    """Raises Refusal BLOB_UPLOAD_INVALID if the client goes away or falls silent; what arrived is in the ingest."""
    content = context.request.content
    async with PieceWriter(ingest) as writer:
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


def _progress(upload: Upload) -> dict[str, str]:
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.id}",
        "Range": f"0-{max(upload.offset - 1, 0)}",
        "Docker-Upload-UUID": upload.id,
    }


def _accepted(upload: Upload) -> web.Response:
    return web.Response(status=202, headers=_progress(upload))


def _created(repository: str, digest: Digest) -> web.Response:
    location = f"/v2/{repository}/blobs/{digest}"
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})
