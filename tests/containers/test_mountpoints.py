"""Mounts as clients write them → mount points, or Docker 29's own words of refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.containers.mountpoints import Wanted, parse_bind, parse_volumes_from, wanted, with_others
from naru.containers.records import MountPoint
from naru.errors import Internal, InvalidArgument, NaruError
from naru.wire.container import Config, CreateRequest, HostConfig
from naru.wire.decode import decode_object


def volume(name: str, target: str, **more: Any) -> MountPoint:
    return MountPoint("volume", "", target, name=name, driver="local", **{"mode": "z", "copy_up": True, **more})


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("/h:/t", Wanted(MountPoint("bind", "/h", "/t", propagation="rprivate"), make_source=True)),
        ("/h/../x/:/t/", Wanted(MountPoint("bind", "/x", "/t", propagation="rprivate"), make_source=True)),
        ("/h:/t:ro", Wanted(MountPoint("bind", "/h", "/t", False, mode="ro", propagation="rprivate"), make_source=True)),
        ("/h:/t:ro,z,rshared", Wanted(MountPoint("bind", "/h", "/t", False, mode="ro,z,rshared", propagation="rshared"), make_source=True, own_propagation=True)),
        ("/h:/t:rslave,cached", Wanted(MountPoint("bind", "/h", "/t", mode="rslave,cached", propagation="rslave"), make_source=True, own_propagation=True)),
        ("v1:/t", Wanted(volume("v1", "/t"), "v1")),
        ("v1:/t:ro,nocopy", Wanted(volume("v1", "/t", writable=False, mode="ro,nocopy", copy_up=False), "v1")),
        ("/t", Wanted(volume("", "/t", anonymous=True), "")),
    ],
)  # fmt: skip
def test_binds(text: str, item: Wanted) -> None:
    assert parse_bind(text) == item


BAD_BINDS = [
    ("", Internal, "invalid volume specification: ''"),
    ("/tmp:", Internal, "invalid volume specification: '/tmp:'"),
    (":/m", Internal, "invalid volume specification: ':/m'"),
    ("/tmp:/m:ro:x", Internal, "invalid volume specification: '/tmp:/m:ro:x'"),
    ("/tmp:/m:nonsense", Internal, "invalid mode: nonsense"),
    ("/tmp:/m:ro,rw", Internal, "invalid mode: ro,rw"),
    ("/tmp:/m:z,Z", Internal, "invalid mode: z,Z"),
    ("/tmp:rel", Internal, "invalid volume specification: '/tmp:rel': invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute"),
    ("/tmp:/", Internal, "invalid volume specification: '/tmp:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"),
    ("/tmp:/a/..", Internal, "invalid volume specification: '/tmp:/a/..': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"),
    ("wire-x:/m:rshared", Internal, "invalid volume specification: 'wire-x:/m:rshared': invalid mount config for type \"volume\": field BindOptions must not be specified"),
    ("a:/m", InvalidArgument, "create a: volume name is too short, names should be at least two alphanumeric characters"),
    ("rel/x:/m", InvalidArgument, 'create rel/x: "rel/x" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'),
    ("/tmp:/m:copy", Internal, "invalid mode: copy"),
    ("/tmp:/m:cached,delegated", Internal, "invalid mode: cached,delegated"),
    ("/tmp:/m:nocopy", Internal, "invalid volume specification: '/tmp:/m:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified"),
    ("..:/m", InvalidArgument, 'create ..: ".." includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "words"), BAD_BINDS)
def test_bad_binds(text: str, kind: type[NaruError], words: str) -> None:
    with pytest.raises(NaruError) as caught:
        parse_bind(text)
    assert (type(caught.value), str(caught.value)) == (kind, words)


BAD_MOUNTS: list[tuple[dict[str, Any], str]] = [
    ({"Type": "nonsense", "Target": "/m"}, 'invalid mount config for type "nonsense": mount type unknown'),
    ({"Target": "/m"}, 'invalid mount config for type "": mount type unknown'),
    ({"Type": "volume"}, 'invalid mount config for type "volume": field Target must not be empty'),
    ({"Type": "volume", "Target": "rel"}, "invalid mount config for type \"volume\": invalid mount path: 'rel' mount path must be absolute"),
    ({"Type": "tmpfs", "Target": "/"}, "invalid mount config for type \"tmpfs\": invalid specification: destination can't be '/'"),
    ({"Type": "bind", "Target": "/m"}, 'invalid mount config for type "bind": field Source must not be empty'),
    ({"Type": "bind", "Source": "rel", "Target": "/m"}, "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute"),
    ({"Type": "bind", "Source": "/tmp", "Target": "/m", "VolumeOptions": {}}, 'VolumeOptions must not be specified on mount type "bind"'),
    ({"Type": "bind", "Source": "/tmp", "Target": "/m", "BindOptions": {"Propagation": "x"}}, 'invalid mount config for type "bind": invalid propagation mode: x'),
    ({"Type": "tmpfs", "Source": "/x", "Target": "/m"}, 'invalid mount config for type "tmpfs": field Source must not be specified'),
    ({"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"Options": [["nonsense"]]}}, 'invalid mount config for type "tmpfs": invalid option: nonsense'),
    ({"Type": "volume", "Source": "a$", "Target": "/m"}, 'create a$: "a$" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'),
    ({"Type": "volume", "Source": "wire-x", "Target": "/m", "BindOptions": {}}, 'BindOptions must not be specified on mount type "volume"'),
    ({"Type": "volume", "Source": "wire-x", "Target": "/m", "VolumeOptions": {"Subpath": "../x"}}, 'invalid mount config for type "volume": subpath must be a relative path within the volume'),
    ({"Type": "volume", "Source": "wire-x", "Target": "/m", "VolumeOptions": {"Subpath": "/x"}}, 'invalid mount config for type "volume": subpath must be a relative path within the volume'),
    ({"Type": "volume", "Target": "/m", "VolumeOptions": {"Subpath": "x"}}, 'invalid mount config for type "volume": must not set Subpath when using anonymous volumes'),
    ({"Type": "image", "Source": "x", "Target": "/m", "ImageOptions": {"Subpath": "a/../../x"}}, 'invalid mount config for type "image": subpath must be a relative path within the volume'),
    ({"Type": "bind", "Source": "/tmp", "Target": "/m", "ImageOptions": {}}, 'invalid mount config for type "bind": field ImageOptions must not be specified'),
    ({"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"Options": [["uid", "5"]]}}, 'invalid mount config for type "tmpfs": invalid option: uid'),
    ({"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"Options": [["nosuid"]]}}, 'invalid mount config for type "tmpfs": invalid option: nosuid'),
    ({"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"Options": [[]]}}, 'invalid mount config for type "tmpfs": invalid option array length'),
    ({"Type": "image", "Target": "/m"}, 'invalid mount config for type "image": field Source must not be empty'),
]  # fmt: skip


def host(**value: Any) -> HostConfig:
    made = decode_object(json.dumps({"HostConfig": value}).encode(), CreateRequest).host_config
    assert made is not None
    return made


@pytest.mark.parametrize(("value", "words"), BAD_MOUNTS)
def test_bad_mounts(value: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        wanted(Config(), host(Mounts=[value]))
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("value", "item"),
    [
        (
            {"Type": "bind", "Source": "/h/", "Target": "/t", "ReadOnly": True, "BindOptions": {"CreateMountpoint": True}},
            Wanted(MountPoint("bind", "/h", "/t", False, propagation="rprivate", from_config=True), make_source=True),
        ),
        ({"Type": "bind", "Source": "/h", "Target": "/t"}, Wanted(MountPoint("bind", "/h", "/t", propagation="rprivate", from_config=True))),
        (
            {"Type": "volume", "Source": "v1", "Target": "/t", "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}, "DriverConfig": {"Name": "local", "Options": {"o": "1"}}}},
            Wanted(volume("v1", "/t", copy_up=False, from_config=True), "v1", "local", (("o", "1"),), (("a", "b"),)),
        ),
        ({"Type": "volume", "Target": "/t"}, Wanted(volume("", "/t", anonymous=True, from_config=True), "")),
        ({"Type": "volume", "Source": "v1", "Target": "/t", "VolumeOptions": {"Subpath": "a/b"}}, Wanted(volume("v1", "/t", copy_up=False, subpath="a/b", from_config=True), "v1")),
        (
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 65536, "Mode": 0o700, "Options": [["exec"]]}},
            Wanted(MountPoint("tmpfs", "", "/t", options=("mode=700", "size=65536", "exec"), from_config=True)),
        ),
        (
            {"Type": "bind", "Source": "/h", "Target": "/t", "ReadOnly": True, "BindOptions": {"NonRecursive": True, "ReadOnlyNonRecursive": True}},
            Wanted(MountPoint("bind", "/h", "/t", False, propagation="rprivate", from_config=True, recursive=False, read_only_non_recursive=True)),
        ),
        ({"Type": "image", "Source": "busybox", "Target": "/t"}, Wanted(MountPoint("image", "busybox", "/t", False, name="busybox", propagation="rprivate", from_config=True), image="busybox")),
    ],
)  # fmt: skip
def test_mounts(value: dict[str, Any], item: Wanted) -> None:
    assert wanted(Config(), host(Mounts=[value])) == [item]


def test_the_options_of_a_tmpfs_wait_for_the_start() -> None:
    (item,) = wanted(Config(), host(Tmpfs={"/t": "ro,nonsense"}))
    assert (item.point.options, item.point.writable) == (("ro", "nonsense"), False)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("rel", "invalid mount path: 'rel' mount path must be absolute"),
        ("/a/..", "invalid specification: destination can't be '/'"),
    ],
)
def test_bad_tmpfs(target: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        wanted(Config(), host(Tmpfs={target: ""}))
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("box", ("box", True)),
        ("box:ro", ("box", False)),
        ("box:rw,z", ("box", True)),
        ("box:ro,cached", ("box", False)),
    ],
)
def test_volumes_from(text: str, answer: tuple[str, bool]) -> None:
    assert parse_volumes_from(text) == answer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "volumes-from specification cannot be an empty string"),
        ("box:foo", "invalid mode: foo"),
        ("box:nocopy", "invalid mode: nocopy"),
        ("box:rslave", "invalid mode: rslave"),
        ("box:ro,rw", "invalid mode: ro,rw"),
    ],
)
def test_bad_volumes_from(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_volumes_from(text)
    assert str(caught.value) == words


def test_mounts_of_others_lie_between_ones_own_and_those_of_the_image() -> None:
    own = wanted(Config(volumes={"/image": {}, "/only": {}}), host(Binds=["/h:/own"]))
    others = [Wanted(MountPoint("bind", source, target)) for source, target in (("/1", "/own"), ("/2", "/image"), ("/3", "/image"), ("/4", "/more"))]  # fmt: skip
    found = {item.point.destination: item.point.source for item in with_others(own, others)}
    assert found == {"/own": "/h", "/only": "", "/image": "/3", "/more": "/4"}


def test_a_tmpfs_and_a_mount_may_share_a_target_but_not_a_bind() -> None:
    found = wanted(Config(volumes={"/m": {}}), host(Mounts=[{"Type": "tmpfs", "Target": "/m"}], Tmpfs={"/m": ""}))
    assert [item.point.kind for item in found] == ["tmpfs", "tmpfs"]
    with pytest.raises(InvalidArgument, match=r"^Duplicate mount point: /m$"):
        wanted(Config(), host(Binds=["/tmp:/m"], Tmpfs={"/m": ""}))


def test_a_target_is_used_once_and_an_images_volume_gives_way() -> None:
    config = Config(volumes={"/m": {}, "/own": {}})
    found = wanted(config, host(Binds=["/tmp:/m"]))
    assert [(item.point.kind, item.point.destination) for item in found] == [("bind", "/m"), ("volume", "/own")]
    assert found[1].point.anonymous and found[1].point.copy_up
    with pytest.raises(InvalidArgument, match=r"^Duplicate mount point: /m$"):
        wanted(config, host(Binds=["/tmp:/m"], Mounts=[{"Type": "tmpfs", "Target": "/m/"}]))


@given(st.text(alphabet="/a.:,rowz~ \0", max_size=20))
def test_any_text_is_a_mount_or_a_refusal(text: str) -> None:
    try:
        item = parse_bind(text)
    except NaruError:
        return
    assert item.point.destination.startswith("/") and ".." not in item.point.destination.split("/")
    assert item.volume is None or "/" not in item.volume
