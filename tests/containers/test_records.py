"""A record is the same after the database; what is no record is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.containers.records import Container, MountPoint, State, Status, from_json, to_json
from naru.oci.digest import Digest
from naru.wire.container import (
    Config,
    EndpointSettings,
    Healthcheck,
    HostConfig,
    IPAMConfig,
    MountRequest,
    PortBinding,
    RestartPolicy,
    TmpfsOptions,
    Ulimit,
)

words = st.lists(st.text(max_size=8), max_size=3)
maps = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
configs = st.builds(
    Config, hostname=st.text(max_size=9), user=st.text(max_size=9), tty=st.booleans(), env=st.none() | words,
    cmd=st.none() | words, labels=st.none() | maps, stop_timeout=st.none() | st.integers(-5, 99),
    healthcheck=st.none() | st.builds(Healthcheck, test=st.none() | words, interval=st.integers(0, 10**12)),
    exposed_ports=st.none() | st.dictionaries(st.text(max_size=5), st.just({}), max_size=2),
)  # fmt: skip
hosts = st.builds(
    HostConfig, binds=st.none() | words, memory=st.integers(0, 2**62), pids_limit=st.none() | st.integers(-1, 99),
    cap_add=st.none() | words, console_size=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    port_bindings=st.none() | st.dictionaries(st.text(max_size=5), st.none() | st.lists(st.builds(PortBinding, host_port=st.text(max_size=5)), max_size=2), max_size=2),
    restart_policy=st.builds(RestartPolicy, name=st.text(max_size=5), maximum_retry_count=st.integers(0, 9)),
    ulimits=st.none() | st.lists(st.builds(Ulimit, name=st.text(max_size=5), hard=st.integers(-1, 2**62)), max_size=2),
    mounts=st.none() | st.lists(st.builds(MountRequest, type=st.text(max_size=5), tmpfs_options=st.none() | st.builds(TmpfsOptions, options=st.none() | st.lists(words, max_size=2))), max_size=2),
    sysctls=st.none() | maps, init=st.none() | st.booleans(),
)  # fmt: skip
settings = st.builds(
    EndpointSettings,
    aliases=st.none() | words,
    ipam_config=st.none() | st.builds(IPAMConfig, ipv4_address=st.text(max_size=9)),
)
points = st.builds(MountPoint, st.sampled_from(["bind", "volume", "tmpfs"]), st.text(max_size=9), st.text(max_size=9), options=st.lists(st.text(max_size=5), max_size=2).map(tuple), anonymous=st.booleans())  # fmt: skip
states = st.builds(
    State,
    status=st.sampled_from(Status),
    pid=st.integers(0, 2**31),
    error=st.text(max_size=20),
    started_ns=st.integers(0, 2**62),
)
digests = st.binary(max_size=4).map(Digest.of)
records = st.builds(
    Container, id=st.text(max_size=64), name=st.text(max_size=20), created_ns=st.integers(0, 2**62), image_id=st.text(max_size=9),
    image_manifest=st.text(max_size=20), chain_id=st.none() | digests, config=configs, host=hosts,
    networks=st.dictionaries(st.text(max_size=9), settings, max_size=2), mounts=st.lists(points, max_size=2).map(tuple), state=states,
)  # fmt: skip


@given(records)
def test_round_trip(container: Container) -> None:
    again = from_json(to_json(container))
    assert again == container
    assert list(again.networks) == list(container.networks)  # in order of attachment
    assert to_json(again) == to_json(container)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"id": 1}', "\0", '"x"'])
def test_what_is_no_record(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_json(text)


def test_a_record_with_a_broken_part(record: Callable[..., Container]) -> None:
    for part, value in (("state", {"status": "flying"}), ("mounts", [{"kind": "bind"}]), ("config", 7)):
        broken = json.dumps({**json.loads(to_json(record())), part: value})
        with pytest.raises((ValueError, KeyError, TypeError)):
            from_json(broken)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "argv"),
    [
        (None, None, ()),
        (None, ["a"], ("a",)),
        (["e"], ["a", "b"], ("e", "a", "b")),
        ("e", None, ("e",)),
        ([], "a", ("a",)),
    ],
)
def test_argv(record: Callable[..., Container], entrypoint: object, cmd: object, argv: tuple[str, ...]) -> None:
    assert record(config={"entrypoint": entrypoint, "cmd": cmd}).argv == argv


def test_live_states() -> None:
    assert {status for status in Status if status.is_live} == {Status.RUNNING, Status.PAUSED}
