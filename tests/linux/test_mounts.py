"""Mounts in private namespaces: the host's mount table never knows."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from naru.linux.files import Root
from naru.linux.mounts import Mount, apply_all, in_private_namespace, open_detached, run_in_private_namespace

pytestmark = pytest.mark.root


def table() -> set[str]:
    with open("/proc/self/mounts") as file:
        return {line.split()[1] for line in file}


@pytest.fixture
def overlay(tmp_path: Path) -> Mount:
    for name in ("low", "up", "work", "target"):
        (tmp_path / name).mkdir()
    (tmp_path / "low" / "file").write_text("below")
    (tmp_path / "low" / "folder").mkdir()
    return Mount("overlay", "overlay", ("lowerdir=low", "upperdir=up", "workdir=work"), cwd=str(tmp_path))


def test_what_is_mounted_is_seen_inside_only(overlay: Mount, tmp_path: Path) -> None:
    target = str(tmp_path / "target")

    def work() -> str:
        apply_all([overlay], target)
        Path(target, "new").write_text("above")
        assert target in Path("/proc/thread-self/mounts").read_text()
        return Path(target, "file").read_text()

    before, directory = table(), os.getcwd()
    assert in_private_namespace(work) == "below"
    assert table() == before or target not in table()
    assert os.listdir(target) == [] and os.getcwd() == directory
    assert (tmp_path / "up" / "new").read_text() == "above"


def test_an_error_inside_is_raised_outside(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        in_private_namespace(lambda: Mount("bind", "/nosuch", "").apply(str(tmp_path)))
    assert "mount bind" in str(caught.value)


def test_read_only_binds(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    source.mkdir()
    target.mkdir()

    def work() -> None:
        Mount("bind", str(source), read_only=True).apply(str(target))
        with pytest.raises(OSError, match="Read-only"):
            (target / "x").touch()

    in_private_namespace(work)
    (source / "x").touch()


def test_asynchronously(overlay: Mount, tmp_path: Path) -> None:
    target = str(tmp_path / "target")

    def work() -> list[str]:
        apply_all([overlay], target)
        return sorted(os.listdir(target))

    def broken() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        assert await run_in_private_namespace(work) == ["file", "folder"]
        with pytest.raises(ZeroDivisionError):
            await run_in_private_namespace(broken)

    asyncio.run(main())
    assert target not in table()


def test_a_cancelled_wait_does_not_disturb_the_work() -> None:
    entered, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        go.wait(5)
        done.set()

    async def main() -> None:
        task = asyncio.ensure_future(run_in_private_namespace(work))
        await asyncio.to_thread(entered.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        assert await asyncio.to_thread(done.wait, 5)

    asyncio.run(main())


def test_a_detached_tree_lives_as_long_as_its_descriptor(overlay: Mount, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "inside").write_text("bound")
    scratch = str(tmp_path / "target")
    before = len(os.listdir("/proc/self/fd"))
    fd = open_detached([overlay], scratch, [(str(data), "", "/folder")])
    with Root(fd) as root:
        assert root.read("file", 10) == b"below"
        assert root.read("folder/inside", 10) == b"bound"
        assert root.read("/../../folder/inside", 10) == b"bound"
    assert scratch not in table() and os.listdir(scratch) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_bind_whose_target_is_missing_is_an_error_and_nothing_is_left(overlay: Mount, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        open_detached([overlay], str(tmp_path / "target"), [(str(tmp_path), "", "/nosuch")])
    assert len(os.listdir("/proc/self/fd")) == before


def test_128_layers_fit(tmp_path: Path) -> None:
    for number in range(128):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / f"f{number}").touch()
    (tmp_path / "target").mkdir()
    lower = ":".join(str(number) for number in range(128))
    with Root(
        open_detached(
            [Mount("overlay", "overlay", (f"lowerdir={lower}",), True, str(tmp_path))], str(tmp_path / "target")
        )
    ) as root:
        assert root.stat("f0") and root.stat("f127")
