"""What create requests of old and new clients mean; Docker 29's words for what is too young."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naru.api.createversions import Meaning, meaning
from naru.api.parameters import Version
from naru.errors import Internal, InvalidArgument, NaruError
from naru.wire.container import CreateRequest
from naru.wire.decode import decode_object


def asked(version: Version, **value: Any) -> Meaning:
    return meaning(decode_object(json.dumps(value).encode(), CreateRequest), version)


def test_the_containers_mac_address_became_its_endpoints() -> None:
    assert asked((1, 43), MacAddress="02:42:ac:11:00:99").request.mac_address == "02:42:ac:11:00:99"
    kept = asked((1, 44), MacAddress="02:42:ac:11:00:99")
    assert kept.request.mac_address == "02:42:ac:11:00:99" and "deprecated" in kept.warnings[0]
    gone = asked((1, 52), MacAddress="nonsense")
    assert gone.request.mac_address == "" and not gone.warnings


def test_start_intervals_are_dropped_for_those_who_do_not_know_them() -> None:
    check = {"Test": ["CMD", "x"], "StartInterval": 5}
    for version, interval in (((1, 43), 0), ((1, 44), 5)):
        found = asked(version, Healthcheck=check).request.healthcheck
        assert found is not None and found.start_interval == interval


def test_read_only_trees_warnings_and_shareable_memory() -> None:
    old, new = asked((1, 43)), asked((1, 52))
    assert (old.flat_read_only, old.tell_empty_bindings) == (True, False)
    assert (new.flat_read_only, new.tell_empty_bindings) == (False, True)
    for version, mode in (((1, 39), "shareable"), ((1, 40), "")):
        host = asked(version, HostConfig={}).request.host_config
        assert host is not None and host.ipc_mode == mode


MOUNT = {"Target": "/m", "Source": "x"}
STRING = (
    "invalid JSON: json: cannot unmarshal string into Go struct field HostConfig.HostConfig.CapAdd of type []string"
)
NEGATIVE = (
    "invalid JSON: json: cannot unmarshal number -1 into Go struct field HostConfig.HostConfig.ConsoleSize of type uint"
)


@pytest.mark.parametrize(
    ("last", "host", "kind", "words"),
    [
        ((1, 43), {"Mounts": [{**MOUNT, "Type": "bind", "BindOptions": {"ReadOnlyForceRecursive": True}}]}, InvalidArgument, "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"),
        ((1, 44), {"Mounts": [{**MOUNT, "Type": "volume", "VolumeOptions": {"Subpath": "s"}}]}, InvalidArgument, "VolumeOptions.Subpath needs API v1.45 or newer"),
        ((1, 47), {"Mounts": [{**MOUNT, "Type": "image"}]}, InvalidArgument, 'Mount type "Image" needs API v1.48 or newer'),
    ],
)  # fmt: skip
def test_what_an_old_client_cannot_ask_for(
    last: Version, host: dict[str, Any], kind: type[NaruError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        asked(last, HostConfig=host)
    assert str(caught.value) == words
    asked((last[0], last[1] + 1), HostConfig=host)


@pytest.mark.parametrize(
    ("host", "kind", "words"),
    [
        ({"CapAdd": "NET_ADMIN"}, InvalidArgument, STRING),
        ({"ConsoleSize": [-1, 80]}, InvalidArgument, NEGATIVE),
        ({"Sysctls": {"net.ipv4.conf.eth0.forwarding": "1"}}, Internal, "interface specific sysctl setting \"net.ipv4.conf.eth0.forwarding\" must be supplied using driver option 'com.docker.network.endpoint.sysctls'"),
    ],
)  # fmt: skip
def test_what_nobody_can_ask_for(host: dict[str, Any], kind: type[NaruError], words: str) -> None:
    with pytest.raises(NaruError) as caught:
        asked((1, 52), HostConfig=host)
    assert (type(caught.value), str(caught.value)) == (kind, words)


def test_old_clients_have_one_network() -> None:
    networks = {"EndpointsConfig": {"b": {}, "a": None}}
    asked((1, 44), NetworkingConfig=networks)
    with pytest.raises(InvalidArgument, match=r"^Container cannot be created with multiple network endpoints: a, b$"):
        asked((1, 43), NetworkingConfig=networks)


@pytest.mark.parametrize("size", [[24], [24, 0, 7]])
def test_an_array_of_another_length_is_cut_or_filled(size: list[int]) -> None:
    host = asked((1, 52), HostConfig={"ConsoleSize": size}).request.host_config
    assert host is not None and host.console_size == (24, 0)


def test_sysctls_that_stay() -> None:
    asked((1, 52), HostConfig={"Sysctls": {"net.ipv4.conf.all.forwarding": "1", "net.ipv4.ip_forward": "1"}})
    asked((1, 45), HostConfig={"Sysctls": {"net.ipv4.conf.eth0.forwarding": "1"}})
