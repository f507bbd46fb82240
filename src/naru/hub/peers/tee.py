"""A blob on its way from another registry into the store, which clients read while it arrives: a large layer begins at once, and is
fetched once, however many want it.

What is read is a file that grows: the store's own where it has one, else one beside it. The last byte is given out when the whole has
been verified: who gets a wrong blob never gets the end of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable

from naru.errors import DataLoss, Internal, NaruError, Unavailable
from naru.hub.peers.remotes import Remote
from naru.linux.files import write_all
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest
from naru.oci.image import Descriptor
from naru.registry.access import Caller
from naru.registry.blobstore import File
from naru.registry.errors import Refusal
from naru.registry.storage import Storage
from naru.registry.uploads import Upload, Uploads

log = logging.getLogger("naru.hub")

_ANY = "application/octet-stream"


class Tee:
    """One blob that is fetched. `run` does it; `hold` and `release` are for those who read meanwhile."""

    def __init__(self, repository: str, digest: Digest, size_bytes: int) -> None:
        self.repository = repository
        self.digest = digest
        self.size_bytes = size_bytes
        self.is_stored = False
        self.error: NaruError | OSError | None = None
        self._is_over = False
        self._there_bytes = 0
        self._fd = -1
        self._holders = 0
        self._changed = asyncio.Event()

    def hold(self) -> None:
        """The bytes stay as long as somebody holds them."""
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if not self._holders and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def wait_begun(self) -> None:
        """It is known whether it can be had. Raises what is in the way, if it cannot."""
        while not (self._there_bytes or self._is_over):
            await self._changed.wait()
        if self.error is not None and not self._there_bytes:
            raise self.error

    async def run(
        self, storage: Storage, uploads: Uploads, caller: Caller, remote: Remote, path: str,
        stored: Callable[[Tee], Awaitable[None]],
    ) -> None:  # fmt: skip
        """Fetch and store it, then tell. Never raises what is in `error`, which readers get."""
        self.hold()
        try:
            session = await uploads.begin(self.repository, caller.name, self.digest.algorithm)
            async with uploads.turn(session.id, self.repository, caller.name) as upload:
                try:
                    await self._fetch(storage, upload, remote, path)
                    await self._store(storage, upload, caller)
                finally:
                    if not upload.is_over:
                        await uploads.cancel(upload)
            if self.is_stored:
                await stored(self)
        except (NaruError, OSError) as error:
            self.error = error
            log.warning("%s: %s could not be fetched: %s", self.repository, self.digest, error)
        except asyncio.CancelledError:
            self.error = Unavailable("the hub is stopping")
            raise
        except Exception:  # nobody waits for this task: what readers get is all that would be seen of it
            self.error = Internal("the hub has failed")
            log.exception("%s: %s", self.repository, self.digest)
        finally:
            self._is_over = True
            self._tell()
            self.release()

    async def _fetch(self, storage: Storage, upload: Upload, remote: Remote, path: str) -> None:
        place = storage.blobs.where(upload.id, direct=False)
        if isinstance(place, File):
            self._fd = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
            sink = _Sink(self, upload, None)
        else:
            with tempfile.TemporaryFile(buffering=0) as file:
                self._fd = os.dup(file.fileno())
            sink = _Sink(self, upload, self._fd)
        await remote.fetch_blob(path, Descriptor(_ANY, self.digest, self.size_bytes), sink, lambda _: None)

    async def _store(self, storage: Storage, upload: Upload, caller: Caller) -> None:
        try:
            await storage.commit(caller, upload, self.digest)
            self.is_stored = True
        except Refusal as error:
            if error.code != "DENIED":  # by a rule, which comes after the bytes have been verified
                raise DataLoss(f"{self.repository}: {error.message}") from error
            log.warning("%s: %s was passed on, and not kept: %s", self.repository, self.digest, error)  # no room

    def grow(self, there_bytes: int) -> None:
        self._there_bytes = there_bytes
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def read_at(self, offset: int, count: int) -> bytes:
        """At most so many bytes from there on, as soon as some are there. Raises what went wrong."""
        while True:
            if self.error is not None:
                raise self.error
            verified = self.size_bytes if self._is_over else min(self._there_bytes, self.size_bytes - 1)
            if offset < verified:
                return await finish_in_thread(os.pread, self._fd, min(count, verified - offset), offset)
            if self._is_over:
                return b""
            await self._changed.wait()


class _Sink:
    """Where the client writes, in a thread."""

    def __init__(self, tee: Tee, upload: Upload, copy: int | None) -> None:
        self._tee = tee
        self._upload = upload
        self._copy = copy
        self._loop = asyncio.get_running_loop()

    @property
    def size_bytes(self) -> int:
        return self._upload.offset

    def write(self, data: bytes | memoryview) -> None:
        self._upload.write(data)
        if self._copy is not None:
            write_all(self._copy, data)
        self._loop.call_soon_threadsafe(self._tee.grow, self._upload.offset)


class Reader:
    """One who reads a Tee from some byte on: a `streaming.Source`."""

    def __init__(self, tee: Tee, first: int) -> None:
        tee.hold()
        self._tee = tee
        self._at = first
        self._closed = False

    async def read(self, count: int) -> bytes:
        piece = await self._tee.read_at(self._at, count)
        self._at += len(piece)
        return piece

    def __del__(self) -> None:
        self.close()  # an answer whose client has gone is not even begun

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._tee.release()
