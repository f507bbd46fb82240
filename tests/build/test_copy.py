from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from naru.build.chmod import parse as parse_chmod
from naru.build.copy import Copier, Options
from naru.build.ignore import Ignore
from naru.build.sources import find
from naru.errors import InvalidArgument
from naru.linux.erase import remove_tree
from naru.linux.files import Root

pytestmark = pytest.mark.root

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


class Trees:
    """A source and a target tree below tmp_path, and a canary outside both that nothing may touch."""

    def __init__(self, path: Path, held: ExitStack) -> None:
        self.source, self.target = path / "source", path / "target"
        for each in (self.source, self.target):
            each.mkdir()
        self.canary = path / "canary"
        self.canary.mkdir()
        (self.canary / "file").write_text("canary")
        self.roots = held.enter_context(Root.at(str(self.source))), held.enter_context(Root.at(str(self.target)))

    def put(self, *names: str) -> None:
        for name in names:
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            (self.source / name).write_text(name)

    def copy(self, written: str, to: str, **options: object) -> None:
        into = bool(options.pop("into", to.endswith("/")))
        parents = bool(options.pop("parents", False))
        copier = Copier(*self.roots, Options(**options))  # type: ignore[arg-type]
        for what in find(self.roots[0], written, parents=parents):
            copier.copy(what, to.rstrip("/") or "/", into=into)

    def listing(self) -> list[str]:
        found = (
            os.path.relpath(os.path.join(top, n), self.target) for top, _, names in os.walk(self.target) for n in names
        )
        return sorted(found)


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with ExitStack() as held:
        made = Trees(tmp_path, held)
        yield made
        assert sorted(os.listdir(made.canary)) == ["file"]
        assert (made.canary / "file").read_text() == "canary"


@pytest.mark.parametrize(
    ("written", "to", "listing"),
    [
        ("f", "/g", ["g"]),
        ("f", "/d/", ["d/f"]),
        ("f", "/a/b/c/", ["a/b/c/f"]),
        ("f", "/a/b/c", ["a/b/c"]),
        ("f", "/", ["f"]),
        ("dir", "/x", ["x/one", "x/sub/two"]),
        ("dir/", "/x/", ["x/one", "x/sub/two"]),
        ("dir", "/", ["one", "sub/two"]),
        (".", "/all", ["all/dir/one", "all/dir/sub/two", "all/f"]),
        ("dir/../f", "/x/", ["x/f"]),
        ("../../f", "/x/", ["x/f"]),
        ("*", "/x/", ["x/f", "x/one", "x/sub/two"]),
        ("d*/s*", "/x/", ["x/two"]),
        ("dir/o[m-o]e", "/x/", ["x/one"]),
        ("?", "/x/", ["x/f"]),
    ],
)
def test_where_things_go(trees: Trees, written: str, to: str, listing: list[str]) -> None:
    trees.put("f", "dir/one", "dir/sub/two")
    trees.copy(written, to)
    assert trees.listing() == listing


def test_an_existing_directory_takes_a_file(trees: Trees) -> None:
    trees.put("f")
    (trees.target / "d").mkdir()
    trees.copy("f", "/d")
    assert trees.listing() == ["d/f"]


def test_parents_are_kept_from_the_pivot_on(trees: Trees) -> None:
    trees.put("a/b/x", "a/c/x", "a/c/y")
    trees.copy("a/*/x", "/one/", parents=True)
    trees.copy("a/./c", "/two/", parents=True)
    trees.copy("**/y", "/three/", parents=True)
    assert trees.listing() == ["one/a/b/x", "one/a/c/x", "three/a/c/y", "two/c/x", "two/c/y"]


def test_attributes(trees: Trees) -> None:
    trees.put("d/f")
    os.chmod(trees.source / "d/f", 0o4751)
    os.chown(trees.source / "d/f", 5, 6)
    os.chmod(trees.source / "d/f", 0o4751)
    os.utime(trees.source / "d/f", ns=(1, 1234567890123456789))
    os.symlink("f", trees.source / "d/link")
    os.link(trees.source / "d/f", trees.source / "d/hard")
    os.mkfifo(trees.source / "d/fifo", 0o640)
    os.utime(trees.source / "d", ns=(1, 1000))
    trees.copy("d", "/root", owner=(0, 0))
    trees.copy("d", "/kept", owner=None)
    trees.copy("d", "/changed", owner=(7, 8), chmod=parse_chmod("u=rwX,go="))
    for name, owner, mode in (("root", (0, 0), 0o4751), ("kept", (5, 6), 0o4751), ("changed", (7, 8), 0o700)):
        info = os.stat(trees.target / name / "f")
        assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (*owner, mode)
        assert info.st_mtime_ns == 1234567890123456789
        assert info.st_nlink == 2
        assert os.stat(trees.target / name).st_mtime_ns == 1000
        assert os.readlink(trees.target / name / "link") == "f"
        assert stat.S_ISFIFO(os.stat(trees.target / name / "fifo").st_mode)


def test_capabilities_survive(trees: Trees) -> None:
    trees.put("f")
    os.setxattr(trees.source / "f", "security.capability", CAPABILITY)
    os.setxattr(trees.source / "f", "user.note", b"x")
    trees.copy("f", "/g", owner=(7, 8))
    assert os.listxattr(trees.target / "g") == ["security.capability"]


def test_excludes(trees: Trees) -> None:
    trees.put("d/a.md", "d/b", "d/sub/c.md", "d/sub/d")
    trees.copy("d", "/x", excludes=Ignore(["*.md", "!keep"]))
    trees.copy("d", "/y", excludes=Ignore(["**/*.md"]))
    trees.copy("d", "/z", excludes=Ignore(["*", "!sub/d"]))
    assert trees.listing() == ["x/b", "x/sub/c.md", "x/sub/d", "y/b", "y/sub/d", "z/sub/d"]


def test_existing_directories_keep_their_content_and_take_the_attributes(trees: Trees) -> None:
    trees.put("d/sub/new")
    os.chmod(trees.source / "d", 0o700)
    os.chmod(trees.source / "d/sub", 0o711)
    (trees.target / "d/sub").mkdir(parents=True)
    os.chmod(trees.target / "d", 0o755)
    (trees.target / "d/sub/old").write_text("old")
    trees.copy("d", "/d")
    assert trees.listing() == ["d/sub/new", "d/sub/old"]
    assert stat.S_IMODE(os.stat(trees.target / "d").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(trees.target / "d/sub").st_mode) == 0o711


def test_links_in_the_destination_stay_inside(trees: Trees) -> None:
    trees.put("f", "d/bin/tool")
    (trees.target / "usr/bin").mkdir(parents=True)
    os.symlink("usr/bin", trees.target / "bin")
    os.symlink(trees.canary, trees.target / "absolute")  # means <root>/tmp/…/canary
    os.symlink("../" * 20 + str(trees.canary).lstrip("/"), trees.target / "relative")
    trees.copy("f", "/bin/")
    trees.copy("d", "/")
    assert (trees.target / "usr/bin/f").exists()
    assert (trees.target / "usr/bin/tool").exists()
    for name in ("absolute", "relative"):
        with pytest.raises(InvalidArgument):
            trees.copy("f", f"/{name}/x/")
        with pytest.raises(InvalidArgument):
            trees.copy("d", f"/{name}")


def test_a_file_link_at_the_destination_is_written_through(trees: Trees) -> None:
    trees.put("f")
    (trees.target / "real").write_text("old and longer")
    os.symlink("/real", trees.target / "link")
    trees.copy("f", "/link")
    assert (trees.target / "link").is_symlink()
    assert (trees.target / "real").read_text() == "f"


def test_links_inside_a_copied_directory_are_replaced(trees: Trees) -> None:
    trees.put("d/file")
    (trees.target / "d").mkdir()
    os.symlink(trees.canary / "file", trees.target / "d/file")
    trees.copy("d", "/d")
    assert (trees.target / "d/file").read_text() == "d/file"
    assert not (trees.target / "d/file").is_symlink()


def test_sources_are_followed_inside_the_context_only(trees: Trees) -> None:
    trees.put("real/f")
    os.symlink("real/f", trees.source / "link")
    os.symlink("/real", trees.source / "rooted")
    os.symlink(trees.canary / "file", trees.source / "out")
    os.symlink("../canary/file", trees.source / "up")
    trees.copy("link", "/x/")
    trees.copy("rooted", "/y")
    assert (trees.target / "x/link").read_text() == "real/f"
    assert not (trees.target / "x/link").is_symlink()
    assert trees.listing() == ["x/link", "y/f"]
    for name in ("out", "up", "out/", "up/."):
        with pytest.raises(Exception, match=r"file does not exist|not a directory"):
            trees.copy(name, "/z")
    trees.copy(".", "/all")
    assert os.readlink(trees.target / "all/out") == str(trees.canary / "file")


def test_a_fifo_at_the_destination_cannot_hang_us(trees: Trees) -> None:
    trees.put("f")
    os.mkfifo(trees.target / "fifo")
    os.symlink("fifo", trees.target / "link")
    with pytest.raises(InvalidArgument):
        trees.copy("f", "/link")
    trees.copy("f", "/fifo")
    assert (trees.target / "fifo").read_text() == "f"


@pytest.mark.parametrize(
    ("written", "to", "message"),
    [
        ("d", "/file", "cannot copy to non-directory: /file"),
        ("e", "/", "cannot overwrite directory /dir with non-directory dir"),
        ("d", "/over", "cannot copy to non-directory: /over/sub"),
        ("d/sub/f", "/file/x/", "Not a directory"),
    ],
)
def test_what_does_not_fit(trees: Trees, written: str, to: str, message: str) -> None:
    trees.put("d/sub/f", "e/dir")
    (trees.target / "dir").mkdir()
    (trees.target / "file").write_text("x")
    (trees.target / "over").mkdir()
    (trees.target / "over/sub").write_text("x")
    with pytest.raises(InvalidArgument, match=message):
        trees.copy(written, to)


@pytest.mark.slow
def test_a_deep_tree(trees: Trees) -> None:
    depth = 1200  # deeper than Python recurses, shorter than a path may be
    fd = os.open(trees.source, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    trees.copy(".", "/x")
    assert os.path.isdir(trees.target / "x" / "/".join(["d"] * depth))
    for tree in (trees.source, trees.target):
        remove_tree(str(tree))
