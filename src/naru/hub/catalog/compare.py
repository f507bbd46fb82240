"""Two images side by side: which layers they share, and where their configurations differ. Pure.

Layers are compared by the digests of their blobs, which is what a registry stores and a pull transfers; configurations
by the fields of OCI image-spec config.md that change how an image runs or what it says of itself. `created`, `history`
and `rootfs` are not compared: they differ in every build, and the layers say it better.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naru.oci.image import Descriptor, Json


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. None: it is not set on that side.

    `field` is a name of config.md (`User`, `os.version`), with a key where there are many (`Env.PATH`,
    `Labels.maintainer`). Of ports and volumes, which are sets, each member is a row: `Change("ExposedPorts", None,
    "80/tcp")` was added.
    """

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`shared` are the layers that both begin with, bottom first, and `moved` those that both have but on different
    ground.

    Sizes are of compressed layers, configurations and manifests not counted.
    """

    shared: tuple[Descriptor, ...]
    moved: tuple[Descriptor, ...]
    only_before: tuple[Descriptor, ...]
    only_after: tuple[Descriptor, ...]
    size_before_bytes: int
    size_after_bytes: int
    changes: tuple[Change, ...]

    @property
    def size_difference_bytes(self) -> int:
        """How much larger the second is; negative if it is smaller."""
        return self.size_after_bytes - self.size_before_bytes

    @property
    def download_bytes(self) -> int:
        """What somebody who has the first still has to fetch for the second."""
        return sum({layer.digest: layer.size for layer in self.only_after}.values())


def compare(
    before: Json, before_layers: Sequence[Descriptor], after: Json, after_layers: Sequence[Descriptor]
) -> Comparison:
    """Each image by its whole configuration document and its manifest's layers, bottom first.

    Fields that are not what the specification says are taken as not set: a hub stores what it is given.
    """
    shared = 0
    for left, right in zip(before_layers, after_layers, strict=False):
        if left.digest != right.digest:
            break
        shared += 1
    left_over, right_over = before_layers[shared:], after_layers[shared:]
    in_both = {layer.digest for layer in before_layers} & {layer.digest for layer in after_layers}
    return Comparison(
        shared=tuple(before_layers[:shared]),
        moved=tuple(layer for layer in right_over if layer.digest in in_both),
        only_before=tuple(layer for layer in left_over if layer.digest not in in_both),
        only_after=tuple(layer for layer in right_over if layer.digest not in in_both),
        size_before_bytes=sum(layer.size for layer in before_layers),
        size_after_bytes=sum(layer.size for layer in after_layers),
        changes=_changes(before, after),
    )


def _changes(before: Json, after: Json) -> tuple[Change, ...]:
    out: list[Change] = []
    for name, read in _PLATFORM.items():
        out += read(name, before.get(name), after.get(name))
    left, right = _object(before.get("config")), _object(after.get("config"))
    for name, read in _RUN.items():
        out += read(name, left.get(name), right.get(name))
    return tuple(out)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _value(name: str, before: Any, after: Any) -> list[Change]:
    """A text, or anything else as JSON. Empty is as good as not set (config.md: absent, null and empty mean the
    same)."""
    left, right = _text(before), _text(after)
    return [] if left == right else [Change(name, left, right)]


def _text(value: Any) -> str | None:
    if value is None or value is False or value in ("", [], {}):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _members(name: str, before: Any, after: Any) -> list[Change]:
    """The keys of an object whose values say nothing."""
    left, right = set(_object(before)), set(_object(after))
    return [Change(name, *((member, None) if member in left else (None, member))) for member in sorted(left ^ right)]


def _labels(name: str, before: Any, after: Any) -> list[Change]:
    return _entries(name, _strings(_object(before)), _strings(_object(after)))


def _environment(name: str, before: Any, after: Any) -> list[Change]:
    return _entries(name, _variables(before), _variables(after))


def _entries(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """An entry that is there and empty is not one that is missing."""
    return [
        Change(f"{name}.{key}", before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _strings(value: Mapping[str, Any]) -> dict[str, str]:
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in value.items()}


def _variables(value: Any) -> dict[str, str]:
    """`["NAME=value"]`; the last one of a name counts, as it does in a container."""
    pairs = [item.partition("=") for item in value if isinstance(item, str)] if isinstance(value, list) else []
    return {name: text for name, _, text in pairs}


_Reader = Callable[[str, Any, Any], list[Change]]
_PLATFORM: dict[str, _Reader] = dict.fromkeys(
    ("os", "architecture", "variant", "os.version", "os.features", "author"), _value
)
_RUN: dict[str, _Reader] = {
    "Entrypoint": _value,
    "Cmd": _value,
    "Shell": _value,
    "WorkingDir": _value,
    "User": _value,
    "Env": _environment,
    "ExposedPorts": _members,
    "Volumes": _members,
    "StopSignal": _value,
    "StopTimeout": _value,
    "Healthcheck": _value,
    "OnBuild": _value,
    "ArgsEscaped": _value,
    "Labels": _labels,
}
