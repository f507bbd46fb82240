from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from naru.registry.errors import Refusal
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads


@pytest.fixture
def uploads(storage: Storage) -> Iterator[Uploads]:
    opened = Uploads(storage.content)
    yield opened
    opened.close()
    assert os.listdir(storage.content.ingest_dir) == []


def test_a_session_belongs_to_its_repository_and_caller(uploads: Uploads) -> None:
    upload = uploads.begin("a", "me", "sha256", 0)
    assert uploads.find(upload.id, "a", "me", 1) is upload
    for repository, owner in (("b", "me"), ("a", "you"), ("a", "")):
        with pytest.raises(Refusal, match="upload unknown"):
            uploads.find(upload.id, repository, owner, 1)
    uploads.take(upload).abort()
    with pytest.raises(Refusal, match="upload unknown"):
        uploads.find(upload.id, "a", "me", 1)


def test_idle_sessions_end_when_others_begin(uploads: Uploads) -> None:
    old, used = uploads.begin("a", "", "sha256", 0), uploads.begin("a", "", "sha256", 0)
    uploads.find(used.id, "a", "", 3000)
    uploads.begin("a", "", "sha256", 4000)
    assert not uploads.is_open(old) and uploads.is_open(used)
