from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from naru.linux.files import Root
from naru.linux.mounts import open_detached
from naru.oci.digest import Digest
from naru.oci.image import OCI_LAYER_GZIP
from naru.snapshots.apply import apply_layer
from naru.snapshots.diff import tar_tree, write_layer
from naru.snapshots.sinks import Copied
from naru.snapshots.tarformat import Entry

pytestmark = pytest.mark.root

CAPABILITY = b"\x01\0\0\x02\x00\x20\0\0" + bytes(12)  # cap_net_raw=ep


def furnish(top: Path) -> None:
    """One of each kind of file, with every attribute that a layer keeps."""
    (top / "dir/sub").mkdir(parents=True)
    (top / "dir/file").write_bytes(os.urandom(300_000))
    os.link(top / "dir/file", top / "dir/sub/same")
    (top / "link").symlink_to("dir/../../x")
    os.link(top / "link", top / "link2", follow_symlinks=False)
    (top / ("n" * 200)).write_text("long")
    (top / "umläut").write_text("ä")
    Path(os.fsdecode(os.fsencode(top) + b"/bytes\xff")).write_text("b")
    os.mkfifo(top / "pipe", 0o600)
    os.mknod(top / "null", 0o20666, os.makedev(1, 3))
    (top / "setuid").write_text("s")
    os.chown(top / "setuid", 3_000_000, 5)
    os.chmod(top / "setuid", 0o6755)
    os.setxattr(top / "setuid", "security.capability", CAPABILITY)
    os.setxattr(top / "dir", "user.note", b"\0\n")
    os.chmod(top / "dir", 0o1777)
    (top / "unreadable").write_text("u")
    os.chmod(top / "unreadable", 0)
    for at, folders, files in os.walk(top, topdown=False):
        for name in folders + files:
            os.utime(os.path.join(at, name), (1_600_000_000, 1_600_000_000), follow_symlinks=False)


def reapply(place: Any, layer: Any, parent: Digest | None = None) -> Digest:
    import asyncio

    return asyncio.run(apply_layer(place.snapshots, place.store, layer.descriptor, layer.diff_id, parent))


def test_diff_then_apply_gives_the_same_tree(place: Any, digest_of: Callable[..., str]) -> None:
    place.snapshots.prepare("k", None)
    upper = Path(place.snapshots.upper("k"))
    furnish(upper)
    layer = write_layer(place.snapshots, "k", place.store)
    assert layer.descriptor.media_type == OCI_LAYER_GZIP
    assert place.store.size(layer.descriptor.digest) == layer.descriptor.size
    chain = reapply(place, layer)
    assert digest_of(place.tree(chain)) == digest_of(upper)


def test_the_same_tree_gives_the_same_bytes(place: Any) -> None:
    for key in ("a", "b"):
        place.snapshots.prepare(key, None)
    upper = Path(place.snapshots.upper("a"))
    furnish(upper)
    first = write_layer(place.snapshots, "a", place.store)
    os.rmdir(place.snapshots.upper("b"))
    shutil.copytree(upper / "dir", Path(place.snapshots.upper("b"), "dir"))
    assert write_layer(place.snapshots, "a", place.store) == first


def test_changes_on_top_of_a_layer(place: Any, tar: Callable[..., bytes], digest_of: Callable[..., str]) -> None:
    members = [(Entry(f"{folder}/{name}"), b"old") for folder in ("a", "b", "c") for name in ("x", "y")]
    base = place.apply(tar(*members))
    place.snapshots.prepare("k", base)
    fd = open_detached(place.snapshots.mounts("k"), str(place.top))
    top = Path(f"/proc/self/fd/{fd}")
    (top / "a/x").unlink()
    shutil.rmtree(top / "b")
    shutil.rmtree(top / "c")
    (top / "c").mkdir()
    (top / "c/new").write_text("new")
    (top / "a/y").write_text("changed")
    merged = digest_of(top, times=False)
    os.close(fd)
    layer = write_layer(place.snapshots, "k", place.store)
    with tarfile.open(place.store.path(layer.descriptor.digest)) as archive:
        assert archive.getnames() == ["a", "a/.wh.x", "a/y", ".wh.b", "c", "c/.wh..wh..opq", "c/new"]
        assert not any("overlay" in key for member in archive for key in member.pax_headers)
    chain = reapply(place, layer, base)
    fd = open_detached(place.snapshots.view(chain), str(place.top))
    assert digest_of(Path(f"/proc/self/fd/{fd}"), times=False) == merged
    os.close(fd)


def archive_of(top: Path, path: str, **options: str) -> tarfile.TarFile:
    out = io.BytesIO()
    with Root.at(str(top)) as root:
        tar_tree(root, path, Copied(out.write), **options)
    out.seek(0)
    return tarfile.open(fileobj=out)


def test_a_tree_under_a_name_and_under_none(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/.wh.f").write_text("x")
    with archive_of(tmp_path, "d", name="d") as archive:
        assert archive.getnames() == ["d", "d/e", "d/e/.wh.f"]
    with archive_of(tmp_path, "/") as archive:
        assert archive.getnames() == ["d", "d/e", "d/e/.wh.f"]


def test_a_single_file_or_link(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("content")
    (tmp_path / "l").symlink_to("/etc/passwd")
    with archive_of(tmp_path, "/f", name="g") as archive:
        (member,) = archive.getmembers()
        taken = archive.extractfile(member)
        assert taken is not None
        assert (member.name, taken.read()) == ("g", b"content")
    with archive_of(tmp_path, "l") as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.linkname, member.issym()) == ("l", "/etc/passwd", True)


def test_links_in_the_way_stay_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("inside")
    (root / "l").symlink_to("/etc")
    with archive_of(root, "l/passwd") as archive:
        taken = archive.extractfile("passwd")
        assert taken is not None
        assert taken.read() == b"inside"


def test_sockets_are_left_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        (tmp_path / "f").write_text("x")
        with archive_of(tmp_path, "/") as archive:
            assert archive.getnames() == ["f"]


def test_a_file_that_shrinks_is_filled_up(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    out = io.BytesIO()

    def shrink(data: bytes) -> None:
        if out.tell() == 0:
            os.truncate(tmp_path / "f", 1_000_000)
        out.write(data)

    with Root.at(str(tmp_path)) as root:
        tar_tree(root, "/", Copied(shrink))
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        taken = archive.extractfile("f")
        assert taken is not None
        assert taken.read() == b"x" * 1_000_000 + bytes(2_000_000)
