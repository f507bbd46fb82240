"""Images → the Engine API's JSON, and the list's filters. Field lists are Docker 29's."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from naru.api import olderversions
from naru.api.parameters import Filters, Version, parse_until, rfc3339
from naru.containers.engine import Engine
from naru.errors import InvalidArgument
from naru.images.service import Images
from naru.images.values import HistoryLine, Image
from naru.oci.image import Descriptor, platform_json
from naru.wire.filters import has_labels

Json = dict[str, Any]
_RUN_FIELDS = (
    "ArgsEscaped", "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell", "StopSignal", "User",
    "Volumes", "WorkingDir",
)  # fmt: skip


def _descriptor(descriptor: Descriptor) -> Json:
    out = descriptor.to_json()
    out.pop("platform", None)
    return out


def _names(image: Image) -> tuple[list[str], list[str]]:
    tags = sorted(name.familiar for name in image.names if name.tag)
    digests = sorted({f"{name.familiar_name}@{image.id}" for name in image.names})
    return tags, digests


def created_s(text: str) -> int:
    """Unix seconds of an RFC 3339 time; 0 for none."""
    try:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) if text else 0
    except ValueError:
        return 0


def entry_json(engine: Engine, image: Image, version: Version, *, manifests: bool = False) -> Json:
    """One row of `GET /images/json`."""
    tags, digests = _names(image)
    content, unpacked = engine.images.size_bytes(image)
    out: Json = {
        "Id": str(image.id), "ParentId": str(image.parent or ""), "RepoTags": tags, "RepoDigests": digests,
        "Created": created_s(image.config.created), "Size": content + unpacked, "SharedSize": -1,
        "Labels": image.config.run.get("Labels") or {}, "Containers": engine.count_users(image), "Descriptor": _descriptor(image.target),
    }  # fmt: skip
    if manifests:
        out["Manifests"] = [_manifest_json(engine, image, each) for each in engine.images.manifests(image)]
    return olderversions.listed_image(out, version)


def _manifest_json(engine: Engine, image: Image, descriptor: Descriptor) -> Json:
    is_ours = descriptor.digest == image.manifest.descriptor.digest
    content, unpacked = engine.images.size_bytes(image) if is_ours else (descriptor.size, 0)
    return {
        "ID": str(descriptor.digest), "Descriptor": _descriptor(descriptor), "Available": True, "Kind": "image",
        "Size": {"Content": content, "Total": content + unpacked},
        "ImageData": {
            "Platform": platform_json(image.config.platform), "Containers": engine.users_of(image), "Size": {"Unpacked": unpacked},
        },
    }  # fmt: skip


def inspect_json(engine: Engine, image: Image, version: Version) -> Json:
    tags, digests = _names(image)
    content, unpacked = engine.images.size_bytes(image)
    config, run = image.config, image.config.run
    last = config.history[-1] if config.history else None
    shown = {name: run[name] for name in _RUN_FIELDS if run.get(name) not in (None, "", [], {}, False)}
    out: Json = {
        "Id": str(image.id), "RepoTags": tags, "RepoDigests": digests, "Config": olderversions.image_config(shown, version),
        "Architecture": config.platform.architecture, "Os": config.platform.os, "Size": content + unpacked,
        "RootFS": {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]},
        "Metadata": {"LastTagTime": rfc3339(image.tagged_ns)}, "Descriptor": _descriptor(image.target),
    }  # fmt: skip
    if config.platform.variant:
        out["Variant"] = config.platform.variant
    optional = {"Created": config.created, "Author": config.author, "Comment": last.comment if last else ""}
    out.update({name: value for name, value in optional.items() if value})
    if version < (1, 52):
        out.update(
            {
                "Parent": str(image.parent or ""),
                "Comment": out.get("Comment", ""),
                "DockerVersion": "",
                "Author": config.author,
            }
        )
        out["GraphDriver"] = {"Data": None, "Name": "overlayfs"}
    elif image.parent:
        out["Parent"] = str(image.parent)
    return olderversions.image(out, version)


def history_json(lines: Sequence[HistoryLine]) -> list[Json]:
    return [
        {
            "Id": line.id, "Created": created_s(line.created), "CreatedBy": line.created_by,
            "Tags": list(line.tags) or None, "Size": line.size_bytes, "Comment": line.comment,
        }
        for line in lines
    ]  # fmt: skip


# -- filters ------------------------------------------------------------------------------------------------------------


def select(images: Images, filters: Filters, now_ns: int) -> list[Image]:
    """Images that match, newest first. Raises InvalidArgument, NotFound."""
    found: Iterable[Image] = images.list()
    if "dangling" in filters:
        wanted = flag("dangling", filters["dangling"])
        found = [image for image in found if (not image.names) is wanted]
    if "label" in filters or "label!" in filters:
        found = [image for image in found if _labels_match(filters, image)]
    for text in filters.get("before", []):
        limit = images.resolve(text).config.created
        found = [image for image in found if created_s(image.config.created) < created_s(limit)]
    for text in filters.get("since", []):
        limit = images.resolve(text).config.created
        found = [image for image in found if created_s(image.config.created) > created_s(limit)]
    for text in filters.get("until", []):
        before_s = until(text, now_ns) // 10**9
        found = [image for image in found if created_s(image.config.created) < before_s]
    if "reference" in filters:
        found = [image for image in found if any(_matches(image, pattern) for pattern in filters["reference"])]
    return sorted(found, key=lambda image: (-created_s(image.config.created), str(image.id)))


def until(text: str, now_ns: int) -> int:
    """Raises InvalidArgument."""
    try:
        return parse_until(text, now_ns)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid value for 'until' filter: {error}") from error


def flag(name: str, values: list[str]) -> bool:
    if len(values) != 1 or values[0].lower() not in ("true", "1", "false", "0"):
        raise InvalidArgument(f"invalid filter '{name}=[{' '.join(values)}]'")
    return values[0].lower() in ("true", "1")


def _labels_match(filters: Filters, image: Image) -> bool:
    labels = image.config.run.get("Labels") or {}
    return has_labels(labels, filters.get("label", [])) and not (
        "label!" in filters and has_labels(labels, filters["label!"])
    )


def _matches(image: Image, pattern: str) -> bool:
    """Docker's reference filter: a glob over the familiar name, with or without tag; `*` stops at a slash."""
    for name in image.names:
        for text in (name.familiar_name, name.familiar, name.name, str(name)):
            if text == pattern or (text.count("/") == pattern.count("/") and fnmatch.fnmatchcase(text, pattern)):
                return True
    return False
