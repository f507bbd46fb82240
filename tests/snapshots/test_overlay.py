from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from naru.content.blobs import ContentStore
from naru.errors import Conflict, DataLoss, NotFound
from naru.linux.mounts import Mount, open_detached
from naru.oci.digest import Digest
from naru.snapshots.overlay import Snapshots
from naru.snapshots.tarformat import CHAR, DIR, FILE, SYMLINK, Entry
from naru.store.db import Database

pytestmark = pytest.mark.root

A, B, C = (Digest.of(letter) for letter in (b"a", b"b", b"c"))


@contextmanager
def mounted(place: Any, mounts: list[Mount]) -> Iterator[Path]:
    fd = open_detached(mounts, str(place.top))
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def names(top: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(at, each), top) for at, dirs, files in os.walk(top) for each in dirs + files
    )


def test_what_is_written_to_a_prepared_snapshot_is_in_its_upper(place: Any, tar: Callable[..., bytes]) -> None:
    chain = place.apply(tar((Entry("etc/motd"), b"hello")))
    place.snapshots.prepare("c1", chain)
    with mounted(place, place.snapshots.mounts("c1")) as top:
        assert (top / "etc/motd").read_text() == "hello"
        (top / "new").write_text("x")
        (top / "etc/motd").unlink()
    upper = Path(place.snapshots.upper("c1"))
    assert (upper / "new").read_text() == "x"
    assert stat.S_ISCHR(os.lstat(upper / "etc/motd").st_mode)
    assert (place.tree(chain) / "etc/motd").read_text() == "hello"
    assert place.snapshots.parent("c1") == chain


def test_a_snapshot_of_nothing_is_an_empty_directory(place: Any) -> None:
    place.snapshots.prepare("c1", None)
    with mounted(place, place.snapshots.mounts("c1")) as top:
        assert os.listdir(top) == []
        (top / "x").write_text("x")
    assert os.listdir(place.snapshots.upper("c1")) == ["x"]


@pytest.mark.parametrize("layers", [0, 1, 2, 130])
def test_views_are_read_only_however_many_layers(place: Any, tar: Callable[..., bytes], layers: int) -> None:
    chain = None
    if layers <= 2:
        for number in range(layers):
            chain = place.apply(tar((Entry(f"f{number}"), b"x")), chain)
    else:  # as many as Docker allows and a few more; unpacking each in a child of its own would only take long
        for number in range(layers):
            place.snapshots.prepare("k", chain)
            Path(place.snapshots.upper("k"), f"f{number}").write_text("x")
            following = Digest.of(str(number).encode())
            place.snapshots.commit("k", following, following)
            chain = following
    with mounted(place, place.snapshots.view(chain)) as top:
        assert len(os.listdir(top)) == layers
        with pytest.raises(OSError, match="Read-only"):
            (top / "new").write_text("x")


def test_whiteouts_and_opaque_directories_hide_what_is_below(place: Any, tar: Callable[..., bytes]) -> None:
    base = place.apply(
        tar((Entry("gone/a"), b"1"), (Entry("dir/a"), b"1"), (Entry("dir/b"), b"1"), (Entry("kept"), b"1"))
    )
    top = place.apply(
        tar(Entry(".wh.gone"), Entry("dir", DIR, mode=0o755), Entry("dir/.wh..wh..opq"), (Entry("dir/c"), b"2")), base
    )
    with mounted(place, place.snapshots.view(top)) as merged:
        assert names(merged) == ["dir", "dir/c", "kept"]


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_beside_its_own_name_hides_only_what_is_below(
    place: Any, tar: Callable[..., bytes], first: bool
) -> None:
    base = place.apply(tar((Entry("d/old"), b"1"), (Entry("f"), b"1"), (Entry("i/old"), b"1")))
    marks = [Entry(".wh.d"), Entry(".wh.f"), Entry(".wh.i")]
    things = [Entry("d", DIR, mode=0o755), (Entry("d/new"), b"2"), (Entry("f"), b"2"), (Entry("i/new"), b"2")]
    chain = place.apply(tar(*(marks + things if first else things + marks)), base)
    with mounted(place, place.snapshots.view(chain)) as merged:
        assert names(merged) == ["d", "d/new", "f", "i", "i/new"]
        assert (merged / "f").read_text() == "2"


def test_directories_a_layer_only_implies_look_as_below(place: Any, tar: Callable[..., bytes]) -> None:
    base = place.apply(
        tar(
            Entry("./", DIR, mode=0o555, uid=7, mtime_s=99), Entry("tmp", DIR, mode=0o1777, uid=3, gid=4, mtime_s=77),
            Entry("tmp/in", DIR, mode=0o700, xattrs={"user.k": b"v"}), Entry("link", SYMLINK, link="/etc"),
            (Entry("file"), b"x"), Entry("opaque/d", DIR, mode=0o700),
        )
    )  # fmt: skip
    middle = place.apply(
        tar((Entry("other"), b"x"), Entry("opaque", DIR, mode=0o711), Entry("opaque/.wh..wh..opq")), base
    )
    chain = place.apply(
        tar((Entry("tmp/in/x"), b"1"), (Entry("link/x"), b"1"), (Entry("file/x"), b"1"), (Entry("opaque/d/x"), b"1")),
        middle,
    )
    tree = place.tree(chain)
    for name, facts in {
        ".": (0o555, 7, 0, 99),
        "tmp": (0o1777, 3, 4, 77),
        "tmp/in": (0o700, 0, 0, 0),
        "opaque": (0o711, 0, 0, 0),
    }.items():
        found = os.stat(tree / name)
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, int(found.st_mtime)) == facts, name
    assert os.getxattr(tree / "tmp/in", "user.k") == b"v"
    for name in ("link", "file", "opaque/d"):  # nothing below shows through there
        found = os.stat(tree / name)
        assert (stat.S_IMODE(found.st_mode), found.st_uid, int(found.st_mtime)) == (0o755, 0, 0), name


def test_the_root_of_a_container_looks_like_the_image_s(place: Any, tar: Callable[..., bytes]) -> None:
    place.snapshots.prepare("c1", place.apply(tar(Entry("./", DIR, mode=0o511, uid=5, gid=6))))
    with mounted(place, place.snapshots.mounts("c1")) as top:
        found = os.stat(top)
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o511, 5, 6)


def test_a_key_is_prepared_once(place: Any) -> None:
    place.snapshots.prepare("k", None)
    with pytest.raises(Conflict):
        place.snapshots.prepare("k", None)
    assert len([name for name in os.listdir(place.snapshots.root) if name.isdigit()]) == 1


def test_preparing_on_what_is_not_there(place: Any) -> None:
    with pytest.raises(NotFound):
        place.snapshots.prepare("k", A)
    with pytest.raises(NotFound):
        place.snapshots.mounts("k")
    assert os.listdir(place.snapshots.root) == ["empty"]


def test_commit_makes_a_layer_of_an_active_snapshot(place: Any) -> None:
    place.snapshots.prepare("k", None)
    Path(place.snapshots.upper("k"), "x").write_bytes(bytes(8192))
    place.snapshots.commit("k", A, A)
    assert place.snapshots.has(A)
    assert place.snapshots.usage_bytes(A) == 4096 + 8192
    with pytest.raises(NotFound):
        place.snapshots.upper("k")
    place.snapshots.prepare("again", None)
    place.snapshots.commit("again", A, A)  # there is one: ours goes
    assert len([name for name in os.listdir(place.snapshots.root) if name.isdigit()]) == 1


def test_layers_under_others_stay(place: Any) -> None:
    for parent, chain in ((None, A), (A, B)):
        place.snapshots.prepare("k", parent)
        place.snapshots.commit("k", chain, chain)
    place.snapshots.prepare("c", B)
    for chain in (A, B):
        with pytest.raises(Conflict):
            place.snapshots.remove_chain(chain)
    assert place.snapshots.chains() == {A: None, B: A}
    assert place.snapshots.active_parents() == {B}
    place.snapshots.remove("c")
    place.snapshots.remove("c")
    place.snapshots.destroy(place.snapshots.forget([A, B]))
    assert os.listdir(place.snapshots.root) == ["empty"]


def test_usage_counts_hard_links_once(place: Any) -> None:
    place.snapshots.prepare("k", None)
    upper = Path(place.snapshots.upper("k"))
    empty = place.snapshots.usage_bytes("k")
    assert empty == os.stat(upper).st_blocks * 512  # the directory itself
    (upper / "a").write_bytes(bytes(4096))
    os.link(upper / "a", upper / "b")
    assert place.snapshots.usage_bytes("k") == empty + 4096


def test_strangers_cannot_look_in(place: Any) -> None:
    assert stat.S_IMODE(os.stat(place.snapshots.root).st_mode) == 0o710


def test_recover_deletes_what_has_no_row(place: Any) -> None:
    place.snapshots.prepare("k", None)
    place.snapshots.stage()
    os.makedirs(os.path.join(place.snapshots.root, "77", "fs"))
    place.snapshots.recover()
    assert sorted(os.listdir(place.snapshots.root)) == ["1", "empty"]


def test_recover_drops_rows_without_a_directory_and_a_new_pull_repairs(place: Any, tar: Callable[..., bytes]) -> None:
    raw = tar((Entry("x"), b"x"))
    base = place.apply(raw)
    child = place.apply(tar((Entry("y"), b"y")), base)
    place.snapshots.destroy([os.path.dirname(place.tree(base))])
    again = Snapshots(place.snapshots.root, place.db)
    again.recover()
    assert not again.has(base)
    assert again.has(child)
    with pytest.raises(DataLoss, match="pull the image again"):
        again.stack(child)
    assert place.apply(raw) == base
    assert [os.listdir(path) for path in again.stack(child)] == [["y"], ["x"]]


def test_numbers_are_not_used_again_after_a_start(place: Any) -> None:
    place.snapshots.prepare("k", None)
    again = Snapshots(place.snapshots.root, place.db)
    again.prepare("l", None)
    assert place.snapshots.upper("k") != again.upper("l")


def test_a_damaged_database_does_not_cost_what_containers_wrote(tmp_path: Path) -> None:
    path = str(tmp_path / "naru.db")
    ContentStore(str(tmp_path / "content"))
    db = Database(path)
    snapshots = Snapshots(str(tmp_path / "snapshots"), db)
    snapshots.prepare("k", None)
    Path(snapshots.upper("k"), "precious").write_text("x")
    db.close()
    Path(path).write_bytes(b"rubbish" * 1000)
    for suffix in ("-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)
    db = Database(path)
    snapshots = Snapshots(str(tmp_path / "snapshots"), db)
    snapshots.recover()
    assert os.listdir(snapshots.root) == ["empty"]
    assert (tmp_path / "snapshots.naru.db.damaged-1/1/fs/precious").exists()
    snapshots.prepare("k", None)
    db.close()


def test_a_device_0_0_in_a_layer_is_a_whiteout(place: Any, tar: Callable[..., bytes]) -> None:
    base = place.apply(tar((Entry("f", FILE), b"1"), (Entry("g"), b"1")))
    chain = place.apply(tar(Entry("f", CHAR)), base)
    with mounted(place, place.snapshots.view(chain)) as merged:
        assert names(merged) == ["g"]
