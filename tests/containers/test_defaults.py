"""What the daemon's configuration adds to a container: at create, where inspect shows it, and at each start, where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from naru.containers.defaults import Defaults, at_start, fill
from naru.linux.host import probe
from naru.wire.container import HostConfig, Ulimit

OURS = Defaults(
    shm_bytes=32 << 20, ipc_mode="shareable", cgroupns_mode="private", ulimits=(Ulimit(name="nofile", soft=1, hard=2),), init=True,
    no_new_privileges=True, seccomp="unconfined", dns=("9.9.9.9",), dns_search=("ex.org",), dns_options=("ndots:3",), host_gateway="9.9.9.8",
)  # fmt: skip


def test_create_fills_in_what_was_not_said() -> None:
    host = fill(HostConfig(), probe(), "other", OURS)
    assert (host.shm_size, host.ipc_mode, host.cgroupns_mode, host.runtime) == (
        32 << 20,
        "shareable",
        "private",
        "other",
    )
    assert host.ulimits == [Ulimit(name="nofile", soft=1, hard=2)]
    assert (host.init, host.security_opt, host.dns) == (HostConfig().init, HostConfig().security_opt, HostConfig().dns)


def test_create_leaves_what_was_said() -> None:
    own = [Ulimit(name="nofile", soft=5, hard=5), Ulimit(name="core", soft=0, hard=0)]
    given = HostConfig(shm_size=1, ipc_mode="host", cgroupns_mode="host", runtime="runc", ulimits=own)
    host = fill(given, probe(), "other", OURS)
    assert (host.shm_size, host.ipc_mode, host.cgroupns_mode, host.runtime, host.ulimits) == (
        1,
        "host",
        "host",
        "runc",
        own,
    )


@pytest.mark.parametrize(
    ("given", "field", "wanted"),
    [
        ({}, "init", True), ({"init": False}, "init", False), ({}, "dns", ["9.9.9.9"]), ({"dns": ["1.1.1.1"]}, "dns", ["1.1.1.1"]), ({}, "dns_search", ["ex.org"]),
        ({}, "dns_options", ["ndots:3"]), ({}, "security_opt", ["no-new-privileges", "seccomp=unconfined"]),
        ({"security_opt": ["no-new-privileges=false", "seccomp=builtin"]}, "security_opt", ["no-new-privileges=false", "seccomp=builtin"]),
        ({"privileged": True}, "security_opt", ["no-new-privileges"]), ({"extra_hosts": ["a:host-gateway", "b:1.2.3.4"]}, "extra_hosts", ["a:9.9.9.8", "b:1.2.3.4"]),
    ],
)  # fmt: skip
def test_start_adds_what_was_not_said(given: dict[str, Any], field: str, wanted: Any) -> None:
    assert getattr(at_start(HostConfig(**given), OURS), field) == wanted


def test_nothing_is_made_anew_for_nothing() -> None:
    host = HostConfig(extra_hosts=["a:host-gateway"])
    assert at_start(host, Defaults()) is host
    assert at_start(host, replace(Defaults(), shm_bytes=1, ipc_mode="shareable")) is host
