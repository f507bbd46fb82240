"""What tests of several folders make their input with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from naru.snapshots.tarformat import Entry
from naru.snapshots.tarstream import TarWriter


def make_tar(*members: tuple[Entry, bytes] | Entry) -> bytes:
    out = bytearray()
    writer = TarWriter(out.extend)
    for member in members:
        entry, body = member if isinstance(member, tuple) else (member, b"")
        entry.size = len(body)
        pieces = iter([body])
        writer.add(entry, lambda _count, pieces=pieces: next(pieces, b""))
    writer.close()
    return bytes(out)


@pytest.fixture
def tar() -> Callable[..., bytes]:
    return make_tar
