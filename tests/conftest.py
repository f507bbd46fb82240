"""What tests of several folders make their input with."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import settings

from naru.snapshots.sinks import Copied
from naru.snapshots.tarformat import Entry
from naru.snapshots.tarstream import TarWriter

settings.register_profile("naru", deadline=None)  # a busy machine is no fault of ours
settings.load_profile("naru")


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """An `async def` test runs in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


def make_tar(*members: tuple[Entry, bytes] | Entry) -> bytes:
    out = bytearray()
    writer = TarWriter(Copied(out.extend))
    for member in members:
        entry, body = member if isinstance(member, tuple) else (member, b"")
        entry.size = len(body)
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.seek(0)
            writer.add(entry, file.fileno())
    writer.close()
    return bytes(out)


@pytest.fixture
def tar() -> Callable[..., bytes]:
    return make_tar
