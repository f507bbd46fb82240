"""Which program a container's runtime is."""

from __future__ import annotations

import pytest

from naru.containers.runtimes import Program, Runtimes
from naru.errors import InvalidArgument

OWN = Program("/proc/self/fd/9", name="crun")


def test_commands() -> None:
    assert OWN.command("/r") == ["/proc/self/fd/9", "--root=/r", "--cgroup-manager=cgroupfs"]
    assert Program("/usr/bin/runc", ("--debug",)).command("/r") == ["/usr/bin/runc", "--root=/r", "--debug"]


def test_a_container_has_the_runtime_that_it_chose() -> None:
    made = Runtimes(OWN, {"other": Program("/o")})
    for label in ("", "runc", "crun", "io.containerd.runc.v2"):
        made.check(label)
        made.choose("a", label)
        assert made.of("a") is OWN
    made.choose("a", "other")
    assert made.of("a") == Program("/o") and made.of("b") is OWN
    made.choose("a", "runc")
    assert made.of("a") is OWN and made.default == "runc"


def test_runtimes_that_nobody_has_defined() -> None:
    made = Runtimes(OWN, {"other": Program("/o")}, "other")
    made.choose("a", "other")
    with pytest.raises(InvalidArgument, match="unknown or invalid runtime name: nope"):
        made.check("nope")
    made.configure({}, "")
    assert made.default == "runc"
    with pytest.raises(InvalidArgument, match="unknown or invalid runtime name: other"):
        made.of("a")
