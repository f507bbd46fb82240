"""What takes room on the disk, as `GET /system/df` tells it (Engine API, SystemDataUsage)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from naru.api import listing
from naru.api.app import MAX_VERSION
from naru.api.images import entry_json
from naru.api.parameters import Version, rfc3339
from naru.api.routes.networks import volume_json
from naru.build.cache import Cache, CacheRow
from naru.containers.engine import Engine
from naru.containers.records import Status
from naru.errors import InvalidArgument

Json = dict[str, Any]
KINDS = ("container", "image", "volume", "build-cache")
_IN_USE = (Status.RUNNING.value, Status.PAUSED.value, Status.RESTARTING.value)


async def disk_usage(engine: Engine, cache: Cache, asked: Sequence[str], version: Version, *, verbose: bool) -> Json:
    """Of the kinds that are asked for, or of all. Raises InvalidArgument for one that there is not."""
    asked = asked if version >= (1, 42) else ()
    for kind in asked:
        if kind not in KINDS:
            raise InvalidArgument(f"unknown object type: {kind}")
    looks: dict[str, Callable[[], Awaitable[tuple[Json, Json]]]] = {
        "container": lambda: _containers(engine), "image": lambda: _images(engine, version),
        "volume": lambda: _volumes(engine), "build-cache": lambda: _cache(cache),
    }  # fmt: skip
    out: Json = {}
    for kind in asked or KINDS:
        usage, legacy = await looks[kind]()
        if version >= (1, 52):
            out.update(usage)
        if version < (1, 52) or not verbose:
            out.update(legacy)
    return out


def _usage(items: Sequence[Json], *, active: int, size: int, reclaimable: int) -> Json:
    """What is zero or empty is left out."""
    out = {
        "ActiveCount": active, "Items": items, "Reclaimable": reclaimable, "TotalCount": len(items), "TotalSize": size
    }  # fmt: skip
    return {name: value for name, value in out.items() if value}


async def _images(engine: Engine, version: Version) -> tuple[Json, Json]:
    images = engine.images.list()
    rows = await asyncio.to_thread(lambda: [entry_json(engine, image, MAX_VERSION) for image in images])
    total, shared = await asyncio.to_thread(engine.image_bytes)
    for row in rows:
        row["SharedSize"] = shared.get(row["Id"], 0)
        if version < (1, 44):
            row["VirtualSize"] = row["Size"]
    unused = [row for row in rows if not row["Containers"]]
    usage = _usage(
        rows, active=len(rows) - len(unused), size=total, reclaimable=sum(row["Size"] - row["SharedSize"] for row in unused)
    )  # fmt: skip
    return {"ImageUsage": usage}, {"Images": rows, "LayersSize": total}


async def _containers(engine: Engine) -> tuple[Json, Json]:
    rows = await listing.rows(engine, engine.containers.all(), MAX_VERSION, size=True)
    for row in rows:
        row.pop("ImageManifestDescriptor", None)
    unused = [row for row in rows if row["State"] not in _IN_USE]
    usage = _usage(
        rows, active=len(rows) - len(unused), size=sum(row["SizeRw"] for row in rows),
        reclaimable=sum(row["SizeRw"] for row in unused),
    )  # fmt: skip
    return {"ContainerUsage": usage}, {"Containers": rows}


async def _volumes(engine: Engine) -> tuple[Json, Json]:
    rows, total, active, reclaimable = [], 0, 0, 0
    for volume in engine.volumes.list({}):
        size, users = await engine.volumes.size_bytes(volume.name), engine.around.volume_users(volume.name)
        row = volume_json(volume, engine.volumes.mountpoint(volume.name))
        row["UsageData"] = {"Size": size, "RefCount": len(users)}
        rows.append(row)
        total += size
        active += bool(users)
        reclaimable += 0 if users else size
    return {"VolumeUsage": _usage(rows, active=active, size=total, reclaimable=reclaimable)}, {"Volumes": rows}


async def _cache(cache: Cache) -> tuple[Json, Json]:
    """Nothing of it is in use, or shared with anything."""
    rows = [_cache_row(row) for row in cache.rows()]
    total = sum(row["Size"] for row in rows)
    return {"BuildCacheUsage": _usage(rows, active=0, size=total, reclaimable=total)}, {"BuildCache": rows}


def _cache_row(row: CacheRow) -> Json:
    return {
        "ID": row.key.partition(":")[2][:25], "Type": "regular", "Description": row.description, "InUse": False, "Shared": False,
        "Size": row.size_bytes, "CreatedAt": rfc3339(row.created_ns), "LastUsedAt": rfc3339(row.used_ns), "UsageCount": 1,
    }  # fmt: skip
