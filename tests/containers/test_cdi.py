"""Devices that vendors describe (CDI): files, names, what they change; and Docker 29's words for what is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from naru.containers import cdi
from naru.containers.cdi import Edits, Registry
from naru.errors import Internal
from naru.wire.container import DeviceRequest

SPEC: dict[str, Any] = {
    "cdiVersion": "0.6.0",
    "kind": "nvidia.com/gpu",
    "containerEdits": {"env": ["ALL=1"], "hooks": [{"hookName": "createContainer", "path": "/bin/hook", "args": ["hook", "x"]}]},
    "devices": [
        {"name": "0", "containerEdits": {"env": ["ZERO=1"], "deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/null", "permissions": "rw"}], "additionalGids": [7, 0]}},
        {"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu1", "type": "c", "major": 195, "minor": 1, "fileMode": 384}], "mounts": [{"hostPath": "/usr/lib", "containerPath": "/lib/gpu", "options": ["ro", "rbind"]}]}},
        {"name": "all", "containerEdits": {}},
        {"name": "bad", "containerEdits": {"netDevices": [{"hostInterfaceName": "x", "name": "y"}]}},
        {"name": "late", "containerEdits": {"hooks": [{"hookName": "poststop", "path": "/x"}]}},
    ],
}  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "gpu.json").write_text(json.dumps(SPEC))
    return cdi.read([str(tmp_path)])


def test_edits(registry: Registry) -> None:
    made = registry.edits(["nvidia.com/gpu=0", "nvidia.com/gpu=1"])
    assert made.env == ("ALL=1", "ZERO=1")  # those of the kind once
    assert made.hooks == (("createContainer", {"path": "/bin/hook", "args": ["hook", "x"]}),)
    null, gpu1 = made.devices
    assert (null["path"], null["type"], null["major"], null["minor"], null["access"]) == ("/dev/gpu0", "c", 1, 3, "rw")
    assert gpu1 == {"path": "/dev/gpu1", "type": "c", "major": 195, "minor": 1, "fileMode": 384, "access": "rwm"}
    assert made.mounts == (
        {"source": "/usr/lib", "destination": "/lib/gpu", "type": "bind", "options": ["ro", "rbind"]},
    )
    assert made.groups == (7,)  # 0 means none


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["nvidia.com/gpu=9", "nonsense"], "unresolvable CDI devices nvidia.com/gpu=9, nonsense"),
        (["nvidia.com/gpu=bad"], "containerEdits.netDevices is not supported"),
        (["nvidia.com/gpu=late"], "hooks of kind 'poststop' are not supported"),
    ],
)
def test_devices_that_cannot_be_given(registry: Registry, names: list[str], words: str) -> None:
    with pytest.raises(Internal) as caught:
        registry.edits(names)
    assert str(caught.value) == f"CDI device injection failed: {words}"


def test_later_folders_go_first_and_twins_cancel_each_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder, name, env in (("a", "x", "A=1"), ("a", "y", "B=1"), ("b", "x", "C=1"), ("b", "twin", "D=1")):
        (tmp_path / folder).mkdir(exist_ok=True)
        device = "x" if name == "twin" else name
        value = {"kind": "v.com/c", "devices": [{"name": device, "containerEdits": {"env": [env]}}]}
        (tmp_path / folder / f"{name}.json").write_text(json.dumps(value))
    (tmp_path / "b" / "broken.json").write_text("{")
    (tmp_path / "b" / "kind.json").write_text('{"kind": "nonsense", "devices": []}')
    (tmp_path / "b" / "other.yaml").write_text("kind: [v.com/c")
    (tmp_path / "b" / "notes.txt").write_text("ours")
    found = cdi.read([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")])
    assert set(found.devices) == {"v.com/c=y"}
    assert len(caplog.records) == 4
    (tmp_path / "b" / "twin.json").unlink()
    found = cdi.read([str(tmp_path / "a"), str(tmp_path / "b")])
    assert found.edits(["v.com/c=x"]) == Edits(env=("C=1",))


def test_a_specification_in_yaml_says_the_same(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "gpu.yaml").write_text(yaml.safe_dump(SPEC))
    assert cdi.read([str(tmp_path / "yaml")]) == registry


def test_what_requests_mean(registry: Registry) -> None:
    def names(**request: Any) -> list[str]:
        return cdi.named([DeviceRequest(**request)], registry)

    assert names(driver="cdi", device_ids=["a/b=c"], capabilities=[["gpu"]]) == ["a/b=c"]
    assert names(driver="cdi") == []
    assert names(count=-1, capabilities=[["gpu"]]) == ["nvidia.com/gpu=all"]
    assert names(count=2, capabilities=[["x"], ["gpu"]]) == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    assert names(count=0, device_ids=["1"], capabilities=[["gpu"]]) == ["nvidia.com/gpu=1"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"driver": "cdi", "count": 2}, "unexpected count in CDI device request"),
        ({"driver": "cdi", "options": {"a": "b"}}, "unexpected options in CDI device request"),
        ({"count": -1, "capabilities": [["gpu"]]}, "failed to discover GPU vendor from CDI: no known GPU vendor found"),
        ({"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}, 'could not select device driver "nvidia" with capabilities: [[gpu]]'),
        ({"capabilities": [["gpu", "nvidia"], ["compute"]]}, 'could not select device driver "" with capabilities: [[gpu nvidia] [compute]]'),
        ({}, 'could not select device driver "" with capabilities: []'),
    ],
)  # fmt: skip
def test_requests_that_nobody_can_serve(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(Internal) as caught:
        cdi.named([DeviceRequest(**request_)], Registry({}))
    assert str(caught.value) == words
