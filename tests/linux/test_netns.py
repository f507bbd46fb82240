from __future__ import annotations

import os
import socket

import pytest

from naru.linux import netns
from naru.linux.netlink import Netlink

pytestmark = pytest.mark.root


def identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def test_create_gives_a_namespace_of_its_own_with_lo_up() -> None:
    before = len(os.listdir("/proc/self/fd"))
    fd = netns.create()
    try:
        assert not os.get_inheritable(fd)
        assert identity(f"/proc/self/fd/{fd}") != identity("/proc/self/ns/net")

        def work() -> None:
            assert identity("/proc/thread-self/ns/net") == identity(f"/proc/self/fd/{fd}")
            with Netlink() as here:
                assert [(link.name, link.up) for link in here.links()] == [("lo", True)]
            with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
                pass

        netns.inside(fd, work)
        assert identity("/proc/thread-self/ns/net") == identity("/proc/self/ns/net")  # we never left
    finally:
        os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before


def test_inside_raises_what_work_raises() -> None:
    fd = netns.create()
    try:
        with pytest.raises(ZeroDivisionError):
            netns.inside(fd, lambda: 1 // 0)
    finally:
        os.close(fd)


def test_inside_wants_a_network_namespace() -> None:
    with open(os.devnull) as file, pytest.raises(OSError, match="setns"):
        netns.inside(file.fileno(), lambda: None)


def test_a_running_process_has_one() -> None:
    fd = netns.open_of(os.getpid())
    assert identity(f"/proc/self/fd/{fd}") == identity("/proc/self/ns/net")
    os.close(fd)
    with pytest.raises(ProcessLookupError):
        netns.open_of(2**22 + 1)


def test_sysctls_are_those_of_the_namespace() -> None:
    before = netns.read_sysctl("ipv4/conf/default/rp_filter")
    fd = netns.create()

    def work() -> None:
        assert netns.write_sysctl("ipv4/conf/default/rp_filter", "2")
        assert netns.read_sysctl("ipv4/conf/default/rp_filter") == "2"
        assert not netns.write_sysctl("ipv4/conf/nope/rp_filter", "2")
        assert netns.read_sysctl("ipv4/conf/nope/rp_filter") is None

    try:
        netns.inside(fd, work)
    finally:
        os.close(fd)
    assert netns.read_sysctl("ipv4/conf/default/rp_filter") == before
