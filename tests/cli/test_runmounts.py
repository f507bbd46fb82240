from __future__ import annotations

import os
from typing import Any

import pytest

from naru.cli.runmounts import add_volume, read_mount, split_csv


@pytest.mark.parametrize(
    ("text", "fields"),
    [("a,b", ["a", "b"]), ('"a,b",c', ["a,b", "c"]), ('"a""b"', ['a"b']), ("", [""]), ("a=,", ["a=", ""])],
)
def test_csv(text: str, fields: list[str]) -> None:
    assert split_csv(text) == fields


MOUNTS: list[tuple[str, dict[str, Any]]] = [
    ("type=bind,source=/a,target=/b,readonly", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
    ("type=bind,src=/a,dst=/b,ro=false", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": False}),
    ("src=v,destination=/b", {"Type": "volume", "Source": "v", "Target": "/b"}),
    ("target=/b", {"Type": "volume", "Target": "/b"}),
    ("type=bind,src=/a,dst=/b,bind-propagation=rshared,bind-recursive=readonly",
     {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rshared", "ReadOnlyForceRecursive": True}}),
    ("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770",
     {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1770}}),
    ("type=volume,src=v,dst=/b,volume-nocopy,volume-driver=d,volume-opt=o=addr=1,volume-label=x=y,volume-subpath=s",
     {"Type": "volume", "Source": "v", "Target": "/b", "VolumeOptions": {
         "NoCopy": True, "DriverConfig": {"Name": "d", "Options": {"o": "addr=1"}}, "Labels": {"x": "y"}, "Subpath": "s"}}),
    ("type=image,src=alpine,dst=/b,image-subpath=etc",
     {"Type": "image", "Source": "alpine", "Target": "/b", "ImageOptions": {"Subpath": "etc"}}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "mount"), MOUNTS)
def test_mounts(text: str, mount: dict[str, Any]) -> None:
    assert read_mount(text) == mount


REFUSED = [
    ("foo", "invalid field 'foo' must be a key=value pair"),
    ("foo=bar,dst=/x", "unexpected key 'foo' in 'foo=bar'"),
    ("type=bind,src=/a", "target is required"),
    ("type=foo,dst=/a", "invalid mount type: 'foo'"),
    ("dst=/a,ro=maybe", "invalid value for ro: maybe"),
    ("type=tmpfs,dst=/a,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
    ("type=bind,src=/a,dst=/b,volume-nocopy=1", "cannot mix 'volume-*' options with mount type 'bind'"),
    ("type=bind,src=/a,dst=/b,bind-recursive=x", "invalid value for bind-recursive: x"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_mount(text)
    assert words in str(caught.value)


def test_relative_sources() -> None:
    here, host = os.getcwd(), {}
    add_volume("./x:/y:ro", {}, host)
    add_volume(".:/z", {}, host)
    assert host == {"Binds": [f"{here}/x:/y:ro", f"{here}:/z"]}
    assert read_mount("type=bind,src=.,dst=/x")["Source"] == here
