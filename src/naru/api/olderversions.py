"""Answers as earlier API versions had them, made of the newest one's. Pure; requests are `createversions`' subject.

Docker 29 serves 1.40 and later; what versions before that showed beyond it is as Docker 25 had it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naru.api.parameters import Version

Json = dict[str, Any]

_OF_THE_BRIDGE = (
    "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen", "IPv6Gateway", "MacAddress",
)  # fmt: skip
_NO_BRIDGE = dict.fromkeys(_OF_THE_BRIDGE, "") | {"GlobalIPv6PrefixLen": 0, "IPPrefixLen": 0}
_LONG_GONE = {
    "Bridge": "", "HairpinMode": False, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0, "SecondaryIPAddresses": None,
    "SecondaryIPv6Addresses": None,
}  # fmt: skip
# What an image's Config shows though the image says nothing of it: of 1.50 and 1.51, and what came on top before that.
_IMAGE_CONFIG = {
    "User": "", "Env": None, "Cmd": None, "Volumes": None, "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip
_IMAGE_CONFIG_OF_A_CONTAINER = {
    "Hostname": "", "Domainname": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "Tty": False,
    "OpenStdin": False, "StdinOnce": False, "Image": "",
}  # fmt: skip


def network_settings(networks: Mapping[str, Json], version: Version) -> Json:
    """More fields of a container's NetworkSettings: those of the default bridge, once more."""
    if version >= (1, 52):
        return {}
    if version < (1, 40):
        bridge = networks.get("bridge", _NO_BRIDGE)
        return {**_LONG_GONE, **{name: bridge[name] for name in _OF_THE_BRIDGE}}
    return {name: networks["bridge"][name] for name in _OF_THE_BRIDGE} if "bridge" in networks else {}


def inspected(out: Json, network_mode: str, version: Version) -> Json:
    """A container as `GET /containers/{id}/json` shows it."""
    networks = out["NetworkSettings"].get("Networks", {})
    if version < (1, 52):
        out["GraphDriver"] = {"Name": "overlayfs", "Data": None}
        del out["Storage"]
        main = networks.get(network_mode)
        if main and main["MacAddress"]:  # the container's own, before it was an endpoint's
            out["Config"]["MacAddress"] = main["MacAddress"]
    if version < (1, 48):
        out.pop("ImageManifestDescriptor", None)
    if version < (1, 45):
        for name in networks.keys() - {"bridge", "host", "none"}:  # names that nobody had asked for were aliases too
            aliases = [*(networks[name]["Aliases"] or ()), out["Id"][:12], out["Config"]["Hostname"]]
            networks[name]["Aliases"] = list(dict.fromkeys(aliases))
    return out


def listed(out: Json, version: Version) -> Json:
    """A row of `GET /containers/json`."""
    if version < (1, 52):
        del out["Health"]
    if version < (1, 48):
        out.pop("ImageManifestDescriptor", None)
    if version < (1, 46):
        out["HostConfig"].pop("Annotations", None)
    return out


def image_config(shown: Json, version: Version) -> Json:
    if version < (1, 50):
        return {**_IMAGE_CONFIG_OF_A_CONTAINER, **_IMAGE_CONFIG, **shown}
    return {**_IMAGE_CONFIG, **shown} if version < (1, 52) else shown


def image(out: Json, version: Version) -> Json:
    """An image as `GET /images/{name}/json` shows it."""
    if version < (1, 48):
        del out["Descriptor"]
    if version < (1, 45):
        out.update(Container="", ContainerConfig=None)
    if version < (1, 44):
        out["VirtualSize"] = out["Size"]
    return out


def listed_image(out: Json, version: Version) -> Json:
    """A row of `GET /images/json`."""
    if version < (1, 51):
        out["Containers"] = -1
    if version < (1, 48):
        del out["Descriptor"]
    if version < (1, 44):
        out["VirtualSize"] = out["Size"]
    return out


def info(out: Json, version: Version) -> Json:
    """`GET /info`."""
    if version < (1, 50):
        out.update(BridgeNfIptables=False, BridgeNfIp6tables=False)
    if version < (1, 49):
        del out["FirewallBackend"]
        for name in ("ContainerdCommit", "RuncCommit", "InitCommit"):
            out[name]["Expected"] = out[name]["ID"]
    if version < (1, 47):
        names = ("AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames")
        out["RegistryConfig"].update(dict.fromkeys(names))
    return out
