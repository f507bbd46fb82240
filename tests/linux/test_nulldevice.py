"""A null device of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from naru.linux.mounts import in_private_namespace
from naru.linux.nulldevice import hide_hosts, open_private

pytestmark = pytest.mark.root


def test_it_can_be_given_away(tmp_path: Path) -> None:
    before = os.stat("/dev/null").st_uid
    fd = open_private(str(tmp_path))
    try:
        os.fchown(fd, 1000, 1000)
        assert os.write(fd, b"x") == 1 and os.read(fd, 1) == b""
        assert os.readlink(f"/proc/self/fd/{fd}") == "/dev/null"
    finally:
        os.close(fd)
    assert os.stat("/dev/null").st_uid == before and os.listdir(tmp_path) == []


def test_the_hosts_is_out_of_reach(tmp_path: Path) -> None:
    def work() -> None:
        hide_hosts(str(tmp_path))
        os.chown("/dev/null", 1000, 1000)

    before = os.stat("/dev/null").st_uid
    in_private_namespace(work)
    assert os.stat("/dev/null").st_uid == before
