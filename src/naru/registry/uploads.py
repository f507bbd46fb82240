"""Upload sessions: blobs on their way in, between requests (distribution-spec "Pushing a blob in chunks").

A session is a row of `upload` and an object of the blob store under the session's id; it belongs to one repository and one caller, and
any instance, also one started later, can go on with it. The process that took the last request keeps the object open and its hash
running: if it gets the next one too, nothing is read again. A session ends by commit, by cancel, or when nobody has touched it for a day.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from naru.errors import DataLoss
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest, Hasher
from naru.registry import records
from naru.registry.blobstore import BlobStore, Spool, new_key
from naru.registry.database import Connection, Database, one
from naru.registry.errors import Refusal

IDLE_S = 86400.0
_OPEN_AT_ONCE = (
    500  # of those between two requests; the one that waits longest is closed, and resumed if asked for again
)
_READ_BYTES = 1 << 20
_ELSEWHERE = "the upload has ended, or another request has gone on with it"
_CLAIMED = "claimed "  # instead of a spool's state, which is empty or JSON


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    repository: str
    owner: str
    algorithm: str
    size_bytes: int
    state: str


def insert(c: Connection, session: Session, now_s: float) -> None:
    c.run(
        "INSERT INTO upload (id, repository, owner, algorithm, size_bytes, state, touched_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        session.id, session.repository, session.owner, session.algorithm, session.size_bytes, session.state, now_s,
    )  # fmt: skip


def find(c: Connection, upload_id: str) -> Session | None:
    found = one(
        c.rows("SELECT id, repository, owner, algorithm, size_bytes, state FROM upload WHERE id = ?", upload_id)
    )
    return Session(*found) if found else None


def sessions(c: Connection) -> list[Session]:
    found = c.rows("SELECT id, repository, owner, algorithm, size_bytes, state FROM upload")
    return [Session(*row) for row in found]


def progress(c: Connection, before: Session, after: Session, now_s: float) -> bool:
    """False if it is not as it was before: it has ended, or another instance has gone on with it."""
    sql = "UPDATE upload SET size_bytes = ?, state = ?, touched_at = ? WHERE id = ? AND size_bytes = ? AND state = ?"
    return c.run(sql, after.size_bytes, after.state, now_s, before.id, before.size_bytes, before.state) > 0


def end(c: Connection, upload_id: str) -> bool:
    """False if it has ended already."""
    return c.run("DELETE FROM upload WHERE id = ?", upload_id) > 0


def abandon(c: Connection, upload_id: str, now_s: float) -> bool:
    """End it; its bytes are on their way out. False if it has ended already: then the object is perhaps a blob."""
    ended = end(c, upload_id)
    if ended:
        records.discard(c, upload_id, now_s)
    return ended


def expire(c: Connection, now_s: float) -> list[str]:
    """Abandon some of those that nobody has touched for a day. Which these were."""
    sql = f"SELECT id FROM upload WHERE touched_at < ? ORDER BY touched_at LIMIT 100{c.for_claim}"
    old = [str(upload_id) for (upload_id,) in c.rows(sql, now_s - IDLE_S)]
    return [upload_id for upload_id in old if abandon(c, upload_id, now_s)]


def count(c: Connection) -> int:
    return int(c.rows("SELECT count(*) FROM upload")[0][0])


async def delete_discarded(database: Database, blobs: BlobStore, keys: Sequence[str]) -> None:
    """The bytes go, and then what says that they are to go."""

    def delete() -> None:
        for key in keys:
            blobs.delete(key)

    await finish_in_thread(delete)
    await database.note(records.forget_discarded, keys)


class Upload:
    """A session as one request has it: nobody else of this process does meanwhile. `write` blocks."""

    def __init__(self, session: Session, spool: Spool, hasher: Hasher | None) -> None:
        self.session = session
        self._spool = spool
        self._hasher = hasher  # None: not all bytes went by here
        self.is_over = False

    @property
    def id(self) -> str:
        return self.session.id

    @property
    def repository(self) -> str:
        return self.session.repository

    @property
    def offset(self) -> int:
        return self._spool.size_bytes

    def write(self, data: bytes | memoryview) -> None:
        self._spool.write(data)
        if self._hasher is not None:
            self._hasher.update(data)

    def pause(self) -> Session:
        """As it is to be noted down."""
        state = self._spool.pause()
        return replace(self.session, size_bytes=self._spool.size_bytes, state=state)

    def close(self) -> None:
        self._spool.close()

    def finish(self, blobs: BlobStore, expected: Digest) -> None:
        """The object is there, and has this digest, when this returns. Raises DataLoss if it has another one."""
        self._spool.finish()
        if self._hasher is not None and expected.algorithm == self.session.algorithm:
            found = self._hasher.digest()
        else:
            hasher = Hasher(expected.algorithm)
            with blobs.open(self.id) as file:
                while piece := file.read(_READ_BYTES):
                    hasher.update(piece)
            found = hasher.digest()
        if found != expected:
            raise DataLoss(f"blob {expected}: the bytes have digest {found}")


@asynccontextmanager
async def claimed(database: Database, upload: Upload) -> AsyncIterator[None]:
    """No other instance goes on with it in here, nor after this one has died in here. Raises Refusal BLOB_UPLOAD_UNKNOWN if one has
    already: of two that write one object, each would have verified its own bytes."""
    if not database.shared:
        yield
        return
    before = upload.session
    upload.session = replace(before, state=f"{_CLAIMED}{new_key()}")
    if not await database.note(progress, before, upload.session, time.time()):
        raise Refusal("BLOB_UPLOAD_UNKNOWN", _ELSEWHERE)
    try:
        yield
    except BaseException:
        mine, upload.session = upload.session, before
        await database.note(progress, mine, before, time.time())  # changes nothing if it has ended
        raise


@dataclass(slots=True)
class _Turns:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Uploads:
    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
        self._open: dict[str, Upload] = {}  # between two requests, the last used one last
        self._turns: dict[str, _Turns] = {}

    async def begin(self, repository: str, owner: str, algorithm: str) -> Session:
        session = Session(new_key(), repository, owner, algorithm, 0, "")
        await self._database.note(insert, session, time.time())
        spool = await finish_in_thread(self._blobs.begin, session.id)
        await self._keep(Upload(session, spool, Hasher(algorithm)))
        return session

    async def recover(self) -> None:
        """End those whose bytes went with the machine's power: nobody is to be told a Range of bytes that are not there. Only where no
        other instance is working with them."""

        def lost(known: Sequence[Session]) -> list[str]:
            gone = []
            for session in known:
                try:
                    self._blobs.resume(session.id, session.state, session.size_bytes).close()
                except DataLoss:
                    gone.append(session.id)
            return gone

        for upload_id in await finish_in_thread(lost, await self._database.read(sessions)):
            await self._database.note(abandon, upload_id, time.time())

    async def find(self, upload_id: str, repository: str, owner: str) -> Session:
        """Raises Refusal BLOB_UPLOAD_UNKNOWN, also for sessions of other repositories and other callers."""
        session = await self._database.read(find, upload_id)
        if session is None or (session.repository, session.owner) != (repository, owner):
            raise Refusal("BLOB_UPLOAD_UNKNOWN")
        return session

    @asynccontextmanager
    async def turn(self, upload_id: str, repository: str, owner: str) -> AsyncIterator[Upload]:
        """The session, for one request at a time; what has been written when this ends, however it ends, is kept, unless the
        upload `is_over` then. Raises Refusal BLOB_UPLOAD_UNKNOWN."""
        async with self._in_turn(upload_id):
            session = await self.find(upload_id, repository, owner)
            upload = await self._resume(session)
            try:
                yield upload
            finally:
                if upload.is_over:
                    upload.close()
                else:
                    await self._pause(upload)

    @asynccontextmanager
    async def _in_turn(self, upload_id: str) -> AsyncIterator[None]:
        turns = self._turns.setdefault(upload_id, _Turns())
        turns.waiting += 1
        try:
            async with turns.lock:
                yield
        finally:
            turns.waiting -= 1
            if not turns.waiting:
                del self._turns[upload_id]

    async def _resume(self, session: Session) -> Upload:
        if session.state.startswith(_CLAIMED):
            raise Refusal("BLOB_UPLOAD_UNKNOWN", _ELSEWHERE)
        upload = self._open.pop(session.id, None)
        if upload is not None:
            if upload.session == session:
                return upload
            upload.close()  # another instance has gone on with it
        try:
            spool = await finish_in_thread(self._blobs.resume, session.id, session.state, session.size_bytes)
        except DataLoss as error:  # this machine has lost its power since
            await self._database.note(end, session.id)
            raise Refusal("BLOB_UPLOAD_UNKNOWN") from error
        return Upload(session, spool, None if session.size_bytes else Hasher(session.algorithm))

    async def _pause(self, upload: Upload) -> None:
        try:
            session = await finish_in_thread(upload.pause)
            if not await self._database.note(progress, upload.session, session, time.time()):
                raise Refusal("BLOB_UPLOAD_UNKNOWN", _ELSEWHERE)
            upload.session = session
        except BaseException:
            upload.close()
            raise
        await self._keep(upload)

    async def _keep(self, upload: Upload) -> None:
        self._open[upload.id] = upload
        while len(self._open) > _OPEN_AT_ONCE:
            self._open.pop(next(iter(self._open))).close()

    async def cancel(self, upload: Upload) -> None:
        """The session is over; its bytes go. Raises Refusal BLOB_UPLOAD_UNKNOWN if it was over before."""
        upload.is_over = True
        if not await self._database.note(abandon, upload.id, time.time()):
            raise Refusal("BLOB_UPLOAD_UNKNOWN")
        await delete_discarded(self._database, self._blobs, (upload.id,))

    async def expire(self) -> None:
        """End those that nobody has touched for a day."""
        while ended := await self._database.note(expire, time.time()):
            for upload_id in ended:
                if (upload := self._open.pop(upload_id, None)) is not None:
                    upload.close()

    def close(self) -> None:
        for upload in self._open.values():
            upload.close()
        self._open.clear()
