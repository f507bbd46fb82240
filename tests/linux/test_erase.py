from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from naru.linux.erase import remove_tree
from naru.linux.trash import Trash


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


def test_trash_is_gone_at_once_and_deleted_later(tmp_path: Path) -> None:
    trash = Trash(str(tmp_path / "trash"))
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_text("x")
    trash.throw(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()
    trash.throw(str(tmp_path / "nosuch"))  # no error
    trash.close()
    assert list((tmp_path / "trash").iterdir()) == []


def test_what_a_crash_left_in_the_trash_goes_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "trash" / "left").mkdir(parents=True)
    Trash(str(tmp_path / "trash")).close()
    assert list((tmp_path / "trash").iterdir()) == []


@pytest.mark.skipif(os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev, reason="needs two file systems")
def test_what_is_on_another_file_system_is_deleted_all_the_same(tmp_path: Path) -> None:
    other = Path(tempfile.mkdtemp(dir="/dev/shm"))
    trash = Trash(str(tmp_path / "trash"))
    trash.throw(str(other))
    assert not other.exists()
    trash.close()
