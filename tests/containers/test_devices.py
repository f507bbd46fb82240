"""Devices of the host: nodes, folders, what is none; block devices that limits name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from naru.containers import devices
from naru.errors import Internal
from naru.wire.container import Device, HostConfig, ThrottleDevice, WeightDevice

WHERE = "error gathering device information while adding custom device "


def test_a_node_has_the_hosts_numbers_and_mode() -> None:
    (found,) = devices.host_devices(
        [Device(path_on_host="/dev/null", path_in_container="/dev/x", cgroup_permissions="rw")]
    )
    mode = os.stat("/dev/null").st_mode & 0o7777
    assert found == {
        "path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": mode, "uid": 0, "gid": 0, "access": "rw",
    }  # fmt: skip


def test_a_folder_means_the_devices_in_it(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "inner" / "null").symlink_to("/dev/null")
    found = devices.host_devices(
        [Device(path_on_host=str(tmp_path), path_in_container="/dev/all", cgroup_permissions="r")]
    )
    assert [(d["path"], d["major"], d["access"]) for d in found] == [("/dev/all/inner/null", 1, "r")]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/nonono", "no such file or directory"),
        ("", "no such file or directory"),
        ("/etc/passwd", "not a device node"),
    ],
)
def test_what_is_no_device(path: str, reason: str) -> None:
    with pytest.raises(Internal) as caught:
        devices.host_devices([Device(path_on_host=path, path_in_container="/dev/x", cgroup_permissions="rwm")])
    assert str(caught.value) == f'{WHERE}"{path}": {reason}'


def test_block_devices_of_limits() -> None:
    value = HostConfig(
        blkio_weight_device=[WeightDevice(path="/dev/null", weight=10)],
        blkio_device_write_iops=[ThrottleDevice(path="/dev/zero", rate=5)],
    )
    assert devices.limited(value) == {"/dev/null": (1, 3), "/dev/zero": (1, 5)}
    with pytest.raises(Internal, match=r"^stat /dev/nono: no such file or directory$"):
        devices.limited(HostConfig(blkio_device_read_bps=[ThrottleDevice(path="/dev/nono", rate=5)]))
