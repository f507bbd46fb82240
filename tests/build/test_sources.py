from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from naru.build.ignore import Ignore
from naru.build.sources import canonical, digests, find, shown
from naru.errors import InvalidArgument, NotFound
from naru.linux.files import Root


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", ""),
        (".", ""),
        ("/", ""),
        ("a/b", "a/b"),
        ("a//./b/", "a/b"),
        ("../../a", "a"),
        ("link/b", "a/b"),
        ("rooted", "a/b"),
        ("up/b", "a/b"),
        ("link/../a/b", "a/b"),
    ],
)
def test_canonical(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text("x")
    os.symlink("a", tmp_path / "link")
    os.symlink("/a/b", tmp_path / "rooted")
    os.symlink("../../../../a", tmp_path / "up")
    with Root.at(str(tmp_path)) as root:
        assert canonical(root, path) == expected


def test_canonical_ends(tmp_path: Path) -> None:
    os.symlink("loop", tmp_path / "loop")
    with Root.at(str(tmp_path)) as root:
        with pytest.raises(OSError):
            canonical(root, "loop")
        with pytest.raises(InvalidArgument):
            find(root, "loop")


def test_find_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with Root.at(str(tmp_path)) as root:
        with pytest.raises(NotFound, match=r"^stat nofile: file does not exist$"):
            find(root, "nofile")
        with pytest.raises(NotFound, match=r"^stat f/x: not a directory$"):
            find(root, "f/x")
        with pytest.raises(InvalidArgument, match="syntax error in pattern"):
            find(root, "[")
        assert find(root, "no*") == []


CHANGES: dict[str, Callable[[Path], None]] = {
    "content": lambda d: (d / "f").write_text("other") and None,
    "mode": lambda d: os.chmod(d / "f", 0o600),
    "name": lambda d: (d / "f").rename(d / "g") and None,
    "link target": lambda d: (d / "l").unlink() or os.symlink("elsewhere", d / "l"),
    "kind": lambda d: (d / "f").unlink() or (d / "f").mkdir(),
    "directory mode": lambda d: os.chmod(d / "sub", 0o700),
    "new file": lambda d: (d / "sub/new").write_text("") or None,
}


def _tree(path: Path) -> Path:
    (path / "d/sub").mkdir(parents=True)
    (path / "d/f").write_text("text")
    os.symlink("f", path / "d/l")
    return path / "d"


@pytest.mark.parametrize("change", CHANGES)
def test_digests_see_what_a_copy_would_change(tmp_path: Path, change: str) -> None:
    folder = _tree(tmp_path)
    with Root.at(str(tmp_path)) as root:
        (source,) = find(root, "d")
        before = digests(root, source, None)
        assert sorted(before) == ["d/f", "d/l", "d/sub"]
        os.utime(folder / "f", ns=(1, 1))
        assert digests(root, source, None) == before  # time is no difference
        CHANGES[change](folder)
        assert digests(root, source, None) != before


def test_digests_leave_out_what_the_copy_sets_itself(tmp_path: Path) -> None:
    folder = _tree(tmp_path)
    with Root.at(str(tmp_path)) as root:
        (source,) = find(root, "d")
        before = digests(root, source, None, keep_mode=False)
        os.chmod(folder / "f", 0o600)
        assert digests(root, source, None, keep_mode=False) == before


@pytest.mark.root
def test_owners_count_only_where_they_are_kept(tmp_path: Path) -> None:
    folder = _tree(tmp_path)
    with Root.at(str(tmp_path)) as root:
        (source,) = find(root, "d")
        before, kept = digests(root, source, None), digests(root, source, None, keep_owner=True)
        os.chown(folder / "f", 5, 5)
        assert digests(root, source, None) == before
        assert digests(root, source, None, keep_owner=True) != kept


def test_excluded_files_have_no_digest(tmp_path: Path) -> None:
    _tree(tmp_path)
    with Root.at(str(tmp_path)) as root:
        (source,) = find(root, "d")
        assert sorted(digests(root, source, Ignore(["f", "sub"]))) == ["d/l"]


def test_names_of_any_bytes_can_be_shown() -> None:
    assert shown(os.fsdecode(b"a\xff")) == "a\\xff"
