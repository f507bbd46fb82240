"""Sources of mounts: links that lead out, propagation that cannot be, our own data."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from naru.containers import placing
from naru.containers.records import MountPoint
from naru.errors import Internal, InvalidArgument, NotFound
from naru.linux import mountinfo
from naru.linux.mountinfo import Mounted

BIND = MountPoint("bind", "/srv/x", "/x", propagation="rprivate")
TABLE = """22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:5 / /srv rw shared:7 - tmpfs tmpfs rw
24 23 0:6 / /srv/a\\040b rw shared:8 master:7 - tmpfs tmpfs rw
25 23 0:6 / /srv/slave rw master:7 propagate_from:3 - tmpfs tmpfs rw
"""


def test_mountinfo() -> None:
    assert mountinfo.parse(TABLE.replace("\\\\", "\\")) == {
        "/": Mounted("/", False, False),
        "/srv": Mounted("/srv", True, False),
        "/srv/a b": Mounted("/srv/a b", True, True),
        "/srv/slave": Mounted("/srv/slave", False, True),
    }


def test_a_path_lies_on_the_nearest_mount() -> None:
    assert mountinfo.mount_of("/proc/self/status").point == "/proc"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"read_only_non_recursive": True}, "!ReadOnly && BindOptions.ReadOnlyNonRecursive"),
        ({"read_only_force_recursive": True}, "!ReadOnly && BindOptions.ReadOnlyForceRecursive"),
        (
            {"writable": False, "read_only_non_recursive": True, "read_only_force_recursive": True},
            "ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive",
        ),
    ],
)
def test_flags_that_contradict_each_other(flags: dict[str, bool], words: str) -> None:
    with pytest.raises(Internal) as caught:
        placing.check(replace(BIND, **flags))  # type: ignore[arg-type]
    assert str(caught.value) == f"mount options conflict: {words}"


@pytest.mark.parametrize(
    ("propagation", "below", "refused"),
    [
        ("rprivate", Mounted("/", False, False), ""),
        ("rshared", Mounted("/", False, False), "a shared"),
        ("shared", Mounted("/", False, True), "a shared"),
        ("slave", Mounted("/", False, False), "a shared or slave"),
        ("rslave", Mounted("/", False, True), ""),
        ("rslave", Mounted("/", True, False), ""),
        ("rshared", Mounted("/", True, True), ""),
    ],
)
def test_propagation(monkeypatch: pytest.MonkeyPatch, propagation: str, below: Mounted, refused: str) -> None:
    monkeypatch.setattr(placing, "mount_of", lambda path: below)
    mount = replace(BIND, propagation=propagation)
    if not refused:
        assert placing.check(mount) is mount
        return
    with pytest.raises(Internal) as caught:
        placing.check(mount)
    assert str(caught.value) == f"path /srv/x is mounted on / but it is not {refused} mount"
    assert placing.check(replace(mount, slave_by_default=True)).propagation == "rprivate"


def test_binds_near_our_own_data() -> None:
    assert placing.near(BIND, "/var/lib/naru", asked=False) is BIND
    above = replace(BIND, source="/var")
    assert placing.near(above, "/var/lib/naru", asked=False).propagation == "rslave"
    inside = replace(BIND, source="/var/lib/naru/x", propagation="rshared")
    assert placing.near(inside, "/var/lib/naru", asked=True) is inside
    with pytest.raises(InvalidArgument, match=r'^invalid mount config: must use either propagation mode "rslave" or'):
        placing.near(replace(above, propagation="private"), "/var/lib/naru", asked=True)


def test_a_subpath_stays_in_its_volume(tmp_path: Path) -> None:
    base = tmp_path / "volume"
    (base / "sub").mkdir(parents=True)
    (tmp_path / "secret").touch()
    (base / "link").symlink_to("sub")
    (base / "out").symlink_to("../secret")
    (base / "root").symlink_to("/")
    for subpath in ("sub", "link", "sub/../sub", "./sub/"):
        fd = placing.open_part(str(base), subpath)
        assert os.path.samestat(os.fstat(fd), (base / "sub").stat())
        os.close(fd)
    for subpath in ("out", "root", "root/etc"):
        with pytest.raises(InvalidArgument, match=r"^path concatenation escapes the base directory, base: "):
            placing.open_part(str(base), subpath)
    with pytest.raises(NotFound) as caught:
        placing.open_part(str(base), "nono")
    assert str(caught.value) == f"cannot access path {base}/nono: lstat {base}/nono: no such file or directory"
