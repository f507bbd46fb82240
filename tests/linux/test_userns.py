"""User namespaces, and mounts that are seen from them, in the real kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from naru.linux import netns, userns
from naru.linux.host import probe
from naru.linux.idmapped import Shift, apply_shifted, show_shifted
from naru.linux.mounts import Mount, in_private_namespace
from naru.linux.netlink import Netlink
from naru.linux.syscalls import file_owner
from naru.linux.userns import IdMaps, IdRange

pytestmark = pytest.mark.root
MAPS = IdMaps((IdRange(0, 300000, 65536),), (IdRange(0, 400000, 65536),))
PROGRAMS = probe().programs


@pytest.fixture
def shift(tmp_path: Path) -> Iterator[Shift]:
    user, network = userns.create(MAPS, PROGRAMS)
    os.close(network)
    yield Shift(MAPS, user, f"/proc/self/fd/{user}", str(tmp_path / "root"))
    os.close(user)


def links(fd: int) -> list[str]:
    def look() -> list[str]:
        with Netlink() as inside:
            return [link.name for link in inside.links()]

    return netns.inside(fd, look)


def test_both_namespaces_live_on_without_a_process() -> None:
    before = set(os.listdir("/proc/self/fd"))
    user, network = userns.create(MAPS, PROGRAMS)
    other = userns.create_network(f"/proc/{os.getpid()}/fd/{user}", PROGRAMS)
    try:
        assert "lo" in links(network) and "lo" in links(other)
        assert os.fstat(network).st_ino != os.fstat(other).st_ino
        assert os.fstat(user).st_ino != os.stat("/proc/self/ns/user").st_ino
    finally:
        for fd in (user, network, other):
            os.close(fd)
    assert set(os.listdir("/proc/self/fd")) == before


def test_why_there_is_none_is_told() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"cannot make a user namespace: .+"):
        userns.create_network("/no/such/file", PROGRAMS)
    with pytest.raises(OSError):
        userns.create(IdMaps((IdRange(0, 1, 2), IdRange(0, 5, 2)), MAPS.gids), PROGRAMS)  # overlapping
    assert set(os.listdir("/proc/self/fd")) == before


def test_maps_of_a_process() -> None:
    assert userns.maps_of(os.getpid()) is None


def test_an_overlay_keeps_what_is_on_disk(tmp_path: Path, shift: Shift) -> None:
    for name in ("layers/low", "layers/up", "layers/work", "root", "scratch"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "layers/low/file").write_text("x")
    os.chown(tmp_path / "layers/low/file", 5, 6)
    options = ("lowerdir=low", "upperdir=up", "workdir=work")

    def work() -> tuple[int, int]:
        mount = Mount("overlay", "overlay", options, cwd=str(tmp_path / "layers"))
        apply_shifted([mount], shift.root, shift, str(tmp_path / "scratch"))
        with file_owner(*MAPS.root):
            os.close(os.open(f"{shift.root}/made", os.O_CREAT | os.O_WRONLY))
        os.chmod(f"{shift.root}/file", 0o600)  # copied up
        assert os.listdir(tmp_path / "scratch") == []
        found = os.stat(f"{shift.root}/file")
        return found.st_uid, found.st_gid

    assert in_private_namespace(work) == (300005, 400006)
    upper = tmp_path / "layers/up"
    assert {name: ((upper / name).stat().st_uid, (upper / name).stat().st_gid) for name in ("made", "file")} == {
        "made": (0, 0),
        "file": (5, 6),
    }


def test_a_bind_that_is_read_only(tmp_path: Path, shift: Shift) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "root").mkdir()

    def work() -> int:
        apply_shifted([Mount("bind", str(tmp_path / "source"), read_only=True)], shift.root, shift, "/nowhere")
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir(f"{shift.root}/x")
        return os.stat(shift.root).st_uid

    assert in_private_namespace(work) == 300000


def test_a_file_system_that_cannot(shift: Shift, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(OSError, match="mount_setattr"):
        in_private_namespace(lambda: show_shifted("/proc", shift.root, shift))
