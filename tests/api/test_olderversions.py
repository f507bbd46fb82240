"""What an answer is for clients of earlier API versions: the fields of Docker 29's own answers."""

from __future__ import annotations

from typing import Any

import pytest

from naru.api import olderversions

_END = dict.fromkeys(("EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway", "MacAddress"), "x")
_BRIDGE: dict[str, Any] = {**_END, "GlobalIPv6PrefixLen": 1, "IPPrefixLen": 2, "Aliases": None}


def inspected(version: tuple[int, int]) -> dict[str, Any]:
    out = {
        "Id": "c" * 64, "Storage": {}, "ImageManifestDescriptor": {}, "Config": {"Hostname": "cccccccccccc"},
        "NetworkSettings": {"Networks": {"bridge": {**_BRIDGE}, "mine": {**_BRIDGE, "Aliases": ["db"], "MacAddress": "m"}}},
    }  # fmt: skip
    return olderversions.inspected(out, "mine", version)


@pytest.mark.parametrize(
    ("version", "fields"), [((1, 52), set()), ((1, 51), {*_END, "GlobalIPv6PrefixLen", "IPPrefixLen"})]
)
def test_the_bridge_was_shown_twice(version: tuple[int, int], fields: set[str]) -> None:
    assert set(olderversions.network_settings({"bridge": _BRIDGE}, version)) == fields
    assert olderversions.network_settings({"mine": _BRIDGE}, version) == {}


def test_very_old_clients_find_the_fields_of_the_bridge_also_without_one() -> None:
    made = olderversions.network_settings({"mine": _BRIDGE}, (1, 24))
    assert made["IPAddress"] == "" and made["IPPrefixLen"] == 0 and made["HairpinMode"] is False


def test_a_container_in_older_versions() -> None:
    newest = inspected((1, 52))
    assert "Storage" in newest and "GraphDriver" not in newest and "MacAddress" not in newest["Config"]
    middle = inspected((1, 48))
    assert "GraphDriver" in middle and middle["Config"]["MacAddress"] == "m" and "ImageManifestDescriptor" in middle
    assert middle["NetworkSettings"]["Networks"]["mine"]["Aliases"] == ["db"]
    old = inspected((1, 44))
    assert "ImageManifestDescriptor" not in old
    networks = old["NetworkSettings"]["Networks"]
    assert networks["mine"]["Aliases"] == ["db", "c" * 12] and networks["bridge"]["Aliases"] is None


@pytest.mark.parametrize(
    ("version", "gone"), [((1, 52), set()), ((1, 51), {"Health"}), ((1, 47), {"Health", "ImageManifestDescriptor"})]
)
def test_a_row_of_the_list(version: tuple[int, int], gone: set[str]) -> None:
    row = {"Health": {}, "ImageManifestDescriptor": {}, "HostConfig": {"Annotations": {}}}
    assert set(row) - set(olderversions.listed({**row}, version)) == gone


def test_images() -> None:
    assert olderversions.image_config({"Cmd": ["x"]}, (1, 52)) == {"Cmd": ["x"]}
    assert olderversions.image_config({"Cmd": ["x"]}, (1, 51))["Entrypoint"] is None
    assert olderversions.image_config({"Cmd": ["x"]}, (1, 49)).items() >= {"Cmd": ["x"], "Tty": False}.items()
    assert set(olderversions.image({"Descriptor": 0, "Size": 1}, (1, 43))) == {"Size", "Container", "ContainerConfig", "VirtualSize"}  # fmt: skip
    assert olderversions.listed_image({"Descriptor": 0, "Size": 1, "Containers": 1}, (1, 50))["Containers"] == -1


def test_info() -> None:
    full = {name: {"ID": "x"} for name in ("ContainerdCommit", "RuncCommit", "InitCommit")}
    made = olderversions.info({**full, "FirewallBackend": {}, "RegistryConfig": {}}, (1, 46))
    assert made["RuncCommit"] == {"ID": "x", "Expected": "x"} and "FirewallBackend" not in made
    assert made["BridgeNfIptables"] is False and "AllowNondistributableArtifactsCIDRs" in made["RegistryConfig"]
