"""Whose ids containers get, and what cannot be had with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from naru.containers import remap
from naru.containers.records import Container
from naru.containers.runtimespec import Launch, build
from naru.containers.users import User
from naru.errors import InvalidArgument
from naru.linux.idmapped import Shift
from naru.linux.userns import OVERFLOW_ID, IdMaps, IdRange
from naru.wire.container import HostConfig

Make = Callable[..., Container]
MAPS = IdMaps((IdRange(0, 300000, 1000), IdRange(1000, 500000, 10)), (IdRange(0, 400000, 65536),))
SUBUID = "# comment\nalice:100000:65536\nbob:200000:10\nbroken:x:1\n\nbob:300000:20\n1234:400000:5\n"


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("alice", 1, (IdRange(0, 100000, 65536),)),
        ("bob", 2, (IdRange(0, 200000, 10), IdRange(10, 300000, 20))),
        ("carol", 1234, (IdRange(0, 400000, 5),)),
    ],
)
def test_ranges_are_strung_together(name: str, number: int, expected: tuple[IdRange, ...]) -> None:
    assert remap.ranges(SUBUID, name, number, "/etc/subuid") == expected


def test_a_user_without_ranges_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no subgid ranges found for 'broken' in /etc/subgid"):
        remap.ranges(SUBUID, "broken", 9, "/etc/subgid")


def test_a_new_range_lies_behind_all_others() -> None:
    assert remap.free_range("", "") == 100000
    assert remap.free_range(SUBUID, "x:600000:65536\n") == 665536


def test_names() -> None:
    assert remap.names("root") == remap.names("0:0") == ("root", "root")
    assert remap.names("nobody:root") == ("nobody", "root")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (":", "invalid user/group"), ("a:b:c", "invalid user/group"), ("root:", "invalid user/group"),
        ("nosuchuser", "no user nosuchuser"), ("4294967294", "no user"), ("root:nosuchgroup", "no group nosuchgroup"),
        ("99999999999999999999", "no user"),
    ],
)  # fmt: skip
def test_names_that_are_none(value: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        remap.names(value)


def test_ids_inside_and_outside() -> None:
    assert MAPS.root == (300000, 400000)
    assert MAPS.inside(300999, 400001) == (999, 1)
    assert MAPS.inside(500003, 0) == (1003, OVERFLOW_ID)
    assert MAPS.inside(301000, 465536) == (OVERFLOW_ID, OVERFLOW_ID)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"privileged": True}, "privileged mode is incompatible with user namespaces"),
        ({"network_mode": "host"}, "cannot share the host's network namespace when user namespaces are enabled"),
        ({"pid_mode": "host"}, "cannot share the host PID namespace when user namespaces are enabled"),
    ],
)
def test_what_a_remapped_container_cannot_have(host: dict[str, Any], words: str) -> None:
    for mode in ("", "private"):
        with pytest.raises(InvalidArgument, match=words):
            remap.check(HostConfig(userns_mode=mode, **host))
    remap.check(HostConfig(userns_mode="host", **host))


def test_donors_are_named_once() -> None:
    host = HostConfig(network_mode="container:a", ipc_mode="container:b", pid_mode="container:a")
    assert remap.donors(host) == ["a", "b"]
    assert remap.donors(HostConfig(network_mode="bridge")) == []


def test_the_spec_of_a_remapped_container(record: Make) -> None:
    shift = Shift(MAPS, 9, "/proc/1/fd/9", "/run/naru/rootfs")
    launch = Launch(
        rootfs="/r", user=User(), machine="x86_64", cgroup_path="/c", cgroup_version=2, network="/n", shift=shift
    )
    linux = build(record(), launch)["linux"]
    assert {"type": "user", "path": "/proc/1/fd/9"} in linux["namespaces"]
    assert linux["uidMappings"] == [
        {"containerID": 0, "hostID": 300000, "size": 1000}, {"containerID": 1000, "hostID": 500000, "size": 10},
    ]  # fmt: skip
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 400000, "size": 65536}]
    assert linux["sysctl"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    spec = build(record({"domainname": "d"}, {"ipc_mode": "host"}), launch)
    assert spec["domainname"] == "d" and not {"rlimits", "oomScoreAdj"} & set(spec["process"])
    assert "/dev/mqueue" not in {mount["destination"] for mount in spec["mounts"]}
