"""Mounts that end later, in the real kernel: an overlay lives for as long as it is held."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from naru.linux.heldmounts import HeldMounts
from naru.linux.mounts import Mount, in_private_namespace

pytestmark = pytest.mark.root


@pytest.fixture
def held() -> Iterator[HeldMounts]:
    mounts = HeldMounts()
    yield mounts
    mounts.close()


def hold(held: HeldMounts, folder: Path, key: str) -> None:
    for name in ("low", "up", "work", "root"):
        (folder / name).mkdir(parents=True)
    overlay = Mount("overlay", "overlay", ("lowerdir=low", "upperdir=up", "workdir=work"), cwd=str(folder))

    def work() -> None:
        overlay.apply(str(folder / "root"))
        held.hold(key, str(folder / "root"))

    in_private_namespace(work)


def test_it_is_held_until_it_is_let_go(tmp_path: Path, held: HeldMounts) -> None:
    before = len(os.listdir("/proc/self/fd"))
    hold(held, tmp_path, "a")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    held.let_go_soon("b")
    held.let_go("a")
    held.let_go("a")
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_end_lets_all_go(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    held = HeldMounts()
    hold(held, tmp_path / "1", "a")
    hold(held, tmp_path / "2", "b")
    held.let_go_soon("a")
    held.close()
    assert len(os.listdir("/proc/self/fd")) == before
