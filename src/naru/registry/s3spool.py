"""An object on its way into a bucket: in the parts of a multipart upload, or in one piece if it is smaller than a part.

| in the bucket | from | until |
|---|---|---|
| multipart upload of `PATH` | the first part is full | `finish`, or it is deleted |
| `PATH.tail0`, `PATH.tail1` | `pause`, with what has come since the last full part | `finish`, or it is deleted |
| `PATH` | `finish` | it is deleted |

Tails take turns: a state that `pause` returned holds until two later ones have been, so who could not note down the last one has the
one before. Of several instances that go on with one upload at the same time (nothing here keeps them from it) one finishes: it names
the parts it knows, the object is written only where there is none, and what S3 says it has become is compared.

Memory: at most two parts, one being filled and one being sent; idle uploads share an allowance, and fetch their tails again beyond it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from threading import Lock

from naru.errors import Conflict, DataLoss, Unavailable
from naru.linux.threads import in_fresh_thread
from naru.registry.bucket import Bucket

log = logging.getLogger("naru.registry")

PART_BYTES = 16 << 20
_PARTS_OF_A_SIZE = 750
_MD5 = re.compile(r"[0-9a-f]{32}")
_ETAG_OF_PARTS = re.compile(r"[0-9a-f]{32}-[0-9]{1,5}")


def size_of_part(number: int, first_bytes: int = PART_BYTES) -> int:
    """Of the part with this number, which counts from 1: the 10000 that S3 allows hold 1.09 TiB, if the first has 16 MiB.

    The first 750 (12 GiB) have one size: there are stores that want that of all.
    """
    return first_bytes * (1 + (number - 1) // _PARTS_OF_A_SIZE)


def tails_of(path: str) -> tuple[str, str]:
    return f"{path}.tail0", f"{path}.tail1"


class Allowance:
    """Bytes that idle uploads may keep in memory, all together."""

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes
        self._lock = Lock()

    def take(self, size_bytes: int) -> bool:
        with self._lock:
            if size_bytes > self._left_bytes:
                return False
            self._left_bytes -= size_bytes
            return True

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self._left_bytes += size_bytes


@dataclass(frozen=True, slots=True)
class Means:
    """What all uploads of a store work with. `strict`: the bucket has conditional writes, and S3's ETags."""

    bucket: Bucket
    part_bytes: int
    strict: bool
    allowance: Allowance


@dataclass(frozen=True, slots=True)
class _State:
    """`parts`: their ETags, in order. `tails`: how many have been stored; the last one is the one that counts, if it has bytes."""

    upload_id: str = ""
    parts: tuple[str, ...] = ()
    tails: int = 0
    tail_etag: str = ""
    tail_bytes: int = 0

    def text(self) -> str:
        return "" if self == _State() else json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> _State:
        """Raises ValueError."""
        if not text:
            return cls()
        raw = json.loads(text)
        try:
            tail = int(raw["tails"]), str(raw["tail_etag"]), int(raw["tail_bytes"])
            return cls(str(raw["upload_id"]), tuple(map(str, raw["parts"])), *tail)
        except (KeyError, TypeError) as error:
            raise ValueError("it is no state") from error


class S3Spool:
    def __init__(self, means: Means, path: str, state: _State | None = None) -> None:
        self.size_bytes = 0
        self._means = means
        self._bucket = means.bucket
        self._path = path
        self._saved: _State | None = state or _State()  # None: more has come since
        self._upload_id = self._saved.upload_id
        self._parts = list(self._saved.parts)
        self._tails = self._saved.tails
        self._tail = bytearray()
        self._is_away = False  # the tail is in the bucket only
        self._kept_bytes = 0  # of the allowance
        self._sending: Future[str] | None = None  # of the next part
        self._is_over = False

    @classmethod
    def resumed(cls, means: Means, path: str, text: str, size_bytes: int) -> S3Spool:
        """Raises DataLoss if not exactly these bytes are there."""
        try:
            spool = cls(means, path, _State.parse(text))
        except ValueError as error:
            raise DataLoss(f"upload {path}: its state cannot be read") from error
        spool._look(size_bytes)
        return spool

    def _look(self, size_bytes: int) -> None:
        count = len(self._parts)
        if count:
            listed = self._bucket.parts(self._path, self._upload_id)[:count]
            if [(number, etag) for number, etag, _ in listed] != list(enumerate(self._parts, 1)):
                raise DataLoss(f"upload {self._path}: its parts are others")
            self.size_bytes = sum(part_bytes for *_, part_bytes in listed)
        self._fetch_tail()
        self.size_bytes += len(self._tail)
        if self.size_bytes != size_bytes:
            raise DataLoss(f"upload {self._path}: {self.size_bytes} of its {size_bytes} bytes are there")

    def _fetch_tail(self) -> None:
        saved = self._saved
        if saved is None or not saved.tail_bytes:
            return
        try:
            with self._bucket.open(tails_of(self._path)[(saved.tails - 1) % 2], etag=saved.tail_etag) as file:
                self._tail = bytearray(file.read(saved.tail_bytes + 1))
        except Conflict as error:
            raise DataLoss(f"upload {self._path}: another instance has gone on with it") from error
        if len(self._tail) != saved.tail_bytes:
            raise DataLoss(f"upload {self._path}: not all of its bytes are there")
        self._is_away = False

    def write(self, data: bytes | memoryview) -> None:
        """Raises Unavailable, DataLoss: also for a part of before, which has been on its way meanwhile."""
        if not data:
            return
        self._wake()
        self._saved = None
        view = memoryview(data)
        try:
            while view:
                more = view[: self._room()]
                self._tail += more
                self.size_bytes += len(more)
                view = view[len(more) :]
                if not self._room():
                    self._send()
        except BaseException:  # who wrote does not know how much of it has been taken
            self._is_over = True
            raise

    def _room(self) -> int:
        number = len(self._parts) + (self._sending is not None) + 1
        return max(0, size_of_part(number, self._means.part_bytes) - len(self._tail))

    def _send(self) -> None:
        """In a thread of its own, one part at a time."""
        self._settle()
        if not self._upload_id:
            self._upload_id = self._bucket.begin_parts(self._path)
        put = partial(self._bucket.put_part, self._path, self._upload_id, len(self._parts) + 1, self._tail)
        self._sending, self._tail = in_fresh_thread(put), bytearray()

    def _settle(self) -> None:
        """A part that failed fails whoever asks, from then on."""
        if self._sending is not None:
            self._parts.append(self._sending.result())
            self._sending = None

    def _wake(self) -> None:
        if self._is_over:
            raise Unavailable(f"upload {self._path}: it is over, or broke off; what was paused can be resumed")
        self._means.allowance.give_back(self._kept_bytes)
        self._kept_bytes = 0
        if self._is_away:
            self._fetch_tail()

    def pause(self) -> str:
        if self._saved is None:
            self._wake()
            self._settle()
            etag = ""
            if self._tail:
                etag = self._bucket.put(tails_of(self._path)[self._tails % 2], self._tail)
                self._tails += 1
            self._saved = _State(self._upload_id, tuple(self._parts), self._tails, etag, len(self._tail))
        if self._tail and not self._kept_bytes:
            if self._means.allowance.take(len(self._tail)):
                self._kept_bytes = len(self._tail)
            else:
                self._tail = bytearray()
                self._is_away = True
        return self._saved.text()

    def finish(self) -> None:
        """Raises Unavailable (it can be tried again); DataLoss if the object is another one: somebody else has finished it."""
        self._wake()
        self._settle()
        if self._upload_id:
            self._finish_parts()
        else:
            self._finish_whole()
        for tail in tails_of(self._path)[: self._tails]:
            try:
                self._bucket.delete(tail)
            except Unavailable as error:  # what counts is stored; the tail goes when the object does
                log.warning("%s stays for now: %s", tail, error)
        self.close()

    def _finish_whole(self) -> None:
        try:
            self._bucket.put(self._path, self._tail, only_new=self._means.strict)
        except Conflict as error:  # written by somebody else, or by a request of ours whose answer got lost
            with self._bucket.open(self._path) as file:
                if file.read(len(self._tail) + 1) != self._tail:
                    raise DataLoss(f"upload {self._path}: another instance has finished it") from error

    def _finish_parts(self) -> None:
        etags = list(self._parts)
        if self._tail:
            etags.append(self._bucket.put_part(self._path, self._upload_id, len(etags) + 1, self._tail))
        expected = _etag_of(etags)
        try:
            made = self._bucket.finish_parts(self._path, self._upload_id, etags, only_new=self._means.strict)
        except (Conflict, DataLoss) as error:
            if self._is_made(expected):
                return  # by a request of ours whose answer got lost
            if isinstance(error, Conflict):
                self._bucket.abort_parts(self._path, self._upload_id)
            raise DataLoss(f"upload {self._path}: another instance has gone on with it") from error
        comparable = self._means.strict and made.is_plain and expected and _ETAG_OF_PARTS.fullmatch(made.etag)
        if comparable and made.etag != expected:
            raise DataLoss(f"upload {self._path}: another instance has finished it")

    def _is_made(self, etag: str) -> bool:
        try:
            made = self._bucket.head(self._path)
        except DataLoss:
            return False
        return (made.size_bytes, made.etag) == (self.size_bytes, etag)

    def close(self) -> None:
        self._means.allowance.give_back(self._kept_bytes)
        self._kept_bytes = 0
        self._tail = bytearray()
        self._is_over = True


def _etag_of(parts: Sequence[str]) -> str:
    """Of the object that S3 makes of parts with these ETags; "" if they are not S3's."""
    if not all(map(_MD5.fullmatch, parts)):
        return ""
    digest = hashlib.md5(b"".join(map(bytes.fromhex, parts)), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(parts)}"
