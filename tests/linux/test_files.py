"""Access beneath a root that nothing inside can bend, and writes that are whole."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from naru.linux.files import Root, keep_apart, read_if_there, rewrite, write_atomic


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "canary").write_text("the host's")
    return folder


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Iterator[Root]:
    folder = tmp_path / "root"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "passwd").write_text("root")
    (folder / "abs").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../../../../../../etc/passwd")
    (folder / "out").symlink_to(outside / "canary")
    (folder / "dirlink").symlink_to("/etc")
    (folder / "loop").symlink_to("loop")
    (folder / "magic").symlink_to("/proc/self/root")
    (folder / "fdlink").symlink_to("/proc/self/fd/0")
    os.mkfifo(folder / "fifo")
    with Root.at(str(folder)) as made:
        yield made


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "etc/passwd",
        "abs",
        "up",
        "dirlink/passwd",
        "/dirlink/../etc/passwd",
        "../../../etc/passwd",
        "//etc//passwd",
        "etc/./passwd",
    ],
)
def test_links_are_followed_inside(root: Root, path: str) -> None:
    assert root.read(path, 100) == b"root"


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("out", errno.ENOENT), ("nosuch", errno.ENOENT), ("loop", errno.ELOOP), ("magic", errno.ENOENT), ("fdlink", errno.ENOENT), ("fifo", errno.EINVAL),
        ("etc", errno.EINVAL), ("etc/passwd/x", errno.ENOTDIR), ("etc/passwd/", errno.ENOTDIR), ("x" * 5000, errno.ENAMETOOLONG), ("", errno.ENOENT),
    ],
)  # fmt: skip
def test_what_cannot_be_read(root: Root, path: str, number: int) -> None:
    with pytest.raises(OSError) as caught:
        root.read(path, 100)
    assert caught.value.errno == number


def test_a_magic_link_is_never_followed(tmp_path: Path) -> None:
    with Root.at("/") as root:
        for path in ("/proc/self/exe", "/proc/self/root/etc/passwd", "/proc/self/cwd/x", "/proc/self/fd/0"):
            with pytest.raises(OSError) as caught:
                root.open(path)
            assert caught.value.errno == errno.ELOOP


def test_reading_is_bounded(root: Root) -> None:
    assert root.read("etc/passwd", 2) == b"ro"


def test_stat_follows_or_not(root: Root) -> None:
    assert stat.S_ISREG(root.stat("abs").st_mode)
    assert stat.S_ISLNK(root.stat("abs", follow=False).st_mode)
    assert stat.S_ISLNK(root.stat("out", follow=False).st_mode)


def test_parent_is_inside_and_names_are_names(root: Root, tmp_path: Path) -> None:
    with root.parent("/dirlink/new") as (fd, name):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
    assert (tmp_path / "root" / "etc" / "new").exists()
    for path in ("/", "", ".", "..", "/etc/..", "a/."):
        with pytest.raises(OSError), root.parent(path):
            pass


def test_make_dirs(root: Root, tmp_path: Path) -> None:
    root.make_dirs("/dirlink/a/./b/", 0o750, os.getuid(), os.getgid())
    made = tmp_path / "root" / "etc" / "a" / "b"
    assert stat.S_IMODE(made.stat().st_mode) == 0o750
    made.chmod(0o700)
    root.make_dirs("etc/a/b/c", 0o755, os.getuid(), os.getgid())
    assert stat.S_IMODE(made.stat().st_mode) == 0o700  # what was there is left alone
    with pytest.raises(OSError):
        root.make_dirs("etc/passwd/x")
    with pytest.raises(OSError):
        root.make_dirs("out/x")  # a link to nowhere, inside


def test_making_directories_through_a_link_out_stays_inside(root: Root, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "root" / "away").symlink_to(outside)
    with pytest.raises(OSError):
        root.make_dirs("away/x")
    assert os.listdir(outside) == ["canary"]


def test_a_closed_root_is_closed_once(tmp_path: Path) -> None:
    root = Root.at(str(tmp_path))
    root.close()
    root.close()
    with pytest.raises(OSError):
        root.open("x")


def test_root_at_wants_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Root.at(str(tmp_path / "file"))


@pytest.mark.parametrize("durable", [True, False])
def test_write_atomic_replaces_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "f"
    write_atomic(str(path), b"one", durable=durable)
    with path.open() as old:
        write_atomic(str(path), b"two" * 100_000, mode=0o600, durable=durable)
        assert old.read() == "one"
    assert path.read_bytes() == b"two" * 100_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_write_atomic_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").touch()
    with pytest.raises(OSError):
        write_atomic(str(tmp_path / "folder"), b"data")
    assert sorted(os.listdir(tmp_path)) == ["folder"]


def test_rewriting_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"a long line that was here before\n")
    before = path.stat()
    rewrite(str(path), b"short\n")
    assert path.read_bytes() == b"short\n"
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    with pytest.raises(FileNotFoundError):
        rewrite(str(tmp_path / "nothing"), b"x")


def test_what_is_there_is_read_and_what_is_not_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"nameserver 1.1.1.1\n" * 10_000 + b"\xff")
    assert read_if_there(str(path)) == "nameserver 1.1.1.1\n" * 10_000 + "\udcff"
    assert read_if_there(str(tmp_path / "nothing")) == ""
    with pytest.raises(IsADirectoryError):
        read_if_there(str(tmp_path))


def test_directories_are_kept_apart_where_the_file_system_can(tmp_path: Path) -> None:
    keep_apart(str(tmp_path))
    keep_apart("/dev/shm")  # tmpfs knows no such thing
    with pytest.raises(NotADirectoryError):
        keep_apart("/dev/null")
    if on_ext(tmp_path):
        assert (
            "T"
            in subprocess.run(["lsattr", "-d", tmp_path], capture_output=True, text=True, check=True).stdout.split()[0]
        )


def on_ext(path: Path) -> bool:
    shown = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True)
    return shown.stdout.strip() == "ext2/ext3"
