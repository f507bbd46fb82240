"""Upload sessions: blobs on their way in, between requests (distribution-spec "Pushing a blob in chunks").

A session lives in this process's memory and in the content store's ingest folder; it belongs to one repository and one
caller, and ends by commit, by cancel, or when nobody has touched it for an hour. A restart ends all: clients begin again.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field

from naru.content.blobs import ContentStore, Ingest
from naru.registry.errors import Refusal

_IDLE_S = 3600.0
_LIMIT = 1000


@dataclass(slots=True)
class Upload:
    id: str
    repository: str
    owner: str
    algorithm: str
    ingest: Ingest
    touched_s: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # one request at a time adds to it

    @property
    def offset(self) -> int:
        return self.ingest.size_bytes


class Uploads:
    def __init__(self, content: ContentStore) -> None:
        self._content = content
        self._sessions: dict[str, Upload] = {}

    def begin(self, repository: str, owner: str, algorithm: str, now_s: float) -> Upload:
        """Raises Refusal TOOMANYREQUESTS while a thousand others are open."""
        self._expire(now_s)
        if len(self._sessions) >= _LIMIT:
            raise Refusal("TOOMANYREQUESTS", "too many open uploads", headers={"Retry-After": "10"})
        upload = Upload(secrets.token_hex(16), repository, owner, algorithm, self._content.ingest(algorithm), now_s)
        self._sessions[upload.id] = upload
        return upload

    def find(self, upload_id: str, repository: str, owner: str, now_s: float) -> Upload:
        """Raises Refusal BLOB_UPLOAD_UNKNOWN, also for sessions of other repositories and other callers."""
        upload = self._sessions.get(upload_id)
        if upload is None or (upload.repository, upload.owner) != (repository, owner):
            raise Refusal("BLOB_UPLOAD_UNKNOWN")
        upload.touched_s = now_s
        return upload

    def take(self, upload: Upload) -> Ingest:
        """The session is over; the caller commits or aborts what it held. Raises Refusal BLOB_UPLOAD_UNKNOWN if it was."""
        if self._sessions.pop(upload.id, None) is None:
            raise Refusal("BLOB_UPLOAD_UNKNOWN")
        return upload.ingest

    def is_open(self, upload: Upload) -> bool:
        return upload.id in self._sessions

    def __len__(self) -> int:
        return len(self._sessions)

    def close(self) -> None:
        for upload in self._sessions.values():
            upload.ingest.abort()
        self._sessions.clear()

    def _expire(self, now_s: float) -> None:
        old = [one for one in self._sessions.values() if now_s - one.touched_s > _IDLE_S and not one.lock.locked()]
        for upload in old:
            self.take(upload).abort()
