"""That a host can remap is found out by doing it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from naru.containers import remapcheck
from naru.containers.remap import Remap
from naru.errors import Unsupported
from naru.linux.host import probe
from naru.linux.userns import IdMaps, IdRange

pytestmark = pytest.mark.root
RANGES = (IdRange(0, 300000, 65536),)


def remap(folder: Path) -> Remap:
    return Remap(IdMaps(RANGES, RANGES), f"{folder}/rootfs", probe().programs)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(path, 0o711)
    (tmp_path / "data").mkdir()
    return tmp_path


def test_a_host_that_can(folder: Path) -> None:
    remapcheck.check(remap(folder), str(folder / "data"))
    assert os.stat(folder / "rootfs").st_mode & 0o777 == 0o711
    assert os.listdir(folder / "data") == os.listdir(folder / "rootfs") == []


def test_a_directory_that_keeps_others_out(folder: Path) -> None:
    os.chmod(folder, 0o700)
    with pytest.raises(Unsupported, match=f"{folder} restricts access to the remapped root"):
        remapcheck.check(remap(folder), str(folder / "data"))


def test_ranges_that_the_kernel_does_not_take(folder: Path) -> None:
    twice = (IdRange(0, 300000, 10), IdRange(10, 300005, 10))
    made = Remap(IdMaps(twice, twice), f"{folder}/rootfs", probe().programs)
    with pytest.raises(Unsupported, match="--userns-remap: Invalid argument"):
        remapcheck.check(made, str(folder / "data"))
