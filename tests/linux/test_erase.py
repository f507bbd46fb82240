from __future__ import annotations

import os
from pathlib import Path

import pytest

from naru.linux.erase import remove_tree


@pytest.mark.parametrize("depth", [3, 300, pytest.param(1500, marks=pytest.mark.slow)])
def test_trees_of_any_depth(tmp_path: Path, depth: int) -> None:
    (tmp_path / "t").mkdir()
    fd = os.open(tmp_path / "t", os.O_RDONLY)
    for _ in range(depth):  # deeper than a path can say, as `mkdir d; cd d` makes them
        os.mkdir("ddd", dir_fd=fd)
        deeper = os.open("ddd", os.O_RDONLY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=deeper))
        os.close(fd)
        fd = deeper
    os.close(fd)
    remove_tree(str(tmp_path / "t"))
    assert os.listdir(tmp_path) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "t/d").mkdir(parents=True)
    (tmp_path / "t/l").symlink_to(tmp_path / "kept")
    (tmp_path / "t/d/l").symlink_to("../../kept")
    remove_tree(str(tmp_path / "t"))
    assert os.listdir(tmp_path) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]


def test_what_is_not_there(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "none"))
