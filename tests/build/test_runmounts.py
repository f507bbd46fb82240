from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from naru.build.flags import RunMount
from naru.build.runmounts import CacheMounts


def _cache(sharing: str = "", **options: int) -> RunMount:
    return RunMount("cache", target="/c", sharing=sharing, **options)  # type: ignore[arg-type]


def test_a_cache_is_the_same_directory_again(tmp_path: Path) -> None:
    async def work() -> list[str]:
        out = []
        for name in ("/a", "/a", "/b"):
            async with CacheMounts(str(tmp_path)).hold(name, _cache()) as path:
                out.append(path)
        return out

    first, second, other = asyncio.run(work())
    assert first == second != other


def test_an_id_is_never_a_path(tmp_path: Path) -> None:
    async def work() -> None:
        caches = CacheMounts(str(tmp_path / "caches"))
        for name in ("../../x", "/etc", "a/b", "", "x" * 5000, "\0"):
            async with caches.hold(name, _cache()) as path:
                assert os.path.dirname(path) == str(tmp_path / "caches")

    asyncio.run(work())
    assert os.listdir(tmp_path) == ["caches"]


def test_private_caches_do_not_meet(tmp_path: Path) -> None:
    async def work() -> None:
        caches = CacheMounts(str(tmp_path))
        async with caches.hold("a", _cache("private")) as one:
            async with caches.hold("a", _cache("private")) as two:
                assert one != two
            async with caches.hold("a", _cache("shared")) as shared:
                assert shared == one
        async with caches.hold("a", _cache("private")) as again:
            assert again == one

    asyncio.run(work())


def test_a_locked_cache_waits(tmp_path: Path) -> None:
    async def work() -> list[str]:
        caches, order = CacheMounts(str(tmp_path)), list[str]()
        inside = asyncio.Event()

        async def first() -> None:
            async with caches.hold("a", _cache("locked")):
                inside.set()
                for _ in range(5):
                    await asyncio.sleep(0)
                order.append("first")

        async def second() -> None:
            await inside.wait()
            async with caches.hold("a", _cache("locked")):
                order.append("second")

        async with asyncio.TaskGroup() as group:
            group.create_task(second())
            group.create_task(first())
        return order

    assert asyncio.run(work()) == ["first", "second"]


@pytest.mark.root
def test_owner_and_mode_of_a_new_cache(tmp_path: Path) -> None:
    async def work() -> os.stat_result:
        async with CacheMounts(str(tmp_path)).hold("a", _cache(mode=0o1770, uid=5, gid=6)) as path:
            return os.stat(path)

    info = asyncio.run(work())
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (5, 6, 0o1770)
